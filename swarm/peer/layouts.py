"""How a version's files lie in its blocks, for the figures of the tracker in the same process."""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING, Final

from swarm.errors import FullError
from swarm.manifest import Manifest
from swarm.names import Reference
from swarm.tracker.figures.copies import FILES_MAX, FileSpan, Layout

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode


# Files and blocks of a version, together, whose whole manifest is fetched for a picture: some hundred bytes each.
LAID_MAX: Final = 200_000


class Layouts:
    """Looks through one node, which fetches a manifest that is not here as its readers do."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node

    async def __call__(self, dataset: str, version: bytes) -> Layout:
        """AetherError where the manifest is not to be had, or too long to be fetched."""
        holding = await self._node.holdings.find(dataset, version)
        manifest = holding.manifest if holding is not None else await self._fetched(dataset, version)
        return await asyncio.to_thread(layout_of, manifest)

    async def _fetched(self, dataset: str, version: bytes) -> Manifest:
        from swarm.peer.pull import manifest_of

        scope, _, name = dataset.partition("/")
        snapshot = await self._node.snapshots.open(Reference(scope, name, None, version))
        root = snapshot.outline.root
        if root.files + root.blocks > LAID_MAX:
            raise FullError(f"this version has more than {LAID_MAX:,} files and blocks, and its manifest is not here")
        return (await manifest_of(self._node, snapshot.resolved))[0]


def layout_of(manifest: Manifest) -> Layout:
    """Sizes of all blocks, and for each file, the first ``FILES_MAX``, from which block to which it goes."""
    spans: dict[int, tuple[int, int]] = {}
    for index in range(len(manifest.unique)):
        for place in manifest.places(index):
            first, last = spans.get(place.file_index, (index, index))
            if place.file_index not in spans and len(spans) >= FILES_MAX:
                continue
            spans[place.file_index] = (min(first, index), max(last, index))
    files = [
        FileSpan(manifest.files[number].path, manifest.files[number].size, first, last - first + 1)
        for number, (first, last) in spans.items()
    ]
    sizes = array("I", (block.size for block in manifest.unique))
    return Layout(len(sizes), manifest.total_bytes, sizes, files)
