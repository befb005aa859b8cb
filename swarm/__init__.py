"""AetherFS: versioned directories, spread by the machines that use them.

``swarm.Client`` and ``swarm.AsyncClient`` talk to the agent of a home.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swarm.agent_client import AsyncClient, Client

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> Any:
    """The faces, loaded when they are asked for: the program does without them."""
    if name in ("Client", "AsyncClient"):
        from importlib import import_module

        return getattr(import_module("swarm.agent_client"), name)
    raise AttributeError(f"module 'swarm' has no attribute {name!r}")
