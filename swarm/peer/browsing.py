"""Directories of versions for the dashboard of the tracker in the same process: listings, and the README beneath."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from swarm.browse_messages import FileItem, FilesAnswer, ReadmeNode
from swarm.errors import AetherError, NotFoundError
from swarm.names import Reference
from swarm.paths import shown
from swarm.peer.listing_pages import README_MAX_BYTES, readme_among
from swarm.peer.readme_tree import readme_tree
from swarm.peer.snapshot import Item, Snapshot
from swarm.segments import SYMLINK

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

NANOSECONDS: Final = 10**9
log = logging.getLogger("aetherfs.browsing")


class Browsing:
    """Reads through one node, as its readers do: only the segments that a page takes are fetched."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node

    async def listing(self, dataset: str, version: bytes, path: str, after: str, limit: int) -> FilesAnswer:
        """See ``swarm.tracker.browsing.Reader``."""
        scope, _, name = dataset.partition("/")
        snapshot = await self._node.snapshots.open(Reference(scope, name, None, version))
        directory = await snapshot.follow(path)
        if not await snapshot.is_directory(directory):
            raise NotFoundError(f"{shown(path)} is no directory in this version of {dataset}")
        items = await snapshot.names(directory, after=after, limit=limit)
        readme_name, readme = await self._readme(snapshot, items) if not after else ("", ())
        root = snapshot.outline.root
        return FilesAnswer(
            dataset,
            version.hex(),
            directory,
            tuple(map(_file, items)),
            items[-1].cursor if len(items) == limit else "",
            root.files,
            root.bytes,
            readme_name,
            readme,
        )

    async def _readme(self, snapshot: Snapshot, items: list[Item]) -> tuple[str, tuple[ReadmeNode, ...]]:
        """A README that cannot be had is not shown; the listing is."""
        found = readme_among(items)
        if found is None or found.entry is None or found.entry.size > README_MAX_BYTES:
            return "", ()
        try:
            file = await snapshot.find(found.entry.path)
            data = await snapshot.read_all(file, README_MAX_BYTES) if file is not None else b""
        except AetherError as error:
            log.info("the README of %s is not shown: %s", snapshot.dataset, error)
            return "", ()
        return found.name, readme_tree(found.name, data)


def _file(item: Item) -> FileItem:
    entry = item.entry
    if entry is None or item.is_directory:
        return FileItem(item.name, "directory")
    kind: Final = "link" if entry.kind == SYMLINK else "file"
    return FileItem(item.name, kind, entry.size, entry.mtime_ns // NANOSECONDS, f"{entry.mode:04o}", entry.target)
