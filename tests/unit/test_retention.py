"""Which versions a keep rule keeps."""

from __future__ import annotations

from swarm.log import Entry, Kind, Move
from swarm.retention import History, KeepRule
from tests.unit.log_samples import FIRST, changed

V = [bytes([number]) * 32 for number in range(6)]
DAY_S = 86_400


def history(*steps: tuple[int, Kind, str, bytes | None]) -> History:
    """A log of (day, kind, tag, version)."""
    found = History()
    for serial, (day, kind, tag, version) in enumerate(steps, 1):
        found.apply(entry(serial, day, kind, tag, version))
    return found


def entry(serial: int, day: int, kind: Kind, tag: str, version: bytes | None) -> Entry:
    return changed(FIRST, serial=serial, wall_time=day * DAY_S, kind=kind, moves=(Move(tag, version),))


def rule(last: int | None = None, age_days: int | None = None, *pinned: bytes) -> KeepRule:
    age_s = age_days * DAY_S if age_days is not None else None
    return KeepRule(1, "library/roads", 1, last, age_s, pinned, 0)


PUBLISHED = history(*((day, "publish", "latest", V[day]) for day in range(5)))


def test_without_a_rule_everything_is_kept() -> None:
    for none in (None, rule()):
        assert PUBLISHED.kept(none, 1e9) == set(V[:5])


def test_the_last_are_those_named_last() -> None:
    assert PUBLISHED.kept(rule(2), 0) == {V[3], V[4]}
    back = history((0, "publish", "latest", V[0]), (1, "publish", "latest", V[1]), (2, "rollback", "latest", V[0]))
    assert back.kept(rule(1), 0) == {V[0]}


def test_the_age_counts_from_when_the_last_tag_left() -> None:
    assert PUBLISHED.kept(rule(None, 2), 5 * DAY_S) == {V[3], V[4]}
    # V[3] was left on day 4: on day 6 its two days are over, to the second.
    assert PUBLISHED.kept(rule(None, 2), 6 * DAY_S - 1) == {V[3], V[4]}
    assert PUBLISHED.kept(rule(None, 2), 6 * DAY_S) == {V[4]}


def test_what_a_tag_points_to_or_is_pinned_stays() -> None:
    tagged = history((0, "publish", "old", V[0]), (1, "publish", "latest", V[1]), (2, "publish", "latest", V[2]))
    assert tagged.kept(rule(1), 1e9) == {V[0], V[2]}
    assert tagged.kept(rule(1, None, V[1]), 1e9) == {V[0], V[1], V[2]}
    removed = history((0, "publish", "old", V[0]), (1, "publish", "latest", V[1]), (2, "rm", "old", None))
    assert removed.kept(rule(1), 1e9) == {V[1]}
    assert removed.kept(rule(1, 3), 4 * DAY_S) == {V[0], V[1]}


def test_either_of_two_rules_keeps() -> None:
    assert PUBLISHED.kept(rule(1, 3), 5 * DAY_S) == {V[2], V[3], V[4]}
