"""Having blocks of a version in the block store: what is not here is fetched."""

from __future__ import annotations

from swarm.encoding import encode_block
from swarm.manifest import Manifest
from swarm.peer.download import Download
from swarm.peer.find import Resolved
from swarm.peer.holdings import Holding, StoreSource
from swarm.peer.node import PeerNode
from swarm.peer.pull import find_neighbours
from swarm.store import Store


class _StoreSink:
    """Keeps what is fetched in the block store."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store = store
        self._manifest = manifest

    def write(self, index: int, plain: bytes | memoryview) -> None:
        self._store.put(self._manifest.unique[index].signature, encode_block(plain))


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
