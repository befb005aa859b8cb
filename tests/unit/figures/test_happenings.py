"""One log of events, whichever trackers saw them: united without doubles, bounded in what others can add."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.figure_messages import Event
from swarm.tracker.figures.happened import TOLD_MAX, Happened
from swarm.tracker.figures.happenings import AGE_MAX_S, AHEAD_MAX_S, COMINGS_MAX, KEPT_MAX, Happenings
from swarm.tracker.figures.picture import Picture
from tests.reported import V1, V2, entry, followed, key, report, who

WALL = 1_700_000_000.0


@dataclass
class Trackers:
    """Some trackers that ask one another, as ``uniting`` does it."""

    all: list[Happenings]
    had: dict[tuple[int, int], int] = field(default_factory=dict)

    def ask(self, one: int, other: int) -> None:
        events, following, is_all = self.all[other].told(self.had.get((one, other), 0), TOLD_MAX)
        assert is_all
        self.had[one, other] = following
        self.all[one].take(events, WALL)
        self.all[one].regained(self.all[other].since_ms, WALL)
        self.all[one].check_invariants()

    def unite(self) -> None:
        for one in range(len(self.all)):
            for other in range(len(self.all)):
                if one != other:
                    self.ask(one, other)

    def are_at_rest(self) -> bool:
        """Whether nobody has anything to tell."""
        before = [each.number for each in self.all]
        self.unite()
        return before == [each.number for each in self.all]


def shown(happenings: Happenings) -> list[Event]:
    """All events, in the order of their time, but for numbers and former ids, which are each tracker's own."""
    found = [msgspec.structs.replace(event, number=0, was="") for event in happenings.after(0, 10_000)[0]]
    return sorted(found, key=lambda event: (event.at, event.id))


def death(number: int, at: float = WALL) -> Happened:
    return Happened(round(1000 * at), "died", f"peer {number} is gone", f"peer{number}", "", "", "", 0, "warning", "")


def test_two_trackers_that_saw_the_same_a_little_later_show_it_once_and_alike() -> None:
    pictures = [Picture(0.0, WALL), Picture(0.0, WALL)]
    for late, picture in zip((0.0, 0.4), pictures, strict=True):
        for number in range(1, 13):
            picture.report(who(number), report(1, followed(heard=0)), 1.0 + late)
        picture.moved(entry(1, V1, wall_time=int(WALL)), 2.0 + late)
        failed = followed(target=1, target_version=V1, heard=1, phase="failed", cause="disk-full", words="full")
        for number in range(1, 10):
            picture.report(who(number), report(2, failed), 3.0 + late)
        picture.report(who(10), report(2, followed(serial=1, version=V1, heard=1, phase="current")), 3.2 + late)
        fetching = followed(target=1, target_version=V1, heard=1, phase="fetching", done_bytes=1)
        picture.report(who(12), report(2, fetching), 3.4 + late)
        for second in range(4, 120):
            for number in (*range(1, 10), 12):
                picture.heard(who(number), second + late)
            picture.tick(second + late, WALL + second + late)
        picture.left(key(9), 121.0 + late)
        picture.report(who(10), report(3, followed(serial=1, version=V1, heard=1, phase="current")), 122.0 + late)
        picture.check_invariants()
    kinds = {event.kind for event in pictures[0].happenings.after(0, 1000)[0]}
    assert kinds == {"joined", "moved", "begun", "failed", "stalled", "died", "left", "back"}
    trackers = Trackers([picture.happenings for picture in pictures])
    counts = [len(shown(each)) for each in trackers.all]
    trackers.unite()
    assert [len(shown(each)) for each in trackers.all] == counts, "nothing is doubled"
    assert shown(trackers.all[0]) == shown(trackers.all[1])


def test_what_one_alone_saw_all_show_and_one_that_begins_anew_regains_it() -> None:
    trackers = Trackers([Happenings(begun=WALL - 100 * number) for number in range(3)])
    trackers.all[0].add("died", WALL - 10, "a peer is gone", peer="peer1", occasion="7.3")
    trackers.all[1].add("alert", WALL - 9, "disk", occasion="a1")
    trackers.all[2].add("alert", WALL - 5, "disk", occasion="a1")
    trackers.all[2].add("alert", WALL - 3, "disk", occasion="another")
    trackers.unite()
    assert trackers.are_at_rest()
    first = shown(trackers.all[0])
    assert [(event.kind, event.at) for event in first] == [
        ("died", WALL - 10),
        ("alert", WALL - 9),
        ("alert", WALL - 3),
    ]
    assert all(shown(each) == first for each in trackers.all)
    assert {each.since_ms for each in trackers.all} == {round(1000 * (WALL - 200))}, "one was there all the time"
    trackers.all[1], trackers.had = Happenings(begun=WALL), {}
    trackers.unite()
    assert (shown(trackers.all[1]), trackers.all[1].since_ms) == (first, round(1000 * (WALL - 200)))


def test_who_begins_anew_does_not_claim_to_know_what_is_too_old_to_be_taken() -> None:
    trackers = Trackers([Happenings(begun=WALL - 3 * AGE_MAX_S), Happenings(begun=WALL)])
    for age_s in (2 * AGE_MAX_S, 60.0):
        trackers.all[0].add("died", WALL - age_s, "a peer is gone", occasion=str(age_s))
    trackers.unite()
    assert [event.at for event in shown(trackers.all[1])] == [WALL - 60]
    assert trackers.all[1].since_ms == round(1000 * (WALL - AGE_MAX_S))


def test_the_same_again_after_a_while_is_another_event() -> None:
    happenings = Happenings()
    for at in (0.0, 44.0, 100.0, 101.0):
        happenings.take([Happened(round(1000 * (WALL + at)), "alert", "disk", "", "", "", "", 0, "info", "a1")], WALL)
    assert [event.at for event in shown(happenings)] == [WALL, WALL + 100]


def test_whoever_was_told_of_it_by_another_id_can_drop_that() -> None:
    """What is close in time is one, and the time is in its id: who looks on would see it twice."""
    happenings, found = Happenings(), list[Event]()
    for at in (2.0, 1.0, 1.5, 0.0):
        happenings.take([Happened(round(1000 * (WALL + at)), "alert", "disk", "", "", "", "", 0, "info", "a1")], WALL)
        found += happenings.after(found[-1].number if found else 0, 9)[0]
    assert [event.at - WALL for event in found] == [2.0, 1.0, 0.0]
    assert [event.was for event in found] == ["", found[0].id, found[1].id]
    happenings.take([death(1, WALL - at) for at in (0, 1)], WALL)
    assert happenings.after(0, 9)[0][-1].was == "", "its id stays"


def test_acts_of_one_second_are_told_apart_by_their_entries() -> None:
    picture = Picture(0.0, WALL)
    for serial, version in ((1, V1), (2, V2), (3, V1)):
        picture.moved(entry(serial, version, wall_time=int(WALL)), 1.0)
    assert sorted(event.serial for event in shown(picture.happenings)) == [1, 2, 3]


def test_a_peer_that_dies_and_comes_back_again_and_again_is_told_each_time() -> None:
    picture = Picture(0.0, WALL)
    for round_s in (0.0, 200.0):
        for sequence in range(4):
            at = round_s + sequence
            picture.report(who(1), report(round(at) + 1, followed(heard=0)), at)
        for second in range(5, 199):
            picture.tick(round_s + second, WALL + round_s + second)
    picture.heard(who(1), 400.0)
    kinds = [event.kind for event in picture.happenings.after(0, 100)[0]]
    assert kinds == ["joined", "died", "back", "died", "back"]


def _visit(picture: Picture, came: float, went: float, epoch: int) -> None:
    picture.report(who(1), report(1, followed(heard=0), epoch=epoch), came)
    for tenth in range(round(10 * came), round(10 * went), 10):
        picture.heard(who(1), tenth / 10)
        picture.tick(tenth / 10, WALL + tenth / 10)
        picture.check_invariants()
    picture.left(key(1), went)
    picture.check_invariants()


def _kinds(picture: Picture) -> list[tuple[str, float]]:
    return [(event.kind, event.at - WALL) for event in picture.happenings.after(0, 100)[0]]


def test_who_is_there_for_a_command_alone_is_told_neither_as_back_nor_as_left() -> None:
    picture = Picture(0.0, WALL)
    _visit(picture, 1.0, 9.0, epoch=1)
    known = [("joined", 1.0), ("left", 9.0)]
    for number in range(10):
        _visit(picture, 20.0 + 70 * number, 79.0 + 70 * number, epoch=2 + number)
    assert _kinds(picture) == known, "it came for the first time, and that is all"
    _visit(picture, 800.0, 862.0, epoch=20)
    assert _kinds(picture) == [*known, ("back", 800.0), ("left", 862.0)]
    picture.report(who(1), report(1, followed(heard=0), epoch=21), 900.0)
    for second in range(901, 1200):
        picture.tick(second, WALL + second)
    assert [kind for kind, _ in _kinds(picture)[4:]] == ["back", "died"], "killed in its command, both are told"
    picture.report(who(1), report(1, followed(heard=0), epoch=22), 1200.0)
    picture.left(key(1), 1201.0)
    assert _kinds(picture)[6:] == [("back", 1200.0), ("left", 1201.0)], "whose death was told comes back at once"


def coming(number: int, at: float, peer: str = "peer1") -> Happened:
    return Happened(round(1000 * at), "back", f"{peer} is back", peer, "", "", "", 0, "info", str(number))


def test_a_peer_that_comes_and_goes_drives_nothing_else_out() -> None:
    happenings = Happenings(begun=WALL - 9000)
    happenings.add("died", WALL - 8000, "seen here", peer="peer1")
    for number in range(3 * KEPT_MAX):
        happenings.add(("left", "back", "joined")[number % 3], WALL + number, "", peer="peer1", occasion=str(number))
    happenings.check_invariants()
    last = [WALL + number for number in range(3 * KEPT_MAX - COMINGS_MAX, 3 * KEPT_MAX)]
    assert [event.at for event in happenings.after(0, 100)[0]] == [WALL - 8000, *last]
    assert happenings.since_ms == round(1000 * (WALL - 9000)), "nobody lacks what was let go"
    assert not happenings.after(1, 100)[1]


def test_trackers_that_saw_other_comings_of_a_peer_keep_the_same_last_ones() -> None:
    trackers = Trackers([Happenings(), Happenings()])
    for number in range(60):
        trackers.all[number % 2].add("back", WALL - number, "peer1 is back", peer="peer1", occasion=str(number))
    trackers.unite()
    assert trackers.are_at_rest()
    kept = [event.at for event in shown(trackers.all[0])]
    assert kept == [event.at for event in shown(trackers.all[1])] == [WALL - number for number in range(19, -1, -1)]


def test_what_others_tell_of_comings_drives_out_few_that_were_seen_here() -> None:
    happenings = Happenings()
    for number in range(COMINGS_MAX):
        happenings.add("back", WALL, "seen here", peer="peer1", occasion=str(number))
    happenings.take((coming(number, WALL + 60) for number in range(100, 10_000)), WALL)
    happenings.check_invariants()
    assert [event.text for event in shown(happenings)].count("seen here") == COMINGS_MAX // 2


def test_what_others_tell_drives_out_nothing_that_was_seen_here() -> None:
    happenings = Happenings(most=10)
    for number in range(5):
        happenings.add("died", WALL, "seen here", peer=f"own{number}")
    happenings.take((death(number) for number in range(10_000)), WALL)
    happenings.check_invariants()
    told = happenings.after(0, 100)[0]
    assert [event.text for event in told[:5]] == ["seen here"] * 5
    assert [event.peer for event in told[5:]] == [f"peer{number}" for number in range(9995, 10_000)]
    assert happenings.since_ms == round(1000 * WALL), "what was let go is said"
    assert (happenings.after(3, 3)[1], happenings.after(happenings.number, 3)) == (True, ([], False))


@pytest.mark.parametrize(
    ("late_s", "kind", "severity"),
    [
        (AHEAD_MAX_S + 1, "died", "info"),
        (-AGE_MAX_S - 1, "died", "info"),
        (0.0, "exploded", "info"),
        (0.0, "died", "loud"),
    ],
)
def test_what_is_of_no_time_or_kind_that_is_known_is_passed_over(late_s: float, kind: str, severity: str) -> None:
    happenings = Happenings()
    odd = msgspec.structs.replace(death(1, WALL + late_s), kind=kind, severity=severity)
    happenings.take([odd, death(2)], WALL)
    assert [event.peer for event in shown(happenings)] == ["peer2"]


def test_what_was_told_by_others_first_and_is_seen_here_too_is_ours_to_keep() -> None:
    happenings = Happenings()
    happenings.take([death(1, WALL - 2)], WALL)
    assert happenings.own(0, round(2000 * WALL)) == []
    happenings.add("died", WALL, "peer 1 is gone", peer="peer1", severity="warning")
    assert happenings.own(0, round(2000 * WALL)) == [death(1, WALL - 2)]
    assert (len(shown(happenings)), happenings.own_count) == (1, 1)
    happenings.check_invariants()


SEEN = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 9)), max_size=30)


@given(SEEN, st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=12))
def test_whoever_saw_what_and_asked_whom_when_all_end_with_the_same(
    seen: Iterable[tuple[int, int, int]], asked: list[tuple[int, int]]
) -> None:
    trackers = Trackers([Happenings() for _ in range(3)])
    for place, (one, number, second) in enumerate(seen):
        trackers.all[one].take([death(number, WALL + second)], WALL)
        if place < len(asked) and asked[place][0] != asked[place][1]:
            trackers.ask(*asked[place])
    for _ in range(3):
        trackers.unite()
    assert trackers.are_at_rest()
    first, *others = map(shown, trackers.all)
    assert others == [first, first]
    assert len({event.id for event in first}) == len(first)
