"""Reading one file of a version on demand, through the tiers: memory, disk, trees, neighbours, seed.

A window of blocks at a time, in order: what is not here is fetched into the block store, then given out. Nothing
buffers the file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from swarm.encoding import decode_block, encode_block
from swarm.errors import IncompleteError
from swarm.manifest import Manifest
from swarm.peer.download import Download
from swarm.peer.find import Resolved
from swarm.peer.holdings import Holding, StoreSource
from swarm.peer.node import PeerNode
from swarm.peer.pull import find_neighbours
from swarm.store import Store

WINDOW_BLOCKS: Final = 64


class _StoreSink:
    """Keeps what is fetched in the block store."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest

    def write(self, index: int, plain: bytes | memoryview) -> None:
        self._store.put(self._manifest.unique[index].signature, encode_block(plain))


async def read_file(node: PeerNode, resolved: Resolved, manifest: Manifest, index: int) -> AsyncIterator[bytes]:
    """The bytes of a file, in order. IncompleteError when a block is not to be had."""
    spans = list(manifest.blocks_of(index))
    for start in range(0, len(spans), WINDOW_BLOCKS):
        window = spans[start : start + WINDOW_BLOCKS]
        await bring(node, resolved, manifest, [block for block, _, _ in window])
        for block, offset, length in window:
            entry = manifest.unique[block]
            encoded = await StoreSource(node.store).read(entry.signature)
            if encoded is None:
                raise IncompleteError(f"a block of {manifest.files[index].path} was evicted before it was read: repeat")
            yield bytes(decode_block(encoded, entry.size)[offset : offset + length])


async def bring(node: PeerNode, resolved: Resolved, manifest: Manifest, blocks: list[int]) -> None:
    """Bring blocks into the block store."""
    source = StoreSource(node.store)
    missing = [block for block in dict.fromkeys(blocks) if await source.read(manifest.unique[block].signature) is None]
    if not missing:
        return
    done = set(range(len(manifest.unique))) - set(missing)
    holding = Holding(resolved.dataset, manifest, resolved.entry, source, set())

    async def find() -> None:
        await find_neighbours(node, resolved.dataset, resolved.version)

    sink = _StoreSink(node.store, manifest)
    download = Download(node.parts, holding, sink, done, find, node.rng, node.settings.stall_s)
    download.scheduler.picker.want(missing)
    await download.run()
