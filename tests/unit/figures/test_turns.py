"""What is told as events of rollouts and other trackers: once, and not without end."""

from __future__ import annotations

import msgspec

from swarm.figure_messages import Event
from swarm.log import Entry
from swarm.reports import Followed, Step
from swarm.rollout import Plan, Rollout, Stage
from swarm.rollout import State as Standing
from swarm.tracker.figures.happenings import Happenings
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.turns import OtherTrackers
from tests.reported import ROADS, V1, V2, entry, followed, key, report, who

WALL = 1_700_000_000.0


def told(picture: Picture, *kinds: str) -> list[Event]:
    return [event for event in picture.happenings.after(0, 1000)[0] if event.kind in kinds]


def fetching(done: int = 0, wire: int = 0) -> Followed:
    return followed(target=1, target_version=V1, heard=1, phase="fetching", done_bytes=done, wire=wire)


def following(peers: int) -> Picture:
    """So many peers follow a tag that was moved just now."""
    picture = Picture(0.0, WALL)
    for number in range(1, peers + 1):
        picture.report(who(number), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
    return picture


def steered(serial: int, state: Standing) -> Entry:
    stage = Rollout("stable", V1, V2, 1, Plan((Stage((), 100),), None, None), 0, state, 0, "ann", "too slow")
    return msgspec.structs.replace(entry(serial, V1, wall_time=int(WALL)), kind="rollout", rollouts=(stage,))


def test_a_rollout_begins_once_and_before_it_is_done() -> None:
    picture = following(2)
    picture.tick(1.5, WALL + 1.5)
    assert told(picture, "begun") == []
    for at in (2.0, 3.0):
        picture.report(who(1), report(int(at), fetching(int(at))), at)
        picture.tick(at, WALL + at)
    for number in (1, 2):
        picture.report(who(number), report(9, followed(serial=1, version=V1, heard=1, phase="current")), 4.0)
    picture.tick(4.5, WALL + 4.5)
    assert [event.kind for event in told(picture, "moved", "begun", "done")] == ["moved", "begun", "done"]
    (begun,) = told(picture, "begun")
    assert (begun.dataset, begun.tag, begun.serial, begun.at) == (ROADS, "stable", 1, WALL + 2)
    assert begun.text == "stable of maps/roads: the first of 2 peers that follow it has begun"


def test_a_tracker_that_starts_does_not_say_that_an_old_rollout_begins() -> None:
    picture = Picture(100.0, WALL)
    picture.report(who(1), report(1, fetching()), 101.0)
    picture.found((ROADS, "stable"), entry(1, V1, wall_time=int(WALL) - 50), V1, 101.5)
    picture.tick(102.0, WALL + 2)
    assert told(picture, "begun") == []


FOLLOWED_MS = 200_000


def came(age_s: int) -> Followed:
    """It has had version 1 for so long, and follows the tag since before."""
    steps = (Step(1, "current", 1000 * age_s),)
    return followed(serial=1, version=V1, heard=1, phase="current", steps=steps, age_ms=FOLLOWED_MS)


def started_anew() -> Picture:
    """A tracker that began 50 s after a tag was moved, and has heard of one that follows it and has the version."""
    picture = Picture(100.0, WALL)
    picture.report(who(1), report(1, came(40)), 100.5)
    picture.found((ROADS, "stable"), entry(1, V1, wall_time=int(WALL) - 50), V1, 101.0)
    return picture


def test_a_rollout_is_not_done_because_a_tracker_that_starts_has_heard_only_of_those_that_have_it() -> None:
    picture = started_anew()
    assert picture.tick(102.0, WALL + 2).ended == ()
    picture.report(who(2), report(1, msgspec.structs.replace(fetching(), age_ms=FOLLOWED_MS)), 104.0)
    assert picture.tick(120.0, WALL + 20).ended == ()
    picture.report(who(2), report(2, came(0)), 121.0)
    assert len(picture.tick(122.0, WALL + 22).ended) == 1
    (done,) = told(picture, "done")
    assert done.text == "stable of maps/roads: all 2 peers are current, the last after 71 s"


def test_what_was_done_before_a_tracker_started_is_over_and_no_news() -> None:
    picture = started_anew()
    assert picture.tick(102.0, WALL + 2).ended == ()
    (rollout,) = picture.tick(120.0, WALL + 20).ended
    assert rollout.ended == 60.5 and told(picture, "done") == []


def test_what_is_published_just_after_a_tracker_began_anew_is_not_done_because_the_first_few_have_it() -> None:
    picture = following(2)
    picture.is_new_swarm = False
    for number in (1, 2):
        picture.report(who(number), report(9, followed(serial=1, version=V1, heard=1, phase="current")), 4.0)
    assert picture.tick(4.5, WALL + 4.5).ended == ()
    picture.report(who(3), report(1, msgspec.structs.replace(fetching(), age_ms=FOLLOWED_MS)), 6.0)
    assert picture.tick(11.0, WALL + 11).ended == ()
    picture.report(who(3), report(2, followed(serial=1, version=V1, heard=1, phase="current")), 12.0)
    assert len(picture.tick(12.5, WALL + 12.5).ended) == 1
    assert [event.text for event in told(picture, "done")] == [
        "stable of maps/roads: all 3 peers are current, the last after 11 s"
    ]


def test_who_holds_a_rollout_and_lets_it_go_on_is_told_once() -> None:
    picture = following(1)
    turns: tuple[tuple[int, Standing, float], ...] = ((2, "paused", 2.0), (3, "running", 4.0))
    for serial, state, at in turns:
        picture.moved(steered(serial, state), at)
        for later in (0.1, 0.9):
            picture.tick(at + later, WALL + at + later)
    texts = [(event.kind, event.text) for event in told(picture, "paused", "resumed")]
    where = "stable of maps/roads"
    assert texts == [("paused", f"{where}: paused by ann: too slow"), ("resumed", f"{where}: resumed by ann: too slow")]


def test_a_tracker_that_starts_finds_that_a_rollout_is_held() -> None:
    picture = Picture(100.0, WALL)
    picture.report(who(1), report(1, followed(heard=1)), 101.0)
    picture.found((ROADS, "stable"), steered(2, "paused"), V1, 101.5)
    rollout = picture.book.rollout_of((ROADS, "stable"), 0)
    assert rollout is not None
    assert rollout.is_paused


def test_peers_that_fail_are_told_once_each_and_many_together() -> None:
    picture = following(100)
    failed = followed(target=1, target_version=V1, heard=1, phase="failed", cause="disk-full", words="the disk is full")
    for number in range(1, 101):
        at = 2.0 + number
        picture.report(who(number), report(int(at), failed), at)
        picture.report(who(number), report(int(at) + 1, fetching()), at)
        picture.report(who(number), report(int(at) + 2, failed), at)
        picture.tick(at, WALL + at)
    found = told(picture, "failed")
    assert len(found) == 8 + 3  # and then 16, 32 and 64
    assert found[0].text == "stable of maps/roads: peer peer1 at paris failed: the disk is full"
    assert (found[0].peer, found[0].site, found[0].severity) == ("peer1", "paris", "warning")
    assert "16 peers or more failed, the last peer peer16" in found[8].text
    assert found[8].peer == "", "which came last is not the same at every tracker"


def test_a_rollout_that_stalls_again_and_again_is_told_now_and_then() -> None:
    picture, last = following(1), 0
    picture.report(who(1), report(2, fetching(1)), 2.0)
    for at in range(3, 903):
        if at % 40 == 0:
            picture.report(who(1), report(at, fetching(at)), float(at))
        else:
            picture.heard(who(1), float(at))
        picture.tick(float(at), WALL + at)
        found = told(picture, "stalled")
        last = last or (at if found else 0)
    assert 30 <= last - 2 <= 36
    assert len(found) == 2
    assert found[0].text == "stable of maps/roads: 1 of 1 are behind and nothing moves"


def test_a_link_so_slow_that_no_block_is_whole_for_long_does_not_stall() -> None:
    picture = following(1)
    for at in range(3, 93, 10):
        picture.report(who(1), report(at, fetching(0, wire=1000 * at)), float(at))
        picture.tick(float(at), WALL + at)
    assert told(picture, "stalled") == []
    for at in range(93, 133):
        picture.heard(who(1), float(at))
        picture.tick(float(at), WALL + at)
    assert len(told(picture, "stalled")) == 1, "no byte more comes"


def test_what_is_held_does_not_stall() -> None:
    picture = following(1)
    picture.moved(steered(2, "paused"), 2.0)
    for at in range(3, 60):
        picture.heard(who(1), float(at))
        picture.tick(float(at), WALL + at)
    assert told(picture, "stalled") == []


def test_other_trackers_are_told_when_they_change_and_not_too_often() -> None:
    happenings = Happenings()
    others = OtherTrackers(happenings)
    one, two = key(1).hex(), key(2).hex()
    others.look({one: "10.0.0.1:7443"}, (), 0.0, WALL)
    assert happenings.number == 0
    both = {one: "10.0.0.1:7443", two: "10.0.0.2:7443"}
    others.look(both, (), 1.0, WALL + 1)
    for second in range(2, 122):
        others.look(both, (one,) if second % 2 else (), float(second), WALL + second)
    others.look({one: "10.0.0.1:7443"}, (), 130.0, WALL + 130)
    texts = [(event.peer, event.text.split(" ", 4)[-1], event.severity) for event in happenings.after(0, 100)[0]]
    assert texts == [
        (two, "answers", "info"),
        (one, "does not answer", "warning"),
        (one, "answers", "info"),
        (two, "is not listed any more", "warning"),
    ]
