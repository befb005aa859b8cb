"""Every block's bytes go through the limits, both ways; a peer that may give nothing gives and says nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarm.peer.agent import start_peer
from swarm.peer.announced import version_keys
from swarm.peer.node import PeerNode
from swarm.peer.pace import Pace, Paces
from swarm.peer.timetable import parse_timetable
from tests.integration.swarm_rig import Swarm, contents, make_tree

DEADLINE_S = 20.0


class Counting(Pace):
    """A limit that is counted and not waited for."""

    def __init__(self) -> None:
        super().__init__(parse_timetable("8mbit", "test"))
        self.parts: list[int] = []

    def _take(self, size_bytes: int) -> float:
        self.parts.append(size_bytes)
        return 0.0


async def _peer(swarm: Swarm, name: str, **settings: Any) -> PeerNode:
    node = await start_peer(replace(swarm.settings(await swarm.enrol(name)), **settings))
    swarm._stack.push_async_callback(swarm.stop, node)
    return node


def test_what_is_uploaded_given_and_fetched_passes_the_limits_in_small_parts(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source", 5, large_bytes=2_000_000)
    size = sum(map(len, contents(source).values()))

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            up, down, given = Counting(), Counting(), Counting()
            producer = await _peer(swarm, "producer", paces=Paces(upload=up))
            taker = await _peer(swarm, "taker", paces=Paces(download=down))
            await swarm.publish(producer, source, "maps/roads:latest")
            assert sum(up.parts) >= size
            swarm.seed.runs._pace = given
            await swarm.pull(taker, "maps/roads:latest", tmp_path / "taken")
            assert contents(tmp_path / "taken") == contents(source)
            assert sum(down.parts) >= size
            assert sum(given.parts) + sum(up.parts) >= 2 * size
            assert max(map(max, (up.parts, down.parts))) <= 1_000_000 * 0.02

    asyncio.run(main())


@pytest.mark.parametrize("how", ["metered", "stopped"])
def test_who_may_give_nothing_gives_nothing_and_is_not_asked(tmp_path: Path, how: str) -> None:
    source = make_tree(tmp_path / "source", 6, large_bytes=1_000_000)
    stopped = Paces(upload=Pace(parse_timetable("none, daily 0", "upload_limit")))

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, source, "maps/roads:latest")
            await swarm.stop(producer)
            settings: dict[str, Any] = {"is_metered": True} if how == "metered" else {"paces": stopped}
            frugal = await _peer(swarm, "frugal", **settings)
            await swarm.pull(frugal, "maps/roads:latest", tmp_path / "first")
            taker = await swarm.peer("taker", site="elsewhere")
            taker.resolver.learn(frugal.key.peer_id, frugal.addresses())
            channel = await taker.channels.connect(frugal.key.peer_id)
            assert not channel.near
            async with asyncio.timeout(DEADLINE_S):
                await swarm.pull(taker, "maps/roads:latest", tmp_path / "second")
            assert contents(tmp_path / "second") == contents(source)
            assert frugal.traffic.sent == {}
            assert swarm.seed.traffic.redirected == 0, "nobody is sent to who gives nothing"
            assert taker.traffic.received[frugal.key.peer_id] == 0
            if how == "metered":
                assert version_keys(frugal, bytes(32)) == []
                assert frugal.announcer._message(leaving=False).versions == ()

    asyncio.run(main())


def test_a_metered_peer_gives_within_its_site(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source", 7, large_bytes=1_000_000)

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            frugal = await _peer(swarm, "frugal", is_metered=True)
            await swarm.publish(frugal, source, "maps/roads:latest")
            taker = await swarm.peer("taker")
            taker.resolver.learn(frugal.key.peer_id, frugal.addresses())
            assert (await taker.channels.connect(frugal.key.peer_id)).near
            await swarm.stop(swarm.seed)
            async with asyncio.timeout(DEADLINE_S):
                await swarm.pull(taker, "maps/roads:latest", tmp_path / "second")
            assert frugal.traffic.sent[taker.key.peer_id] > 0

    asyncio.run(main())
