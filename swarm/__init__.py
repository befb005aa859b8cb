"""AetherFS: versioned directories, spread by the machines that use them."""

__version__ = "0.1.0"
