"""Histories of a dataset's log that are known to be good or bad, and the logs that they left."""

from __future__ import annotations

import pytest

from swarm import log
from swarm.log import Entry, Move
from tests.histories.checks import not_dense, not_kept, not_linear, not_monotonic, settled
from tests.histories.history import Operation
from tests.histories.log_model import (
    Answer,
    Append,
    Call,
    Committed,
    Entries,
    GaveUp,
    LogModel,
    Missing,
    Moves,
    ReadLog,
    ReadTag,
    ReadTags,
    Refused,
    Tags,
)
from tests.histories.search import order_of
from tests.unit.log_samples import FIRST, TOTALS, V1, V2, changed, signed

ROADS = "library/roads"
Op = Operation[Call, Answer]


def op(client: str, invoked: int, returned: int | None, call: Call, answer: Answer | None = None) -> Op:
    return Operation(client, invoked, returned, call, answer)


def publish(mark: str, *moves: tuple[str, bytes | None], seen: int | None = None) -> Append:
    return Append(ROADS, mark, "publish", moves, seen)


def move(mark: str, kind: str, *moves: tuple[str, bytes | None], seen: int | None = None) -> Append:
    return Append(ROADS, mark, kind, moves, seen)


def tags(serial: int, *listed: tuple[str, int, bytes], found: tuple[int, bytes] | None = None) -> Tags:
    return Tags(serial, listed, found)


LATEST = ReadTag(ROADS, "latest")
A_B: Moves = (("a", V1), ("b", V1))

GOOD: dict[str, list[Op]] = {
    "written, then read": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("r", 3, 4, LATEST, tags(1, ("latest", 1, V1), found=(1, V1))),
        op("r", 5, 6, ReadTags(ROADS), tags(1, ("latest", 1, V1))),
        op("r", 7, 8, ReadLog(ROADS, 0, 100), Entries(("m1",))),
        op("r", 9, 10, ReadLog(ROADS, 1, 100), Entries(())),
    ],
    "nothing yet": [
        op("r", 1, 2, LATEST, Missing()),
        op("r", 3, 4, ReadTags(ROADS), Missing()),
        op("r", 5, 6, ReadLog(ROADS, 0, 100), Missing()),
        op("p", 7, 8, move("m0", "tag", ("latest", V1)), Missing()),
        op("p", 9, 10, move("m1", "rm", ("latest", None)), Missing()),
    ],
    "two at once, last wins": [
        op("p", 1, 5, publish("m1", ("latest", V1)), Committed(2)),
        op("q", 1, 6, publish("m2", ("latest", V2)), Committed(1)),
        op("r", 7, 8, LATEST, tags(2, ("latest", 2, V1), found=(2, V1))),
    ],
    "one of two who saw nothing": [
        op("p", 1, 5, publish("m1", ("latest", V1), seen=0), Committed(1)),
        op("q", 1, 6, publish("m2", ("latest", V2), seen=0), Refused(1)),
        op("q", 7, 8, publish("m3", ("latest", V2), ("other", V2), seen=1), Committed(2)),
        op("q", 9, 10, move("m4", "tag", ("third", V2), seen=0), Committed(3)),
        op("q", 11, 12, move("m5", "tag", ("third", V2), seen=4), Refused(None)),
    ],
    "removed tags are remembered": [
        op("p", 1, 2, publish("m1", ("latest", V1), ("v1", V1)), Committed(1)),
        op("p", 3, 4, move("m2", "rm", ("latest", None)), Committed(2)),
        op("p", 5, 6, move("m3", "tag", ("latest", V1), seen=1), Refused(2)),
        op("r", 7, 8, LATEST, Missing()),
        op("p", 9, 10, move("m4", "rollback", ("latest", V1), seen=2), Committed(3)),
    ],
    "an unknown entry is seen later": [
        op("p", 1, None, publish("m1", ("latest", V1))),
        op("r", 2, 3, LATEST, Missing()),
        op("r", 4, 5, LATEST, tags(1, ("latest", 1, V1), found=(1, V1))),
        op("q", 6, 7, publish("m2", ("other", V2)), Committed(2)),
    ],
    "an unknown entry that lost": [
        op("p", 1, None, publish("m1", ("latest", V1), seen=0)),
        op("q", 2, 3, publish("m2", ("latest", V2)), Committed(1)),
        op("q", 4, 5, publish("m3", ("latest", V2)), Committed(2)),
    ],
    "given up among many": [
        op("p", 1, 9, publish("m1", ("latest", V1)), GaveUp()),
        op("q", 2, 3, publish("m2", ("latest", V2)), Committed(1)),
    ],
}
BAD: dict[str, list[Op]] = {
    "a stale read": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("p", 3, 4, publish("m2", ("latest", V2)), Committed(2)),
        op("r", 5, 6, LATEST, tags(1, ("latest", 1, V1), found=(1, V1))),
    ],
    "a stale snapshot beside a fresh tag": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("p", 3, 4, publish("m2", ("other", V2)), Committed(2)),
        op("r", 5, 6, LATEST, tags(1, ("latest", 1, V1), found=(1, V1))),
    ],
    "an acknowledged entry that is gone": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("r", 3, 4, ReadLog(ROADS, 0, 100), Missing()),
    ],
    "a lost update": [
        op("p", 1, 5, publish("m1", ("latest", V1), seen=0), Committed(1)),
        op("q", 1, 6, publish("m2", ("latest", V2), seen=0), Committed(2)),
    ],
    "two at one serial": [
        op("p", 1, 5, publish("m1", ("latest", V1)), Committed(1)),
        op("q", 1, 6, publish("m2", ("other", V2)), Committed(1)),
    ],
    "a gap": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("p", 3, 4, publish("m2", ("latest", V2)), Committed(3)),
    ],
    "a split publish": [
        op("p", 1, 9, publish("m1", *A_B), Committed(1)),
        op("r", 2, 3, ReadTags(ROADS), tags(1, ("a", 1, V1))),
    ],
    "a publish split over two entries": [
        op("p", 1, 9, publish("m1", *A_B), Committed(2)),
        op("r", 2, 3, ReadTags(ROADS), tags(1, ("a", 1, V1))),
        op("r", 4, 5, ReadTags(ROADS), tags(2, ("a", 1, V1), ("b", 2, V1))),
    ],
    "reordered": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(2)),
        op("q", 3, 4, publish("m2", ("other", V2)), Committed(1)),
    ],
    "a history in another order": [
        op("p", 1, 5, publish("m1", ("a", V1)), Committed(1)),
        op("q", 1, 6, publish("m2", ("b", V2)), Committed(2)),
        op("r", 7, 8, ReadLog(ROADS, 0, 100), Entries(("m2", "m1"))),
    ],
    "refused for nothing": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("q", 3, 4, publish("m2", ("other", V2), seen=0), Refused(1)),
    ],
    "the wrong winner": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("p", 3, 4, publish("m2", ("latest", V2)), Committed(2)),
        op("q", 5, 6, publish("m3", ("latest", V2), seen=0), Refused(1)),
    ],
    "refused, and seen after all": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("q", 3, 4, publish("m2", ("latest", V2), seen=0), Refused(1)),
        op("r", 5, 6, LATEST, tags(2, ("latest", 2, V2), found=(2, V2))),
    ],
    "an unknown entry that comes and goes": [
        op("p", 1, None, publish("m1", ("latest", V1))),
        op("r", 2, 3, LATEST, tags(1, ("latest", 1, V1), found=(1, V1))),
        op("r", 4, 5, LATEST, Missing()),
    ],
    "an unknown entry that may not be": [
        op("q", 1, 2, publish("m1", ("latest", V2)), Committed(1)),
        op("p", 3, None, publish("m2", ("latest", V1), seen=0)),
        op("r", 4, 5, LATEST, tags(2, ("latest", 2, V1), found=(2, V1))),
    ],
    "missing what is there": [
        op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1)),
        op("p", 3, 4, move("m2", "rm", ("latest", None)), Missing()),
    ],
    "a tag on a version that nobody published": [op("p", 1, 2, move("m1", "tag", ("latest", V1)), Committed(1))],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_history_has_no_fault(name: str) -> None:
    assert not_linear(GOOD[name]) == []
    assert not_monotonic(GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_has_one(name: str) -> None:
    assert len(not_linear(BAD[name])) == 1


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_has_one_beside_another_dataset(name: str) -> None:
    """One object at a time: what another dataset does at the same moments is neither here nor there."""
    other = [
        op("x", 1, 2, Append("library/lakes", "other", "publish", (("latest", V1),)), Committed(1)),
        op("x", 3, 4, ReadTag("library/lakes", "latest"), tags(1, ("latest", 1, V1), found=(1, V1))),
    ]
    wrong = not_linear([*other, *BAD[name]])
    assert len(wrong) == 1
    assert wrong[0].startswith(ROADS)
    assert not_linear(other) == []


def test_who_sees_less_than_before_is_told() -> None:
    one, two = tags(1, ("latest", 1, V1)), tags(2, ("latest", 2, V2))
    history = [op("r", 1, 2, ReadTags(ROADS), two), op("r", 3, 4, ReadTags(ROADS), one)]
    assert not_monotonic(history) == [f"r saw entry 1 of {ROADS} after entry 2"]
    own = [op("p", 1, 2, publish("m", ("a", V1)), Committed(3)), op("p", 3, 4, ReadLog(ROADS, 0, 9), Entries(("m",)))]
    assert len(not_monotonic(own)) == 1
    others = [op("r", 1, 2, ReadTags(ROADS), two), op("s", 3, 4, ReadTags(ROADS), one)]
    assert not_monotonic(others) == []


def entry(mark: str, *moves: tuple[str, bytes | None], behind: bytes = b"") -> bytes:
    """A signed publish entry, as a log holds it."""
    serial = log.parse_entry(behind)[1].serial + 1 if behind else 1
    previous = log.entry_hash(behind) if behind else b""
    made: Entry = changed(
        FIRST,
        serial=serial,
        previous=previous,
        message=mark,
        moves=tuple(Move(tag, version) for tag, version in moves),
        totals=TOTALS,
    )
    return signed(made)


def test_a_log_is_dense_and_chained() -> None:
    first = entry("m1", ("latest", V1))
    second = entry("m2", ("latest", V2), behind=first)
    third = entry("m3", ("latest", V1), behind=second)
    assert not_dense([first, second, third]) == []
    for bad in (
        [first, third],
        [second],
        [first, first],
        [first, entry("m2", ("x", V1), behind=third)],
        [second, first],
    ):
        assert len(not_dense(bad)) == 1
    forked = entry("m3", ("latest", V1), behind=entry("fork", ("latest", V2), behind=first))
    assert len(not_dense([first, second, forked])) == 1


def test_what_was_acknowledged_is_kept_once_and_nothing_else() -> None:
    first = entry("m1", ("latest", V1))
    second = entry("m2", ("latest", V2), behind=first)
    one = op("p", 1, 2, publish("m1", ("latest", V1)), Committed(1))
    two = op("p", 3, 4, publish("m2", ("latest", V2)), Committed(2))
    unknown = op("p", 3, None, publish("m2", ("latest", V2)))
    assert not_kept([one, two], ROADS, [first, second]) == []
    assert not_kept([one, unknown], ROADS, [first, second]) == []
    assert not_kept([one, unknown], ROADS, [first]) == []
    refused = op("p", 3, 4, publish("m2", ("latest", V2), seen=0), Refused(1))
    again = entry("m1", ("latest", V1), behind=second)
    for history, entries, told in (
        ([one, two], [first], "acknowledged and not kept"),
        ([one], [first, second], "made by nobody"),
        ([one, refused], [first, second], "was refused"),
        ([one, two], [first, second, again], "a second time"),
        ([one, op("p", 3, 4, publish("m2", ("other", V2)), Committed(2))], [first, second], "not what was asked"),
        ([one, op("p", 3, 4, publish("m2", ("latest", V2)), Committed(3))], [first, second], "not kept"),
    ):
        wrong = not_kept(history, ROADS, entries)
        assert len(wrong) == 1, wrong
        assert told in wrong[0]


def test_what_the_log_shows_in_the_end_settles_what_was_unknown() -> None:
    first = entry("m1", ("latest", V1))
    unknown = op("p", 1, None, publish("m1", ("latest", V1)))
    never = op("q", 1, None, publish("m2", ("latest", V2)))
    seen = op("r", 5, 6, LATEST, tags(1, ("latest", 1, V2), found=(1, V2)))
    assert not_linear([unknown, never, seen]) == []
    known = settled([unknown, never, seen], ROADS, [first])
    assert known == [op("p", 1, None, publish("m1", ("latest", V1)), Committed(1)), seen]
    assert len(not_linear(known)) == 1
    assert len(not_linear([known[0], op("r", 5, 6, ReadTags(ROADS), Missing())])) == 0
    assert settled([unknown, never, seen], "library/lakes", [first]) == [unknown, never, seen]


def test_many_unknown_outcomes_are_still_decided() -> None:
    """A tracker that dies leaves some dozen of them, and what readers saw puts each in its place."""
    history: list[Op] = []
    model, state, moment = LogModel(), LogModel().first(), 0
    for number in range(60):
        call = publish(f"m{number}", (f"t{number % 5}", bytes([number]) * 32))
        is_known = number % 5 != 0
        after = model.step(state, call, None)
        assert after is not None
        state = after
        moment += 2
        answer = Committed(state.serial) if is_known else None
        history.append(op("p", moment, moment + 1 if is_known else None, call, answer))
    history.append(op("r", moment + 5, moment + 6, ReadTags(ROADS), Tags(state.serial, state.listed())))
    assert order_of(history, model).is_linearizable
    wrong = Tags(state.serial, (*state.listed()[:-1], ("t4", 59, V1)))
    assert not order_of([*history[:-1], op("r", moment + 5, moment + 6, ReadTags(ROADS), wrong)], model).is_linearizable
