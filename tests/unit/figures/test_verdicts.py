"""The one sentence and the one word on a rollout in each of its states, and what events tell of who steered it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from swarm.log import Entry, Kind
from swarm.rollout import WHOLE, Action, Health, Plan, Rollout, Stage, acted, begun, went_at_once
from swarm.tracker.figures import views
from swarm.tracker.figures.acts import acts_of
from swarm.tracker.figures.peer_views import peer_view
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rollouts import RolloutFigures
from tests.reported import ROADS, V1, V2, entry, followed, key, report, who

WALL: Final = 1_700_000_000
TAG: Final = (ROADS, "stable")
V3: Final = bytes([3]) * 32
MANUAL: Final = Plan((Stage(("ring=canary",), 0), Stage((), 5000), Stage((), WHOLE)), None, None)
AUTO: Final = Plan(MANUAL.stages, 300, None)
RULED: Final = Plan(MANUAL.stages, 300, Health(100, 2, None))
NOBODY: Final = Plan((Stage((), 1), Stage((), WHOLE)), None, None)


class Told:
    """A swarm of three that follow the tag and have V1; what is published and done comes a second later each."""

    def __init__(self) -> None:
        self.picture = Picture(0.0, float(WALL))
        self.now, self.serial = 1.0, 1
        for number in (1, 2, 3):
            self.picture.report(who(number), report(1, followed(heard=0)), 0.5)
        self.picture.moved(entry(1, V1, wall_time=WALL + 1), 1.0)
        self.have(V1, 1, 2, 3)
        self.staged: Rollout | None = None
        self.log: list[Entry] = []

    def entry(self, kind: Kind, version: bytes, rollout: Rollout | None = None, message: str = "") -> None:
        self.serial, self.now = self.serial + 1, self.now + 1
        made = msgspec.structs.replace(
            entry(self.serial, version, wall_time=WALL + int(self.now)), kind=kind, message=message
        )
        if rollout is not None:
            made = msgspec.structs.replace(made, format=2, rollouts=(rollout,))
        self.log.append(made)
        self.picture.moved(made, self.now)

    def publish(self, plan: Plan, version: bytes = V2) -> None:
        since = WALL + int(self.now) + 1
        self.staged = begun("stable", version, V1, self.serial + 1, plan, since, f"peer:{key(99).hex()}")
        self.entry("publish", version, self.staged, "a survey")

    def do(self, action: Action, author: str = "user:alice", reason: str = "", *, full: bool = False) -> None:
        assert self.staged is not None
        said: dict[str, Any] = {"wall_time": WALL + int(self.now) + 1, "author": author, "reason": reason}
        self.staged = acted(self.staged, action, full=full, **said)
        self.entry("rollout", self.staged.target, self.staged)

    def have(self, version: bytes, *numbers: int, **more: Any) -> None:
        self.now += 1
        for number in numbers:
            told = followed(serial=self.serial, version=version, heard=self.serial, phase="current", **more)
            self.picture.report(who(number), report(round(self.now * 10), told), self.now)
        self.picture.tick(self.now, WALL + self.now)

    def held(self, *numbers: int, **more: Any) -> None:
        told = followed(serial=1, version=V1, heard=self.serial, cause="held-back", words="held back", **more)
        self.say(told, *numbers)

    def failed(self, *numbers: int) -> None:
        told = followed(target=self.serial, target_version=V2, heard=self.serial, phase="failed", cause="hook")
        self.say(told, *numbers)

    def say(self, told: Any, *numbers: int) -> None:
        self.now += 1
        for number in numbers:
            self.picture.report(who(number), report(round(self.now * 10), told), self.now)
        self.picture.tick(self.now, WALL + self.now)

    def rollout(self, serial: int = 0) -> RolloutFigures:
        found = self.picture.book.rollout_of(TAG, serial)
        assert found is not None
        return found

    def verdict(self, after_s: float = 0, serial: int = 0) -> tuple[str, str]:
        at = self.now + after_s
        trend, _, _, verdict = views.judged(self.rollout(serial), at, WALL + at)
        return trend, verdict.removeprefix("`stable` of maps/roads: ")

    def events(self, *kinds: str) -> list[str]:
        found = self.picture.happenings.after(0, 100)[0]
        return [one.text.removeprefix("stable of maps/roads") for one in found if one.kind in kinds]


@pytest.mark.parametrize(
    ("plan", "after_s", "waits"),
    [
        (MANUAL, 0, "waits for promote"),
        (AUTO, 60, "goes on in 4 min"),
        (AUTO, 297.5, "is about to go on"),
        (RULED, 60, "goes on in 4 min at the earliest, once 2 peers have it"),
        (RULED, 400, "goes on once 2 peers have it"),
    ],
)
def test_a_stage_that_is_done_says_what_it_waits_for(plan: Plan, after_s: float, waits: str) -> None:
    told = Told()
    told.publish(plan)
    told.held(2, 3)
    told.have(V2, 1)
    assert told.verdict(after_s) == ("running", f"1 of 3 current, stage 1 of 3 done, {waits}")


def test_a_stage_says_where_it_stands() -> None:
    told = Told()
    told.publish(MANUAL)
    told.held(2, 3)
    assert told.verdict() == ("running", "0 of 3 current, stage 1 of 3")
    told.failed(1)
    assert told.verdict() == ("failed", "0 of 3 current, 1 failed, stage 1 of 3"), "whom it holds back has not failed"
    told.have(V2, 1)
    told.do("pause", reason="the wind\nis `too` strong")
    assert told.verdict() == (
        "paused",
        "1 of 3 current, paused in stage 1 of 3 by user:alice (the wind is 'too' strong)",
    )
    told.do("promote", reason="it calmed down")
    assert told.verdict()[0] == "running", "promote lets what is paused go on"
    told.have(V2, 2, 3)
    trend, verdict = told.verdict()
    assert (trend, verdict[:13]) == ("running", "all 3 current")
    assert verdict.endswith(", stage 2 of 3 done, waits for promote")
    told.do("promote", "its plan", "stage 2 has lasted 300 s")
    assert told.verdict()[0] == "well"
    assert told.events("promoted") == [
        ": stage 2 of 3 begins, promoted by user:alice: it calmed down",
        ": everybody is let in, promoted by its plan: stage 2 has lasted 300 s",
    ]


def test_a_stage_that_lets_nobody_in_is_not_done() -> None:
    told = Told()
    told.publish(NOBODY)
    told.held(1, 2, 3)
    assert told.verdict() == ("running", "0 of 3 current, stage 1 of 2 lets nobody in, waits for promote")


def test_what_was_done_to_a_rollout_is_told_by_its_log_and_once_by_events() -> None:
    """A pause that lasts less than a second is told too; so is what came while nobody looked."""
    told = Told()
    told.publish(MANUAL)
    told.do("pause", reason="wind")
    told.do("resume")
    told.do("promote")
    told.do("abort", "its plan", "2 of 3 failed")
    told.publish(MANUAL, V3)
    kinds = ("moved", "paused", "resumed", "promoted", "aborted")
    acts = acts_of("stable", told.log)
    assert [(act.serial, act.kind, act.at) for act in acts] == [
        (number + 2, kind, WALL + 3.0 + number) for number, kind in enumerate(kinds)
    ]
    assert [act.text for act in acts[1:4]] == [
        "paused by user:alice: wind",
        "resumed by user:alice",
        "stage 2 of 3 begins, promoted by user:alice",
    ]
    assert acts[4].text.startswith("is aborted by its plan, back to ")
    events = told.picture.happenings.after(0, 100)[0]
    assert [(one.serial, one.kind) for one in events if one.kind in kinds][1:6] == [(a.serial, a.kind) for a in acts]
    told.do("pause")
    told.do("resume")
    told.picture.moved(told.log[-2], told.now)
    assert not told.rollout().is_paused, "what was told before undoes nothing"
    assert [act.kind for act in acts_of("stable", told.log[5:6])] == ["moved"], "what goes on has no end yet"


@pytest.mark.parametrize(
    ("action", "word", "kind"), [("rollback", "rolled back", "rolled-back"), ("abort", "aborted", "aborted")]
)
def test_what_is_taken_back_reads_so_with_who_and_why(action: Action, word: str, kind: str) -> None:
    told = Told()
    told.publish(MANUAL)
    told.held(2, 3)
    told.have(V2, 1)
    told.do(action, reason="ferries are missing")
    by = f"{word} by user:alice (ferries are missing)"
    told.have(V1, 2, 3)
    assert told.verdict() == ("running", f"{by}, 2 of 3 back")
    told.have(V1, 1)
    trend, verdict = told.verdict()
    assert (trend, verdict[: len(by) + 12]) == (word, f"{by}, all 3 back")
    assert told.verdict(serial=2) == ("taken back", f"{by}, 1 of 3 had it")
    assert told.events(kind) == [f" is {word} by user:alice, back to {V1.hex()[:12]}: ferries are missing"]
    assert told.events("done")[-1].startswith(": all 3 peers are back")
    rows = {row.serial: row for row in views.rollouts(told.picture, lambda _: True, told.now).rollouts}
    assert [(rows[serial].trend, rows[serial].by) for serial in (1, 2, 3)] == [
        ("well", ""),
        ("taken back", "user:alice"),
        (word, "user:alice"),
    ]
    assert (rows[3].back, rows[3].why) == (word, "ferries are missing")
    overall = views.overview(told.picture, lambda _: True, told.now)
    assert (overall.trend, overall.verdict) == (word, f"`stable` of maps/roads: {verdict}")
    assert overall.tags[0].back == word


def test_the_entry_of_a_version_is_the_one_that_brought_it_whatever_steered_it_since() -> None:
    told = Told()
    told.publish(MANUAL)
    told.do("pause")
    told.do("resume")
    told.have(V2, 1)
    told.held(2)
    peers = [told.picture.peers[key(number)] for number in (1, 2)]
    found = [peer_view(told.picture, peer, lambda _: True, "t", told.now).following for peer in peers]
    assert told.serial == 4
    assert [(each.serial, each.version) for (each,) in found] == [(2, V2.hex()), (1, V1.hex())]


def test_a_move_at_once_can_be_taken_back_and_says_by_whom() -> None:
    told = Told()
    told.entry("publish", V2)
    told.have(V2, 1, 2, 3)
    back = acted(
        went_at_once("stable", V2, V1, 2), "rollback", full=False, wall_time=WALL, author="user:bo", reason="no"
    )
    told.entry("rollout", V1, back)
    told.have(V1, 1, 2, 3)
    trend, verdict = told.verdict()
    assert (trend, verdict.split(", in ")[0]) == ("rolled back", "rolled back by user:bo (no), all 3 back")
    told.entry("rollback", V2, message="on the other hand")
    told.have(V2, 1, 2, 3)
    trend, verdict = told.verdict()
    assert trend == "rolled back"
    assert verdict.startswith("rolled back by peer:") and "(on the other hand), all 3 back" in verdict


def test_one_that_another_overtook_neither_runs_nor_stalls() -> None:
    told = Told()
    told.entry("publish", V2)
    told.have(V2, 1)
    told.entry("publish", V3)
    assert told.verdict(100, serial=2) == ("overtaken", "1 of 3 current when another came")
    assert told.verdict(100)[0] == "stalled"


def test_who_goes_back_has_fetched_nothing_for_it_before() -> None:
    told = Told()
    told.have(V1, 1, 2, 3, peers=400, origin=200)
    told.publish(MANUAL)
    told.held(2, 3, peers=400, origin=200)
    told.have(V2, 1, peers=900)
    told.do("abort")
    told.have(V1, 2, 3, peers=400, origin=200)
    told.have(V1, 1)
    assert told.rollout().sources() == (0, 0, 0, 0, 0)
    told.have(V1, 2, peers=500, origin=200)
    assert told.rollout().sources()[:2] == (100, 0)
    told.have(V1, 3, peers=7)
    assert told.rollout().sources()[:2] == (107, 0), "it had lost it and fetches it anew"


def test_what_takes_less_than_a_second_has_a_begin_and_an_end() -> None:
    told = Told()
    told.entry("publish", V2)
    began = told.now
    for number in (1, 2, 3):
        told.picture.report(
            who(number), report(99, followed(serial=2, version=V2, heard=2, phase="current")), began + 0.2
        )
    told.picture.tick(began + 1.1, WALL + began + 1.1)
    points = views.rollout_view(told.picture, told.rollout(), began + 5).points
    assert [(point.t_s, point.unaware, point.current) for point in points] == [(0.0, 3, 0), (0.2, 0, 3), (0.2, 0, 3)]


def test_entry_is_told_by_its_publisher_and_why() -> None:
    told = Told()
    told.publish(MANUAL)
    [first, second] = told.events("moved")
    assert "(publish by peer:" in first
    assert second.endswith(", stage 1 of 3): a survey")


def test_a_version_that_goes_elsewhere_is_no_news() -> None:
    told = Told()
    told.publish(MANUAL)
    assert told.staged is not None
    again: Entry = msgspec.structs.replace(
        entry(2, V2), kind="rollout", format=2, rollouts=(msgspec.structs.replace(told.staged, stage=1),)
    )
    told.picture.moved(again, told.now)
    assert told.events("promoted") == [], "an entry that was told before"
