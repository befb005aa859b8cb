"""A peer whose machine begins in the past: it joins, pulls and shows the age of what no tracker confirms."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from swarm import clock
from swarm.home import Home
from swarm.peer.agent import start_peer
from tests.integration.swarm_rig import Swarm, contents, make_tree, run

REAL = time.time


def test_a_peer_without_a_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 1, files=3, large_bytes=200_000)
        async with Swarm(tmp_path) as swarm:
            await swarm.publish(await swarm.peer("producer"), source, "roads:v1")
            begun = REAL()
            # Only members ask this module: the tracker's clock is right.
            monkeypatch.setattr(clock, "machine_now", lambda: REAL() - begun + 86_400.0)
            peer = await swarm.peer("clockless")
            assert clock.is_wrong()
            assert abs(clock.wall_now() - REAL()) < 30
            await swarm.pull(peer, "roads:v1", tmp_path / "pulled")
            assert contents(tmp_path / "pulled") == contents(source)
            await swarm.publish(peer, source, "roads:v2")
            while (await run(peer, "inspect", ref="roads:v2"))["stale"]:
                await asyncio.sleep(0.1)  # A busy tracker is not waited for.
            await swarm.stop(peer)
            clock.restore(clock.Floor())

            again = await start_peer(swarm.settings(Home(tmp_path / "clockless")))
            swarm._stack.push_async_callback(swarm.stop, again)
            assert abs(clock.wall_now() - REAL()) < 30, "it was written down"
            await swarm.stop(swarm.tracker)
            stale = await run(again, "inspect", ref="roads:v2")
            assert stale["stale"]
            assert 0 <= stale["age_s"] < 30

    asyncio.run(main())
