"""What is shown of manifests over channels: to whom, how much, and verified by who asked."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from swarm.limits import SHOWN_MAX_BYTES
from swarm.peer import showing
from swarm.peer.channels import Channel
from swarm.peer.node import PeerNode
from swarm.peer.wire import OUR_VERSIONS, Show, Shown
from tests.integration.swarm_rig import Swarm, make_tree
from tests.integration.test_neighbours import until
from tests.integration.test_reading import all_of, file_of, opened
from tests.integration.test_recalled import meet


class Reader:
    """A peer, and what it hears over its channels of manifests."""

    def __init__(self, node: PeerNode) -> None:
        self.node = node
        self.told: list[Shown] = []
        came = node.exchange.showing.came

        def heard(channel: Channel, message: Shown) -> None:
            self.told.append(message)
            came(channel, message)

        node.exchange.showing.came = heard  # type: ignore[method-assign]

    def far_away(self) -> list[str]:
        """From now on a stream takes until the manifest was shown; who is dialled for one."""
        dial, dialled = self.node.fetcher.dial, list[str]()

        async def slowly(peer: str) -> socket.socket:
            dialled.append(peer)
            await until(lambda: len(self.told) >= 3, "the manifest is not shown")
            return await dial(peer)

        self.node.fetcher.dial = slowly  # type: ignore[method-assign]
        return dialled

    async def channel(self, seed: PeerNode) -> Channel:
        await meet(self.node, seed)
        return self.node.channels.open[seed.key.peer_id]


async def published(swarm: Swarm, tmp_path: Path, files: int = 12) -> tuple[Path, bytes, bytes]:
    """A tree, its version, and the entry that shows it."""
    source = make_tree(tmp_path / "source", 3, files=files)
    producer = await swarm.peer("producer")
    told = await swarm.publish(producer, source, "maps/roads:latest")
    version = bytes.fromhex(told["version"])
    entry = producer.ledger.entry_of_version("maps/roads", version, lambda _: True)
    await swarm.stop(producer)
    assert entry is not None
    return source, version, entry


def test_a_first_read_has_the_manifest_over_the_channel_and_blocks_by_one_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "ANSWER_S", 60.0)

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            source, _, _ = await published(swarm, tmp_path)
            reader = Reader(await swarm.peer("reader"))
            await reader.channel(swarm.seed)
            dials = reader.far_away()
            assert await _read(reader.node, "d0/f3") == (source / "d0/f3").read_bytes()
            assert len(reader.told) == 3, "the root, the segment of files, that of blocks"
            assert all(message.encoded for message in reader.told)
            assert len(dials) == 1, "the stream that was made meanwhile is the one that brings the block"
            again = await opened(reader.node, "maps/roads:latest")
            await all_of(again.read(await file_of(again, "large.bin"), 0, 10))
            assert len(reader.told) == 3, "what is at hand, or has a stream, asks no channel"

    asyncio.run(main())


def test_nothing_is_shown_to_who_may_not_read_nor_of_data_nor_without_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            _, version, entry = await published(swarm, tmp_path)
            holding = await swarm.seed.holdings.find("maps/roads", version)
            assert holding is not None
            reader = Reader(await swarm.peer("reader"))
            channel = await reader.channel(swarm.seed)
            data, root = holding.manifest.unique[0].signature, version

            async def asked(*signatures: bytes, of: str = "maps/roads", shown_by: bytes = entry) -> list[int]:
                before = len(reader.told)
                channel.send(Show(of, version, shown_by, signatures))
                await until(lambda: len(reader.told) == before + len(signatures), "it is not answered")
                return [len(message.encoded) for message in reader.told[before:]]

            assert [bool(size) for size in await asked(root, data, bytes(32))] == [True, False, False]
            assert await asked(root, of="maps/rail") == [0]
            far_end = swarm.seed.channels.open[reader.node.key.peer_id]
            far_end.shown.left = far_end.shown.rate = 0.0
            assert await asked(root) == [0], "beyond what a channel is shown in a time"
            far_end.shown.left = 64.0
            swarm.seed.runs._pace.is_limited = True
            assert await asked(root) == [0], "a budget of what is given is kept to by streams alone"
            narrow = Reader(await swarm.peer("narrow", datasets=["other/*"]))
            channel, reader = await narrow.channel(swarm.seed), narrow
            assert await asked(root) == [0]

    asyncio.run(main())


@pytest.mark.parametrize("lie", [b"\x00nothing", b"\xff", bytes(SHOWN_MAX_BYTES)])
def test_who_shows_what_is_not_the_version_is_left_alone_and_the_reader_served_by_others(
    lie: bytes, tmp_path: Path
) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            source, _, _ = await published(swarm, tmp_path)
            honest = await swarm.peer("honest")
            await swarm.pull(honest, "maps/roads:latest", tmp_path / "pulled")
            reader = Reader(await swarm.peer("reader"))
            liar, channels = swarm.seed.key.peer_id, reader.node.channels
            _lie(swarm.seed, lie)
            reader.node.fetcher.is_ready = lambda peer: False  # type: ignore[method-assign]
            # It meets the honest one after the liar, however they are ranked.
            channels.drop(honest.key.peer_id)
            channels._banned[honest.key.peer_id] = time.monotonic() + 3600.0
            await reader.channel(swarm.seed)
            reading = asyncio.create_task(_read(reader.node, "d0/f3"))
            await until(lambda: channels.is_banned(liar), "who lies is not found out")
            del channels._banned[honest.key.peer_id]
            await reader.channel(honest)
            assert await reading == (source / "d0/f3").read_bytes()
            assert reader.told and channels.is_banned(liar)

    asyncio.run(main())


async def _read(node: PeerNode, path: str) -> bytes:
    snapshot = await opened(node, "maps/roads:latest")
    return await all_of(snapshot.read(await file_of(snapshot, path)))


def _lie(node: PeerNode, lie: bytes) -> None:
    async def show(channel: Channel, message: Show) -> None:
        for signature in message.signatures:
            channel.send(Shown(signature, lie))

    node.exchange.showing.show = show  # type: ignore[method-assign]


def test_who_does_not_show_is_asked_by_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of an older version do not."""
    monkeypatch.setattr(showing, "SINCE", OUR_VERSIONS[1] + 1)

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            source, _, _ = await published(swarm, tmp_path)
            reader = Reader(await swarm.peer("reader"))
            await reader.channel(swarm.seed)
            reader.node.fetcher.is_ready = lambda peer: False  # type: ignore[method-assign]
            _lie(swarm.seed, b"nobody asks for it")
            assert await _read(reader.node, "d0/f3") == (source / "d0/f3").read_bytes()
            assert not reader.told

    asyncio.run(main())
