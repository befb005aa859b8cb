"""Who reads files for the dashboard: a tracker keeps none, but a peer runs in every process that has one."""

from __future__ import annotations

from typing import Protocol

from swarm.browse_messages import DiffAnswer, FilesAnswer


class Reader(Protocol):
    """Implemented by ``swarm.peer.browsing``."""

    async def listing(self, dataset: str, version: bytes, path: str, after: str, limit: int) -> FilesAnswer:
        """A page of a directory. NotFoundError for what is not there, UnreachableError or IncompleteError where nobody
        gives it."""
        ...

    async def difference(self, dataset: str, old: bytes, new: bytes) -> DiffAnswer:
        """What changed between two versions. The same, and UsageError for more files than are compared here."""
        ...
