"""Directories of versions for the dashboard of the tracker in the same process: listings, and the README beneath."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from swarm.analysis.difference import difference_of
from swarm.analysis.report import weight_of
from swarm.browse_messages import DiffAnswer, FileItem, FilesAnswer, ReadmeNode
from swarm.errors import AetherError, NotFoundError, UsageError
from swarm.names import Reference
from swarm.paths import shown
from swarm.peer.listing_pages import README_MAX_BYTES, readme_among
from swarm.peer.pull import manifest_of
from swarm.peer.readme_tree import readme_tree
from swarm.peer.snapshot import Item, Snapshot
from swarm.segments import SYMLINK

if TYPE_CHECKING:
    from swarm.manifest import Manifest
    from swarm.peer.node import PeerNode

NANOSECONDS: Final = 10**9
# What is compared for a page: both manifests are in memory meanwhile, some 1.3 kB a file and 0.2 kB a block.
COMPARED_MAX_FILES: Final = 50_000
COMPARED_MAX_BLOCKS: Final = 250_000
CHANGES_MAX: Final = 500
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

    async def difference(self, dataset: str, old: bytes, new: bytes) -> DiffAnswer:
        """See ``swarm.tracker.browsing.Reader``."""
        older, newer = [await self._manifest(dataset, version) for version in (old, new)]
        found = await asyncio.to_thread(difference_of, "", older, "", newer)
        changes = sorted(found.changes, key=weight_of)
        return DiffAnswer(
            dataset,
            found.old_version,
            found.new_version,
            found.same,
            found.bytes,
            found.fetch_bytes,
            found.fetch_blocks,
            found.manifest_bytes,
            found.counts,
            tuple(changes[:CHANGES_MAX]),
            max(0, len(changes) - CHANGES_MAX),
        )

    async def _manifest(self, dataset: str, version: bytes) -> Manifest:
        """The whole of it, if it is not too large to be had for somebody who looks at a page."""
        scope, _, name = dataset.partition("/")
        reference = Reference(scope, name, None, version)
        root = (await self._node.snapshots.open(reference)).outline.root
        if root.files > COMPARED_MAX_FILES or root.blocks > COMPARED_MAX_BLOCKS:
            raise UsageError(
                f"a version of {root.files} files and {root.blocks} blocks is too large to be compared by a tracker: "
                "use `aetherfs diff`"
            )
        return (await manifest_of(self._node, await self._node.finder.resolve(reference)))[0]

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
