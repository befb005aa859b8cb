"""Several trackers tell one log of events, and a rollout's acts; one that begins anew knows what happened before it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import pytest

from swarm.figure_messages import Event, RolloutAct
from swarm.identity import PeerKey
from swarm.objects import ObjectStore
from swarm.objects.folder import FolderObjectStore
from swarm.rollout import WHOLE, Action, Plan, Stage, acted
from swarm.tracker.figures import event_pages, uniting
from swarm.tracker.figures.happened import Happened
from swarm.tracker.figures.happenings import Happenings
from swarm.tracker.server import Tracker
from tests.integration.tracker_rig import STORE_KEY, Rig, publish, running_tracker, until
from tests.reported import ROADS, V1, V2

TAG: Final = (ROADS, "stable")
PLAN: Final = Plan((Stage(("ring=canary",), 0), Stage((), 5000), Stage((), WHOLE)), None, None)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uniting, "ASK_S", 0.05)


@asynccontextmanager
async def started(objects: ObjectStore) -> AsyncIterator[Tracker]:
    tracker = await Tracker.start(objects, STORE_KEY, PeerKey(os.urandom(32)), "127.0.0.1", 0)
    try:
        yield tracker
    finally:
        await tracker.close()


async def do(tracker: Tracker, action: Action) -> None:
    """What an operator asks a tracker for."""
    state, now = tracker.state, time.time()
    change = partial(acted, action=action, full=False, wall_time=int(now), author="user:ann", reason="wind")
    done = await state.work(state.rolling.change, *TAG, change, now)
    assert done is not None
    state.committed(ROADS, done[1].serial, done[0])


async def staged(rig: Rig) -> None:
    """Two versions, of which the second goes out in stages."""
    seed, member, state = await rig.member("seed"), await rig.member(), rig.tracker.state
    await publish(member, seed, *TAG, V1)
    done = await state.work(state.rolling.set_plan, *TAG, PLAN, "ann", time.time())
    assert done is not None
    state.committed(ROADS, done[1].serial, done[0])
    await publish(member, seed, *TAG, V2)


def events(tracker: Tracker, *kinds: str) -> list[Event]:
    found, _ = tracker.state.figures.picture.happenings.after(0, 1000)
    return sorted((one for one in found if one.kind in kinds or not kinds), key=lambda one: (one.at, one.id))


def ids(tracker: Tracker) -> list[tuple[str, float, str]]:
    return [(one.id, one.at, one.text) for one in events(tracker)]


def acts(tracker: Tracker) -> list[tuple[int, str]]:
    return sorted(
        (one.serial, one.kind) for one in events(tracker, "moved", "paused", "resumed", "promoted", "aborted")
    )


async def acts_of(tracker: Tracker, serial: int = 3) -> tuple[RolloutAct, ...]:
    return (await tracker.state.figures.rollout_log(TAG, serial, 0, 10, 0)).acts


ALL_ACTS: Final = [(1, "moved"), (3, "moved"), (4, "paused"), (5, "resumed"), (6, "promoted")]


def run(scenario: Callable[[], Any]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scenario()

    asyncio.run(bounded())


def test_two_trackers_tell_one_log_and_a_third_that_begins_later_tells_it_too(tmp_path: Path) -> None:
    async def main() -> None:
        objects = FolderObjectStore(tmp_path / "objects")
        async with running_tracker(tmp_path / "homes", objects) as rig, started(objects) as two:
            await of_two(rig, two)
            async with started(objects) as three:
                begun = rig.tracker.state.figures.picture.happenings.begun_ms
                await until(lambda: three.state.figures.picture.happenings.since_ms <= begun)
                assert acts(three) == ALL_ACTS

    run(main)


async def of_two(rig: Rig, two: Tracker) -> None:
    one = rig.tracker
    await until(lambda: one.state.pushes.others and two.state.pushes.others)
    await staged(rig)
    await do(two, "pause")
    await do(two, "resume")
    await do(one, "promote")
    await until(lambda: acts(one) == acts(two) == ALL_ACTS)
    await until(lambda: ids(one) == ids(two))
    for tracker in (one, two):  # of the log as it was read lately
        while [(act.serial, act.kind) for act in await acts_of(tracker)] != ALL_ACTS[1:]:
            await asyncio.sleep(0.05)
    told = await acts_of(one)
    assert told[1].text == "paused by user:ann: wind"
    assert await acts_of(two) == told


def test_a_tracker_alone_knows_after_its_end_what_was_before(tmp_path: Path) -> None:
    async def main() -> None:
        objects = FolderObjectStore(tmp_path / "objects")
        async with running_tracker(tmp_path / "homes", objects) as rig:
            await staged(rig)
            await do(rig.tracker, "pause")
            await until(lambda: events(rig.tracker, "tracker"))
            await rig.tracker.close()
            async with started(objects) as again:
                await until(lambda: len(events(again, "tracker")) == 3)
                assert acts(again) == ALL_ACTS[:3]
                texts = [event.text.split(" ", 4)[-1] for event in events(again, "tracker")]
                assert texts == ["has begun", "has ended", "has begun"], "between the last two nobody looked"
                happenings = again.state.figures.picture.happenings
                assert happenings.since_ms == happenings.begun_ms, "and so it says"
            # What it regained is not its own: it leaves that to the page that it has.
            pages = event_pages.read(objects, again.state.keys.authority.trust, time.time())
            assert [page.kind for page in pages].count("paused") == 1
            for key in objects.list(event_pages.PREFIX):
                objects.delete(key)
            async with started(objects) as killed:
                await until(lambda: events(killed, "tracker"))
                assert acts(killed) == []
                await killed.state.figures._look_up(TAG)
                assert acts(killed) == ALL_ACTS[:3], "what was not kept in time is in the log"

    run(main)


def test_what_was_seen_is_kept_soon_and_in_busy_times_once_a_minute() -> None:
    happenings = Happenings()
    keeping = uniting.Uniting(cast(Any, None), happenings)
    due = []
    for second in range(200):
        if second == 10 or 20 <= second < 120:
            happenings.add("died", float(second), "a peer died", occasion=str(second))
        if keeping._is_due(float(second)):
            due.append(second)
            keeping._written = happenings.own_count
    assert due == [16, 76, 136], "a few seconds after the first; then a minute later each, and not without news"


@pytest.mark.parametrize("begun_hour", [0, 1 << 20])
def test_a_clock_that_was_set_by_years_costs_no_more_than_the_pages_that_are_kept(
    tmp_path: Path, begun_hour: int
) -> None:
    looked_for: list[int] = []

    class Counted(Happenings):
        def own(self, from_ms: int, to_ms: int) -> list[Happened]:
            looked_for.append(from_ms // event_pages.HOUR_MS)
            return super().own(from_ms, to_ms)

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            keeping = uniting.Uniting(rig.tracker.state, Counted())
            keeping._hour = begun_hour
            keeping._tell("has begun")
            await keeping.keep()
            hour = event_pages.hour_of(time.time())
            assert looked_for[-1] in (hour, hour - 1)
            assert len(looked_for) <= event_pages.HOURS_KEPT + 1

    run(main)


def test_pages_go_after_two_days_and_damaged_ones_are_passed_over(tmp_path: Path) -> None:
    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            state, now = rig.tracker.state, time.time()
            await until(lambda: events(rig.tracker, "tracker"))
            [seen] = state.figures.picture.happenings.told(0, 1)[0]
            authority, hour = state.keys.authority, event_pages.hour_of(now)
            for back in (0, 47, 49):
                event_pages.write(rig.objects, authority, hour - back, "peer.1", [seen] * (1 + back), now)
            rig.objects.put(event_pages.key_of(hour, "peer.2"), b"damaged")
            assert len(event_pages.read(rig.objects, authority.trust, now)) == 1 + 48
            event_pages.forget(rig.objects, now)
            assert len(rig.objects.list(event_pages.PREFIX)) == 3

    run(main)
