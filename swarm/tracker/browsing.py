"""Who reads files for the dashboard: a tracker keeps none, but a peer runs in every process that has one."""

from __future__ import annotations

from typing import Protocol

from swarm.browse_messages import FilesAnswer


class Reader(Protocol):
    """Implemented by ``swarm.peer.browsing``."""

    async def listing(self, dataset: str, version: bytes, path: str, after: str, limit: int) -> FilesAnswer:
        """A page of a directory. NotFoundError for what is not there, UnreachableError or IncompleteError where nobody
        gives it."""
        ...
