"""Five faults, put into a swarm one after another: the waterfall of a pull names the cause of each."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.explain import _lines
from swarm.cli.waterfall_page import page_of
from swarm.messages import Contact
from swarm.peer import operations
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from swarm.peer.pace import UNPACED, Pace
from swarm.peer.timetable import parse_timetable
from swarm.records import Address
from swarm.staging import Staging
from tests.integration.swarm_rig import Swarm, run

REF = "maps/roads:v1"
# 600 kB take 1.2 s.
SLOW = Pace(parse_timetable("4mbit", "test"))
NOBODY_S = 2.0


def test_the_waterfall_names_the_cause_of_each_of_five_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(1)
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "b"):
        (source / name).write_bytes(rng.randbytes(600_000))

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            producer, has_a, has_b, *takers = [await swarm.peer(f"peer{number}") for number in range(8)]
            await swarm.publish(producer, source, REF)
            await swarm.stop(producer)
            await _slow_origin(swarm, takers[0])
            await swarm.stop(takers[0])
            await run(has_a, "pull", ref=REF, directory=str(tmp_path / "a"), include=["a"])
            await run(has_b, "pull", ref=REF, directory=str(tmp_path / "b"), include=["b"])
            await swarm.stop(swarm.seed)
            await _slow_peer(swarm, takers[1], has_b)
            with monkeypatch.context() as patched:
                await _slow_disk(swarm, takers[2], patched)
            for node in (has_a, has_b, takers[1], takers[2]):
                await swarm.stop(node)
            await _nobody(swarm, takers[3], takers[2])
            await _lost_tracker(swarm, takers[4])

    asyncio.run(main())


async def explained(node: PeerNode, ref: str = REF) -> dict[str, Any]:
    return await run(node, "explain-version", ref=ref)


async def _slow_origin(swarm: Swarm, taker: PeerNode) -> None:
    swarm.seed.runs._pace = SLOW
    await swarm.pull(taker, REF, swarm.folder / "from_origin")
    swarm.seed.runs._pace = UNPACED
    found = await explained(taker)
    assert (found["pull"]["cause"], found["pull"]["cause_peer"]) == ("origin", swarm.seed.key.peer_id)
    assert found["holders"]["seeds"]["have_all"] == 1
    assert found["holders"]["here"] == {"blocks": found["blocks"], "of": found["blocks"]}
    _check_shown(found)


async def _slow_peer(swarm: Swarm, taker: PeerNode, slow: PeerNode) -> None:
    slow.runs._pace = SLOW
    await swarm.pull(taker, REF, swarm.folder / "from_slow")
    slow.runs._pace = UNPACED
    found = await explained(taker, f"{REF}/b")
    assert (found["pull"]["cause"], found["pull"]["cause_peer"]) == ("peer", slow.key.peer_id)
    assert "a slow peer" in found["pull"]["verdict"]
    assert {block["came_from"] for block in found["block_list"]} == {slow.key.peer_id}
    assert sum(block["bytes"] for block in found["block_list"]) == 600_000


async def _slow_disk(swarm: Swarm, taker: PeerNode, patched: pytest.MonkeyPatch) -> None:
    write = Staging.write

    def slow_write(self: Staging, index: int, plain: bytes) -> None:
        time.sleep(0.4)
        write(self, index, plain)

    patched.setattr(Staging, "write", slow_write)
    await swarm.pull(taker, REF, swarm.folder / "slow_disk")
    assert (await explained(taker))["pull"]["cause"] == "disk"


async def _nobody(swarm: Swarm, taker: PeerNode, holder: PeerNode) -> None:
    """Whoever has it is away, and comes back."""
    waits, since = asyncio.Event(), time.monotonic()

    def told(report: dict[str, Any]) -> None:
        if report.get("phase") == "manifest" and time.monotonic() > since + NOBODY_S:
            waits.set()

    arguments = {"ref": REF, "directory": str(swarm.folder / "alone")}
    pulling = asyncio.create_task(operations.run(taker, "pull", arguments, told))
    await waits.wait()
    back = await start_peer(swarm.settings(holder.home))
    swarm._stack.push_async_callback(swarm.stop, back)
    await pulling
    assert (await explained(taker))["pull"]["cause"] == "discovery"


async def _lost_tracker(swarm: Swarm, taker: PeerNode) -> None:
    """Its machine takes connections and says nothing: a port that refuses them would cost next to nothing."""
    await swarm.stop(swarm.tracker)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        # At another port: somebody else may have taken its own meanwhile.
        there = Address("127.0.0.1", silent.getsockname()[1])
        taker.tracker.set_trackers([Contact(swarm.tracker.contact.public, (there,))])
        await swarm.pull(taker, REF, swarm.folder / "last")
        found = await explained(taker)
    assert found["pull"]["cause"] == "tracker"
    assert found["pull"]["notes"]
    assert not found["holders"]["tracker"]["answers"]
    assert found["holders"]["neighbours"]["have_all"] >= 1


def _check_shown(found: dict[str, Any]) -> None:
    """What people are shown of it: lines, and a page that asks for nothing from elsewhere."""
    lines = list(_lines(found))
    assert any("went into the origin" in line for line in lines)
    assert any("^^^" in line for line in lines)

    class Page(HTMLParser):
        found: list[str]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names = {name for name, _ in attrs}
            assert tag not in ("script", "link", "img", "iframe"), tag
            assert not names & {"src", "href", "onclick"}, names
            self.found.append(tag)

    page = Page()
    page.found = []
    page.feed(page_of(found))
    assert page.found.count("rect") > 5
