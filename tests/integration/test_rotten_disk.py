"""What rots or is altered on a peer's disk is found before anybody is given it, and comes anew from the swarm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.at_rest import SealKey
from swarm.home import Home
from swarm.peer import operations
from swarm.peer.agent import start_peer
from swarm.peer.holdings import Holding, StoreSource
from swarm.peer.node import PeerNode
from swarm.peer.wire import BLOCK, RunRequest
from tests.integration.swarm_rig import Swarm, make_tree

DEADLINE_S = 60.0
REF = "maps/roads:latest/large.bin"


def flip(files: list[Path]) -> None:
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(bytes(data))


def cut(files: list[Path]) -> None:
    for file in files:
        file.write_bytes(file.read_bytes()[:-1])


def empty(files: list[Path]) -> None:
    for file in files:
        file.write_bytes(b"")


def swap(files: list[Path]) -> None:
    contents = [file.read_bytes() for file in files]
    for file, data in zip(files, contents[1:] + contents[:1], strict=True):
        file.write_bytes(data)


async def read(node: PeerNode) -> bytes:
    return b"".join([bytes(part) async for part in operations.stream(node, "cat", {"ref": REF})])


@pytest.mark.parametrize("key", [None, SealKey(bytes(32))], ids=["plain", "sealed"])
def test_damage_is_found_before_it_is_served_and_is_repaired(key: SealKey | None, tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 1)
        original = (source / "large.bin").read_bytes()
        async with Swarm(tmp_path) as swarm:
            enrolled = await swarm.enrol("peer")
            if key is not None:
                from swarm.resealing import reseal

                reseal(enrolled.path, None, key)
            peer = await start_peer(swarm.settings(Home(enrolled.path, lambda: key)))
            try:
                producer = await swarm.peer("producer")
                await swarm.publish(producer, source, "maps/roads:latest")
                assert await read(peer) == original
                known = next(iter(producer.holdings))
                kept = StoreSource(peer.store)
                peer.hold(Holding(known.dataset, known.manifest, known.entry, kept, None))
                await all_is_kept(peer)
                asker = await swarm.peer("asker")
                asker.resolver.learn(peer.key.peer_id, peer.addresses())
                for damage in (flip, cut, empty, swap):
                    await damaged(damage, peer, asker, original)
            finally:
                await peer.close()

    asyncio.run(main())


def wanted_of(peer: PeerNode) -> tuple[bytes, ...]:
    """The blocks of the file that is read."""
    manifest = next(iter(peer.holdings)).manifest
    large = manifest.find("large.bin")
    assert large is not None
    return tuple(manifest.unique[index].signature for index, *_ in manifest.blocks_of(large))


async def all_is_kept(peer: PeerNode) -> None:
    """A block is given out before it is kept."""
    async with asyncio.timeout(DEADLINE_S):
        while not all(peer.blocks.get(signature) for signature in wanted_of(peer)):
            await asyncio.sleep(0.02)


async def damaged(damage: Callable[[list[Path]], None], peer: PeerNode, asker: PeerNode, original: bytes) -> None:
    """Damage all that the peer keeps, ask it for a part, and read it all again."""
    files = [file for file in peer.home.blocks.rglob("*") if file.is_file()]
    assert len(files) >= 3
    damage(files)
    peer.memory.close()
    holding = next(iter(peer.holdings))
    request = RunRequest(1, 1, "maps/roads", holding.version, holding.entry, False, wanted_of(peer))
    answers = [status async for status, _ in asker.fetcher.run(peer.key.peer_id, request)]
    assert BLOCK not in answers
    assert await read(peer) == original, damage.__name__
    await all_is_kept(peer)
