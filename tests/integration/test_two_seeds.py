"""Two seeds over one store: each stretch of a pack is read by one of them, whoever is asked, and when one dies by the
other.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from seed import fellows
from seed.backfill import PACKS
from swarm.objects.memory import MemoryObjectStore
from swarm.peer import announce, sending, upload
from swarm.peer.node import PeerNode
from swarm.peer.upload import SeedClient
from tests.integration.swarm_rig import Swarm, contents, make_tree


class Counting(MemoryObjectStore):
    """Counts what is read of packs."""

    def __init__(self) -> None:
        super().__init__()
        self.read_bytes = 0
        self._counting = threading.Lock()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        data = super().get_range(key, start, length)
        with self._counting:
            self.read_bytes += len(data) if key.startswith(PACKS) else 0
        return data


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes is heard of, and who is asked answers, however slow the machine is."""
    monkeypatch.setattr(announce, "LEAVE_DEADLINE_S", 60.0)
    monkeypatch.setattr(fellows, "LOOK_DEADLINE_S", 60.0)
    monkeypatch.setattr(fellows, "ANSWER_DEADLINE_S", 60.0)


async def fresh_seeds(swarm: Swarm) -> tuple[PeerNode, PeerNode]:
    """Two that hold nothing, after the one that took the upload has gone. The first has not heard of the second."""
    await swarm.stop(swarm.seed)
    await swarm.start_seed("first")
    first = swarm.seed
    await swarm.start_seed("second")
    assert set(swarm.seed.announcer.seeds) == {first.key.peer_id}
    first.announcer.seeds.clear()  # a heartbeat may have told it
    return first, swarm.seed


def test_each_byte_is_read_once_whoever_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks in packs in the manifest's order, which requests that overtake each other do not quite keep."""
    for where in (sending, upload):
        monkeypatch.setattr(where, "AT_ONCE", 1)
    data = make_tree(tmp_path / "data", 1, large_bytes=12_000_000)

    async def main() -> None:
        objects = Counting()
        async with Swarm(tmp_path, objects=objects) as swarm:
            producer = await swarm.peer("producer")
            published = await swarm.publish(producer, data, "maps/roads:v1")
            version = bytes.fromhex(published["version"])
            entry = producer.access.entry_of("maps/roads", version)
            assert entry is not None
            await swarm.stop(producer)
            first, second = await fresh_seeds(swarm)
            for node in (first, second):
                node.access.learn(entry)  # a tracker tells of it, by and by
            peer = await swarm.peer("peer")
            holding = await first.holdings.find("maps/roads", version)
            other = await second.holdings.find("maps/roads", version)
            assert holding is not None
            assert other is not None
            objects.read_bytes = 0
            # Everything is asked of both.
            for node in (first, second):
                client = SeedClient(peer.session, node.key.peer_id, peer.papers.grant)
                peer.resolver.learn(node.key.peer_id, node.addresses())
                for block in holding.manifest.unique:
                    assert await client.block("maps/roads", version, block.signature, own=False)
            stored = sum(map(len, (objects.get(key) for key in objects.list(PACKS))))
            assert 0.95 * stored < objects.read_bytes <= stored

    asyncio.run(main())


def test_when_one_dies_the_other_reads_all(tmp_path: Path) -> None:
    data = make_tree(tmp_path / "data", 1, large_bytes=12_000_000)

    async def main() -> None:
        async with Swarm(tmp_path, objects=Counting()) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, data, "maps/roads:v1")
            await swarm.stop(producer)
            first, _ = await fresh_seeds(swarm)
            await swarm.stop(first)
            await swarm.pull(await swarm.peer("consumer"), "maps/roads:v1", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(data)

    asyncio.run(main())
