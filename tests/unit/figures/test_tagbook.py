"""Tags that come and go: those that peers follow are known, however many others were there."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.log import Entry, Move
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.figures import keeping, tagbook
from swarm.tracker.figures.picture import Picture
from tests.integration.tracker_rig import TOTALS
from tests.reported import ROADS, V1, V2, followed, key, report, who

WALL = 1_700_000_000.0


def moved(serial: int, tag: str, version: bytes | None) -> Entry:
    kind = "publish" if version is not None else "rm"
    totals = TOTALS if version is not None else None
    return Entry(1, ROADS, serial, bytes(32), 0, kind, (Move(tag, version),), "", totals, key(99))  # type: ignore[arg-type]


def test_tags_that_were_removed_leave_nothing_behind() -> None:
    picture = Picture(0.0, WALL)
    for number in range(3):
        picture.moved(moved(1 + 2 * number, f"run{number}", V1), 1.0)
        picture.moved(moved(2 + 2 * number, f"run{number}", None), 1.0)
        picture.check_invariants()
    assert not picture.tags


def test_a_removal_that_is_heard_late_ends_nothing_and_what_was_removed_does_not_come_back() -> None:
    """Entries that are told of at once are read side by side."""
    picture = Picture(0.0, WALL)
    picture.report(who(1), report(1, followed(heard=0)), 1.0)
    for serial, version in ((1, V1), (3, V2), (2, None)):
        picture.moved(moved(serial, "stable", version), 2.0)
    rollout = picture.book.rollout_of((ROADS, "stable"), 0)
    assert rollout is not None and rollout.serial == 3
    for serial, version in ((5, None), (4, V1)):
        picture.moved(moved(serial, "stable", version), 3.0)
    assert picture.book.rollout_of((ROADS, "stable"), 0) is None
    picture.moved(moved(6, "stable", V1), 4.0)
    assert picture.book.rollout_of((ROADS, "stable"), 6) is not None
    picture.check_invariants()


def test_a_tag_that_is_followed_is_seen_whatever_moved_before() -> None:
    picture = Picture(0.0, WALL)
    for serial in range(1, tagbook.TAGS_MAX + 11):
        picture.moved(moved(serial, f"run{serial}", V1), 1.0)
    assert len(picture.tags) == tagbook.TAGS_MAX
    picture.report(who(1), report(1, followed(heard=0)), 2.0)
    picture.moved(moved(9000, "stable", V1), 3.0)
    picture.check_invariants()
    rollout = picture.book.rollout_of((ROADS, "stable"), 0)
    assert rollout is not None
    assert (rollout.serial, rollout.wanted) == (9000, 1)
    assert (ROADS, "run1") not in picture.tags  # the oldest that nobody follows went


def test_what_peers_follow_is_not_thrown_out() -> None:
    picture = Picture(0.0, WALL)
    picture.moved(moved(1, "stable", V1), 1.0)
    picture.report(who(1), report(1, followed(heard=1)), 2.0)
    for serial in range(2, tagbook.TAGS_MAX + 20):
        picture.moved(moved(serial, f"run{serial}", V1), 3.0)
    assert picture.tags[ROADS, "stable"].followers == {key(1): None}
    picture.left(key(1), 4.0)
    picture.moved(moved(9000, "stable", None), 5.0)
    assert (ROADS, "stable") not in picture.tags
    picture.check_invariants()


def test_what_was_fetched_before_this_tracker_began_counts() -> None:
    picture = Picture(0.0, WALL)
    done: dict[str, Any] = {"serial": 5, "version": V1, "heard": 5, "phase": "current", "age_ms": 90_000}
    for number, (peers, origin) in enumerate(((0, 1000), (1000, 0)), 1):
        picture.report(who(number), report(1, followed(**done, peers=peers, origin=origin)), 1.0)
    picture.found((ROADS, "stable"), moved(5, "stable", V1), V1, 2.0)
    rollout = picture.book.rollout_of((ROADS, "stable"), 5)
    assert rollout is not None
    assert rollout.sources()[:2] == (1000, 1000)


def test_who_goes_back_to_a_version_has_fetched_it_before_the_move() -> None:
    picture = Picture(0.0, WALL)
    told: dict[str, Any] = {"version": V1, "phase": "current", "origin": 1000}
    picture.report(who(1), report(1, followed(**told, serial=5, heard=5)), 1.0)
    picture.moved(moved(6, "stable", V1), 2.0)
    picture.report(who(1), report(2, followed(**told, serial=6, heard=6)), 3.0)
    rollout = picture.book.rollout_of((ROADS, "stable"), 6)
    assert rollout is not None
    assert rollout.sources()[:2] == (0, 0)


def test_who_began_later_than_a_move_counts_as_the_log_has_it_that_was_kept() -> None:
    """Tracker and peers began anew: they know that they are current, and a log knows since when."""
    seen = Picture(0.0, WALL)
    done: dict[str, Any] = {"serial": 5, "version": V1, "heard": 5, "phase": "current"}
    for number in (1, 2):
        seen.report(who(number), report(1, followed(serial=4, version=V2, heard=4, phase="current")), 1.0)
    seen.moved(moved(5, "stable", V1), 10.25)
    for number in (1, 2):
        seen.report(who(number), report(2, followed(**done)), 11.0 + number)
        seen.tick(11.0 + number, WALL + 11.0 + number)
    objects, first = MemoryObjectStore(), seen.book.rollout_of((ROADS, "stable"), 5)
    assert first is not None and keeping.write(objects, keeping.kept_of(seen, first))

    anew = Picture(300.0, WALL + 300.0)
    early, late, other = (followed(**done, age_ms=age_ms) for age_ms in (5000, 2000, 3000))
    anew.report(who(1), report(1, early), 302.0)
    before = keeping.before(objects, ROADS, "stable", 5)
    anew.found((ROADS, "stable"), moved(5, "stable", V1), V1, 303.0, before)
    anew.report(who(2), report(1, late), 304.0)
    again = anew.book.rollout_of((ROADS, "stable"), 5)
    assert again is not None and again.done == pytest.approx([1.75, 2.75]) == first.done
    for at in (305.0, 320.0):
        anew.tick(at, WALL + at)
    assert again.ended is not None and first.ended is not None
    assert again.ended - again.started == pytest.approx(first.ended - first.started)
    anew.report(who(3), report(1, other), 306.0)
    assert again.done == pytest.approx([1.75, 2.75]), "of who is not in it nothing is known"
    anew.check_invariants()
    assert keeping.before(objects, ROADS, "stable", 4) is None
