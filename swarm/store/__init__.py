"""Stores of encoded blocks.

A Store has four methods; caching, bounding and failing over are Stores that hold Stores. ``None`` means "not here, try
the next"; a damaged block is removed and counts as not here. Blocking and thread-safe.
"""

from __future__ import annotations

from typing import Protocol

from swarm.encoding import Encoded


class Store(Protocol):
    """Encoded blocks by signature."""

    def get(self, signature: bytes) -> Encoded | None:
        """The encoded block, verified if it comes from a medium that can rot; None if it is not here."""
        ...

    def put(self, signature: bytes, encoded: Encoded) -> None:
        """Keep a block whose signature the caller has verified. FullError when the medium is full."""
        ...

    def has(self, signature: bytes) -> bool:
        """Whether ``get`` is likely to give it; only ``get`` knows."""
        ...

    def close(self) -> None: ...
