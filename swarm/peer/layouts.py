"""How a version's files lie in its blocks, for the figures of the tracker in the same process."""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING

from swarm.manifest import Manifest
from swarm.tracker.figures.copies import FILES_MAX, FileSpan, Layout

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode


class Layouts:
    """Looks through one node: only versions whose manifest is here, or with its seed, are known."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node

    async def __call__(self, dataset: str, version: bytes) -> Layout | None:
        """None where nobody here has the manifest."""
        holding = await self._node.holdings.find(dataset, version)
        return await asyncio.to_thread(layout_of, holding.manifest) if holding is not None else None


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
