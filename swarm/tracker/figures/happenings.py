"""What happened in the swarm: a bounded list with numbers that rise as it is heard, here or from others. Pure.

What two trackers tell of the same event is one of it here (see ``happened``), with the earlier account, under a new
number if that came later: so all trackers have the same events, though each has numbers of its own. Of what others
alone tell half the room at most is taken, so that none of them, whatever it tells, drives out what was seen here. And
of one peer's comings and goings only the last few are kept, so that no peer does either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from swarm.figure_messages import Event, EventKind
from swarm.figure_words import Severity
from swarm.tracker.figures.happened import (
    OCCASION_CHARS,
    SUBJECT_CHARS,
    TEXT_CHARS,
    Happened,
    Key,
)

KEPT_MAX: Final = 5000
# Of one peer's comings and goings: who comes and goes that often is no news to anybody who sees the last ten times.
COMINGS: Final = frozenset({"joined", "left", "back"})
COMINGS_MAX: Final = 20
# What others tell is taken if it is no older; and not if it is of later than that, by which a clock may be wrong: of a
# tracker whose clock is more so the listing does not count either.
AGE_MAX_S: Final = 2 * 86_400.0
AHEAD_MAX_S: Final = 300.0


@dataclass(slots=True)
class _Kept:
    """``is_own``: it was seen here, whoever else did. ``was``: the other id under which it was told here before."""

    happened: Happened
    is_own: bool
    id: str
    was: str


class Happenings:
    """The last events that one tracker knows, which began at ``begun`` (wall seconds)."""

    def __init__(self, most: int = KEPT_MAX, begun: float = 0.0) -> None:
        self._most = most
        self._kept: dict[int, _Kept] = {}
        # The numbers of those that others alone have told; and of all, by key.
        self._taken: dict[int, None] = {}
        self._numbers: dict[Key, list[int]] = {}
        # Of each peer: those of its comings and goings.
        self._comings: dict[str, list[int]] = {}
        self.number = 0
        # The last number that was let go, and how late that was, by its time.
        self._gone = 0
        self._gone_ms = 0
        self.begun_ms = round(1000 * begun)
        self._since_ms = self.begun_ms
        # Rises with every event that was seen here.
        self.own_count = 0

    # ---- in -----------------------------------------------------------------------------------------------------

    def add(
        self,
        kind: EventKind,
        at: float,
        text: str,
        *,
        peer: str = "",
        site: str = "",
        dataset: str = "",
        tag: str = "",
        serial: int = 0,
        severity: Severity = "info",
        occasion: str = "",
    ) -> None:
        """Something happened, as it is seen here. ``occasion``: see ``happened``."""
        self.own_count += 1
        text, peer, occasion = text[:TEXT_CHARS], peer[:SUBJECT_CHARS], occasion[:OCCASION_CHARS]
        happened = Happened(round(1000 * at), kind, text, peer, site, dataset, tag, serial, severity, occasion)
        self._put(happened, is_own=True)

    def take(self, events: Iterable[Happened], wall_now: float) -> None:
        """What others tell, or have left in the store."""
        for happened in events:
            age_s = wall_now - happened.at_ms / 1000
            if happened.is_known_kind and -AHEAD_MAX_S <= age_s <= AGE_MAX_S:
                self._put(happened, is_own=False)

    def fill(self, events: Iterable[Happened], wall_now: float) -> None:
        """The same of what nobody has told here: of times that are less exact."""
        self.take([event for event in events if self._same(event) is None], wall_now)

    def regained(self, since_ms: int, wall_now: float) -> None:
        """All was taken that another tracker knows, which lacks nothing since then: of what is as old as is taken."""
        self._since_ms = min(self._since_ms, max(since_ms, round(1000 * (wall_now - AGE_MAX_S))))

    def _put(self, happened: Happened, *, is_own: bool) -> None:
        number, was = self._same(happened), ""
        if number is not None:
            kept = self._kept[number]
            is_own = kept.is_own = is_own or kept.is_own
            if is_own:
                self._taken.pop(number, None)
            happened = kept.happened.united(happened)
            if happened == kept.happened:
                return
            # Under a new number: whoever was told the later account is told this one too.
            self._remove(number)
            was = kept.was if kept.id == happened.id else kept.id
        self.number = number = self.number + 1
        self._kept[number] = _Kept(happened, is_own, happened.id, was)
        self._numbers.setdefault(happened.key, []).append(number)
        if not is_own:
            self._taken[number] = None
        if happened.kind in COMINGS:
            self._comings.setdefault(happened.peer, []).append(number)
            self._thin_out(happened.peer)
        self._make_room()

    def _same(self, happened: Happened) -> int | None:
        """The number of the event that this one is, the nearest in time; None if it is new."""
        found = [n for n in self._numbers.get(happened.key, ()) if happened.is_one_with(self._kept[n].happened)]
        return min(found, key=lambda n: abs(self._kept[n].happened.at_ms - happened.at_ms), default=None)

    def _thin_out(self, peer: str) -> None:
        """Let the oldest of one peer's comings and goings go: later ones tell as much, so nothing counts as lacking."""
        numbers = self._comings[peer]
        taken = [number for number in numbers if not self._kept[number].is_own]
        crowd = taken if len(taken) > COMINGS_MAX // 2 else numbers
        if crowd is taken or len(numbers) > COMINGS_MAX:
            self._remove(min(crowd, key=lambda n: (self._kept[n].happened.at_ms, self._kept[n].id)))

    def _make_room(self) -> None:
        if len(self._taken) > self._most // 2:
            self._let_go(next(iter(self._taken)))
        if len(self._kept) > self._most:
            self._let_go(next(iter(self._kept)))

    def _let_go(self, number: int) -> None:
        self._gone, self._gone_ms = max(self._gone, number), max(self._gone_ms, self._remove(number).at_ms)

    def _remove(self, number: int) -> Happened:
        happened = self._kept.pop(number).happened
        self._taken.pop(number, None)
        numbers = self._numbers[happened.key]
        numbers.remove(number)
        if not numbers:
            del self._numbers[happened.key]
        if happened.kind in COMINGS:
            comings = self._comings[happened.peer]
            comings.remove(number)
            if not comings:
                del self._comings[happened.peer]
        return happened

    # ---- out ----------------------------------------------------------------------------------------------------

    @property
    def since_ms(self) -> int:
        """Since when nothing is lacking that trackers saw."""
        return max(self._since_ms, self._gone_ms)

    def after(self, number: int, limit: int) -> tuple[list[Event], bool]:
        """The events with higher numbers, lowest first, and whether some of these are not kept any more."""
        found = [_event(each, self._kept[each]) for each in self._behind(number)[:limit]]
        return found, number < self._gone

    def told(self, number: int, limit: int) -> tuple[list[Happened], int, bool]:
        """The same for another tracker: those with higher numbers, the last number, and whether these are all."""
        numbers = self._behind(number)
        chosen = numbers[:limit]
        return [self._kept[each].happened for each in chosen], max(number, *chosen, 0), len(chosen) == len(numbers)

    def _behind(self, number: int) -> list[int]:
        """At the cost of those alone: mostly it is asked for the last few."""
        found: list[int] = []
        for each in reversed(self._kept):
            if each <= number:
                break
            found.append(each)
        return found[::-1]

    def since(self, at: float) -> int:
        """The number after which all are that are not older than ``at``; older ones that were heard late too."""
        for number, kept in self._kept.items():
            if kept.happened.at_ms >= 1000 * at:
                return number - 1
        return self.number

    def own(self, from_ms: int, to_ms: int) -> list[Happened]:
        """What was seen here within that time."""
        return [k.happened for k in self._kept.values() if k.is_own and from_ms <= k.happened.at_ms < to_ms]

    def check_invariants(self) -> None:
        """What always holds."""
        assert len(self._kept) <= self._most
        assert len(self._taken) <= self._most // 2
        assert self._taken.keys() == {number for number, kept in self._kept.items() if not kept.is_own}
        assert sorted(n for numbers in self._numbers.values() for n in numbers) == list(self._kept)
        comings = {n for n, kept in self._kept.items() if kept.happened.kind in COMINGS}
        assert {n for numbers in self._comings.values() for n in numbers} == comings
        assert all(0 < len(numbers) <= COMINGS_MAX for numbers in self._comings.values())
        assert all(self._kept[n].happened.key == key for key, numbers in self._numbers.items() for n in numbers)


def _event(number: int, kept: _Kept) -> Event:
    happened = kept.happened
    return Event(
        number,
        happened.at_ms / 1000,
        cast(EventKind, happened.kind),
        happened.text,
        happened.peer,
        happened.site,
        happened.dataset,
        happened.tag,
        happened.serial,
        cast(Severity, happened.severity),
        kept.id,
        kept.was,
    )
