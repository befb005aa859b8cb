"""Peers that lie on the exchange: blamed, dropped, and nothing of theirs is stored."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm import names
from swarm.errors import RemoteProtocolError
from swarm.limits import ENCODED_MAX_BYTES
from swarm.peer.giving import GivenStream
from swarm.peer.holdings import Holding
from swarm.peer.node import PeerNode
from swarm.peer.sealed import SEALED_MAX_BYTES
from swarm.peer.stream import parse_head
from swarm.peer.wire import ASK, BLOCK, FRAME
from tests.integration.swarm_rig import Swarm, contents, make_tree

Answer = Callable[[GivenStream, "bytes | None"], None]
PATIENCE_S = 20.0


def _say(stream: GivenStream, payload: bytes | bytearray) -> None:
    """A frame of any length, as sealed as an honest one."""
    assert stream._sealer is not None
    stream._write(stream._sealer.seal(BLOCK, payload, memoryview(bytearray(SEALED_MAX_BYTES + len(payload)))))


def wrong(stream: GivenStream, encoded: bytes | bytearray | None) -> None:
    """Other bytes of the right length."""
    _say(stream, bytes(len(encoded or b"")))


def short(stream: GivenStream, encoded: bytes | bytearray | None) -> None:
    """The first half."""
    _say(stream, (encoded or b"")[: len(encoded or b"") // 2])


def oversized(stream: GivenStream, encoded: bytes | bytearray | None) -> None:
    """A frame that says it is longer than any block."""
    _say(stream, bytes(ENCODED_MAX_BYTES + 1))


def endless(stream: GivenStream, encoded: bytes | bytearray | None) -> None:
    """Blocks for ever, whatever was asked. It ends with the connection."""
    while True:
        _say(stream, bytes(65_537))


def bomb(stream: GivenStream, encoded: bytes | bytearray | None) -> None:
    """A zstd frame that states half a gigabyte."""
    import zstandard

    _say(stream, b"\x01" + zstandard.ZstdCompressor().compress(bytes(1 << 29)))


def empty(stream: GivenStream, encoded: bytes | bytearray | None) -> None:
    """A block of no bytes at all."""
    _say(stream, b"")


def hold_back(node: PeerNode, until: Callable[[], bool], *, of_manifest: bool) -> None:
    """It gives no block (or none but of manifests) before this is so: if it were quick, nobody would ask the liar."""
    give = node.runs._give_block

    def giving(stream: GivenStream, holding: Holding, signature: bytes) -> int:
        deadline = time.monotonic() + PATIENCE_S
        while (of_manifest or signature in holding.manifest.index_of) and not until():
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        return give(stream, holding, signature)

    node.runs._give_block = giving  # type: ignore[method-assign]


@pytest.mark.parametrize("lie", [wrong, short, oversized, endless, bomb, empty])
def test_a_liar_is_dropped_and_the_pull_completes(lie: Answer, tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 1)
        async with Swarm(tmp_path) as swarm:
            producer, liar, victim = [await swarm.peer(name) for name in ("producer", "liar", "victim")]
            await swarm.publish(producer, source, "maps/roads:latest")
            await swarm.pull(liar, "maps/roads:latest", tmp_path / "liars")
            liar.runs._write = lie  # type: ignore[method-assign, assignment]
            for honest in (swarm.seed, producer):
                hold_back(honest, lambda: victim.channels.is_banned(liar.key.peer_id), of_manifest=False)
            victim.resolver.learn(liar.key.peer_id, liar.addresses())
            await victim.channels.connect(liar.key.peer_id)
            await swarm.pull(victim, "maps/roads:latest", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(source)
            assert victim.channels.is_banned(liar.key.peer_id)
            assert liar.key.peer_id not in victim.channels.open
            assert liar.key.peer_id not in victim.traffic.received

    asyncio.run(main())


def test_a_manifest_that_is_not_the_version_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 2)
        async with Swarm(tmp_path) as swarm:
            producer, victim = await swarm.peer("producer"), await swarm.peer("victim")
            await swarm.publish(producer, source, "maps/roads:latest")
            producer.runs._write = wrong  # type: ignore[method-assign]
            victim.resolver.learn(producer.key.peer_id, producer.addresses())
            await victim.channels.connect(producer.key.peer_id)
            await swarm.pull(victim, "maps/roads:latest", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(source)
            assert producer.key.peer_id not in victim.traffic.received

    asyncio.run(main())


@pytest.mark.parametrize(
    "head",
    [
        FRAME.pack(5, 0),  # a status that nobody knows
        FRAME.pack(BLOCK, ENCODED_MAX_BYTES + 1),
        FRAME.pack(ASK, 65),
        FRAME.pack(1, 1),  # a refusal with a payload
    ],
)
def test_frames_that_no_honest_peer_sends(head: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_head(head)


def silent(stream: GivenStream, encoded: bytes | bytearray | None) -> None:
    """Nothing, until the asker has left."""
    while not stream.is_gone:
        time.sleep(0.05)
    raise ConnectionResetError("it left")


@pytest.mark.parametrize("lie", [wrong, endless, bomb, silent])
def test_a_reader_is_given_nothing_of_a_liar_and_is_not_kept_by_it(lie: Answer, tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 3)
        async with Swarm(tmp_path) as swarm:
            producer, liar, victim = [await swarm.peer(name) for name in ("producer", "liar", "victim")]
            await swarm.publish(producer, source, "maps/roads:latest")
            await swarm.pull(liar, "maps/roads:latest", tmp_path / "liars")
            asked = threading.Event()

            def lies(stream: GivenStream, encoded: bytes | None) -> None:
                asked.set()
                lie(stream, encoded)

            def is_met() -> bool:
                return asked.is_set() if lie is silent else victim.channels.is_banned(liar.key.peer_id)

            liar.runs._write = lies  # type: ignore[method-assign, assignment]
            for honest in (swarm.seed, producer):
                hold_back(honest, is_met, of_manifest=True)
            # Over a channel it would be honest, and counted: tests/integration/test_showing.py has liars there.
            liar.runs.shows = lambda peer: False  # type: ignore[method-assign]
            victim.resolver.learn(liar.key.peer_id, liar.addresses())
            await victim.channels.connect(liar.key.peer_id)
            snapshot = await victim.snapshots.open(names.parse("maps/roads:latest"))
            for path in ("large.bin", "d0/f3"):
                file = await snapshot.look(path)
                assert file is not None
                data = b"".join([bytes(part) async for part in snapshot.read(file)])
                assert data == (source / path).read_bytes()
            assert liar.key.peer_id not in victim.traffic.received
            assert victim.channels.is_banned(liar.key.peer_id) or lie is silent

    asyncio.run(main())
