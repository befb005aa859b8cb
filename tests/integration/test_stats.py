"""How a dataset performs, as its producer is told: in a swarm of real parts, with readers and a rollout; and forecasts
beside what came.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest

from swarm.browse_messages import DiffAnswer
from swarm.cli.forecasts import actual_of
from swarm.cli.stats import stats_lines
from swarm.errors import NotFoundError, UnreachableError, UsageError
from swarm.figure_performance import Foreseen, Performance
from swarm.peer.browsing import Browsing
from swarm.peer.node import PeerNode
from swarm.scan import scan
from swarm.sim.calibration import Book, Kept, calibration, with_actual, with_forecast
from swarm.sim.forecast import TOLD_FROM_S, Conditions
from swarm.stats_messages import Stats
from swarm.tracker.figures import keeping
from tests.integration.swarm_rig import make_tree, run
from tests.integration.test_figures import Following

PATIENCE_S: Final = 90.0


@pytest.fixture(name="quick")
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.peer.reporting.PAUSE_S", 0.2)
    monkeypatch.setattr("swarm.peer.read_counts.TELL_EVERY_S", 0.2)
    monkeypatch.setattr("swarm.tracker.figures.picture.PAUSE_MIN_S", 0.2)
    monkeypatch.setattr("swarm.tracker.figures.service.KEEP_AFTER_S", 0.0)


async def told(node: PeerNode, ref: str, **arguments: Any) -> Stats:
    return msgspec.convert(await run(node, "stats", ref=ref, **arguments), Stats)


async def ended(node: PeerNode, ref: str) -> Stats:
    """Once the last move has reached everybody, and copies are counted since: that is done once in some seconds."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = await told(node, ref)
        rollout = found.publishes[-1].rollout
        holders = {each.version: each.complete_peers for each in found.versions}.get(found.publishes[-1].version, 0)
        if rollout is not None and rollout.ended is not None and rollout.current == 2 and holders:
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.1)


async def read(node: PeerNode, path: str, ranges: str) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://{node.agent_address}/fs/maps/roads/stable/{path}"
        async with session.get(url, headers={"Range": ranges}) as response:
            assert response.status == 206
            await response.read()


def test_a_producer_is_told_how_it_went_and_what_is_read(tmp_path: Path, quick: None) -> None:
    async def scenario() -> None:
        async with Following(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            consumers = [await swarm.peer(f"consumer{number}") for number in range(2)]
            tree = make_tree(tmp_path / "tree", 1)
            first = await swarm.publish(producer, tree, "maps/roads:stable")
            for number, node in enumerate(consumers):
                await run(node, "subscribe", ref="maps/roads:stable", directory=str(tmp_path / f"at{number}"))
            (tree / "large.bin").write_bytes(b"new" * 400_000)
            foreseen = await check_left(producer, scan(tree).manifest.version.hex())
            second = await swarm.publish(producer, tree, "maps/roads:stable")
            await read(consumers[0], "large.bin", "bytes=0-599999")
            await read(consumers[0], "large.bin", "bytes=0-9999")
            found = await ended(consumers[0], "maps/roads:stable")
            check_rollout(found, first["version"], second["version"])
            check_reads(found, second["version"])
            assert (await told(producer, "maps/roads")).reads == ()
            check_forecast(found)
            await check_heat(producer, second["version"])
            await check_performance(producer, second["version"], foreseen)
            await check_named_again(swarm, producer, found)
            await check_begun_anew(swarm, found)
            await check_difference(swarm, producer, first["version"], second["version"])
            await check_without(swarm, consumers[0])

    asyncio.run(scenario())


def check_rollout(found: Stats, first: str, second: str) -> None:
    assert [each.version for each in found.publishes] == [first, second]
    rollout = found.publishes[-1].rollout
    assert rollout is not None and rollout.wanted == 2 and rollout.offload is not None
    assert rollout.completion.last_s is not None and rollout.completion.curve[-1][1] == 2
    newest = {each.version: each for each in found.versions}[second]
    assert newest.tags == ("stable",) and newest.complete_peers >= 1
    assert found.refused.swarm == 0 and "refused" not in found.reasons


async def check_named_again(swarm: Following, node: PeerNode, found: Stats) -> None:
    """Who moves a tag to a version that is there says no more of it: how much it is is known all the same, and its tags
    are, by a tracker that has not seen them move.
    """
    await run(node, "tag", ref="maps/roads:stable", names=["maps/roads:named"])
    swarm.tracker.state.figures.picture.book._forget(("maps/roads", "named"))
    again, newest = await told(node, "maps/roads:named"), found.publishes[-1]
    shown = await node.tracker.order("GET", "figures/performance/maps/roads", Performance)
    assert {one.version: one.tags for one in again.versions} == {newest.version: ("named", "stable")}
    assert {one.version: one.tags for one in shown.versions}[newest.version] == ("named", "stable")
    (named,) = again.publishes
    assert not again.has_earlier
    with pytest.MonkeyPatch.context() as patch:
        for bound in ("PAGE", "ENTRIES_MAX"):
            patch.setattr(f"swarm.peer.log_tail.{bound}", 1)
        latest = await told(node, "maps/roads")
    assert latest.has_earlier and latest.publishes == (named,), "the end of the log alone, and what it lacks is asked"
    assert "and earlier ones in that time: see `aetherfs history maps/roads`" in "\n".join(stats_lines(latest))
    assert newest.bytes and (named.kind, named.bytes, named.files) == ("tag", newest.bytes, newest.files)


async def check_begun_anew(swarm: Following, found: Stats) -> None:
    """A tracker that has not seen a move takes its begin from the log that another kept, which has it exactly."""
    figures, tag = swarm.tracker.state.figures, ("maps/roads", "stable")
    book, serial = figures.picture.book, found.publishes[-1].serial
    seen = book.rollouts.pop((*tag, serial))
    await figures._keep(seen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "tick", lambda: None)  # which sets the picture by the wall clock
        book.tags[tag].rollout, book.tags[tag].seen = None, 0
        await figures._look_up(tag)
        again, began = book.rollout_of(tag, serial), keeping.read(swarm.objects, *tag, serial).started_ms / 1000
        assert again is not None and again is not seen
        assert figures.picture.wall(again.started) == pytest.approx(began, abs=0.002), "not the entry's whole second"


def check_reads(found: Stats, version: str) -> None:
    (reads,) = found.reads
    assert (reads.version, reads.reads, reads.bytes) == (version, 2, 610_000)
    (file,) = reads.files
    # Of 1,200,000 bytes the first half was read once, and its very beginning twice.
    assert file.path == "large.bin" and file.heat[0] > 1 and file.heat[1:31] == (1.0,) * 30
    assert set(file.heat[33:]) == {0.0}
    text = "\n".join(stats_lines(found))
    assert "2 of 2" in text and "@-" not in text and "large.bin" in text


async def check_heat(node: PeerNode, version: str) -> None:
    """Others hear where in the version it is read, and not of which file."""
    end = time.monotonic() + PATIENCE_S
    # It is told of now and then, so also between two reads.
    while not (found := await told(node, "maps/roads")).heat or found.heat[0].reads < 2:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.1)
    (heat,) = found.heat
    assert (heat.version, heat.peers, heat.reads, heat.bytes) == (version, 1, 2, 610_000)
    assert sum(heat.stretches) == 610_000 and heat.stretches[0] == 0 < max(heat.stretches)
    assert b"large" not in msgspec.json.encode(found.heat)
    assert "read of" in "\n".join(stats_lines(found))


async def check_left(producer: PeerNode, version: str) -> Foreseen:
    """A forecast of a version that is not published yet is left with the trackers; of no dataset, none."""
    foreseen = Foreseen(2, 0, 6.25e6, 1000, 1.0, 2.0, 2.0, ((1.0, 1), (2.0, 2)))
    told = {"dataset": "maps/roads", "version": version, "forecast": msgspec.to_builtins(foreseen)}
    with pytest.raises(NotFoundError):
        await run(producer, "foreseen", **{**told, "dataset": "maps/nothing"})
    return msgspec.convert(await run(producer, "foreseen", **told), Foreseen)


async def check_performance(node: PeerNode, version: str, foreseen: Foreseen) -> None:
    """What the dashboard shows of it."""
    end = time.monotonic() + PATIENCE_S
    while (found := await performance(node)).caches.peers < 3:  # each tells of its own
        assert time.monotonic() < end, found
        await asyncio.sleep(0.1)
    newest = found.moves[0]
    assert (newest.version, newest.wanted, newest.current) == (version, 2, 2)
    assert newest.foreseen == foreseen and newest.completion.last_s is not None and newest.offload is not None
    assert [move.foreseen for move in found.moves[1:]] == [None] * (len(found.moves) - 1)
    assert {one.version: one.origins for one in found.versions}[version] >= 1
    assert [heat.bytes for heat in found.heat] == [610_000]
    assert found.bad_blocks == 0


async def performance(node: PeerNode) -> Performance:
    return await node.tracker.order("GET", "figures/performance/maps/roads", Performance)


async def check_difference(swarm: Following, node: PeerNode, first: str, second: str) -> None:
    """Two versions compared by the tracker, as ``aetherfs diff`` compares them."""
    ask = f"datasets/maps/roads/diff?from={first}&to={second}"
    with pytest.raises(UnreachableError, match="no peer runs beside this tracker"):
        await node.tracker.order("GET", ask, DiffAnswer)
    swarm.tracker.state.reader = Browsing(node)
    found = await node.tracker.order("GET", ask, DiffAnswer)
    assert (found.old, found.new, found.same, found.counts.changed, found.others) == (first, second, False, 1, 0)
    (change,) = found.changes
    assert change.path == "large.bin" and change.fetch_bytes == found.fetch_bytes == 1_200_000
    assert found.fetch_blocks > 1 and set(change.heat) == {1.0}
    with pytest.raises(UsageError):
        await node.tracker.order("GET", "datasets/maps/roads/diff?from=xyz&to=", DiffAnswer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("swarm.peer.browsing.COMPARED_MAX_FILES", 1)
        with pytest.raises(UsageError, match="use `aetherfs diff`"):
            await node.tracker.order("GET", ask, DiffAnswer)


def check_forecast(found: Stats) -> None:
    """The rollout stands beside the forecast of its version."""
    move = found.publishes[-1]
    actual = actual_of(move)
    assert actual is not None and actual.peers == 2
    foreseen = Kept(1.0, found.ref, found.dataset, move.version, Conditions(2, 1e6), 1, 1.0, 1.0, 1.0)
    book = with_actual(with_forecast(Book(), foreseen), found.dataset, move.version, actual)
    assert actual.last_s is not None
    assert calibration(book.kept, "last") == max(TOLD_FROM_S, actual.last_s)


async def check_without(swarm: Following, node: PeerNode) -> None:
    """Nothing in that time, nothing of that name, and what was read outlives the process."""
    nothing = await told(node, "maps/roads:stable", since_s=0)
    assert nothing.publishes == () and "publishes" in nothing.reasons
    assert any(line.startswith("nothing was published") for line in stats_lines(nothing))
    with pytest.raises(NotFoundError):
        await told(node, "maps/nothing")
    await swarm.stop(node)
    assert b'"large.bin"' in (node.home.read_state("reads.json") or b"")
