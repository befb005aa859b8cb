"""One iterative lookup: which nodes to ask next, and when to stop.

Nodes are asked in order of distance to the target, several at a time; those that were silent lately only if the lookup
would end without a result. One that is slow does not hold up the others: a further one is asked in its place, and its
answer still counts if it comes. The lookup ends when the ``width`` closest that respond have answered, or when nobody
is left to ask. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from swarm.dht.wire import Contact

AT_ONCE: Final = 5
# Who only looks for records waits for slow nodes as long as fewer than this have answered.
ENOUGH_ANSWERS: Final = 3
# Nodes that are asked before a key counts as not there. Where most nodes near it are in league and name one another
# only, those who keep its records are farther down: of 20 keys among 40 nodes, 24 of them such, 8 found 7 at worst.
WIDE: Final = 24
SHORTLIST_MAX: Final = 128
# Whatever hostile nodes name, a lookup asks no more than this.
ASKED_MAX: Final = 64


class State(Enum):
    """Of a node in a lookup: it is in exactly one."""

    KNOWN = auto()
    WAITING = auto()
    SLOW = auto()
    ANSWERED = auto()
    FAILED = auto()


@dataclass(slots=True)
class _Entry:
    distance: int
    id: bytes
    contact: Contact
    is_silent: bool
    state: State = State.KNOWN


@dataclass(slots=True)
class Lookup:
    """``target`` is a key; nodes are known by their ids. With ``enough`` answers, slow nodes are not waited for."""

    target: bytes
    width: int
    enough: int = ENOUGH_ANSWERS
    _entries: dict[bytes, _Entry] = field(default_factory=dict)
    _asked: int = 0
    _insists: bool = False

    def learn(self, id: bytes, contact: Contact, *, is_silent: bool = False) -> None:
        """A node that somebody named. When the list is full the farthest of those not asked gives way."""
        if id in self._entries:
            return
        distance = int.from_bytes(id, "big") ^ int.from_bytes(self.target, "big")
        if len(self._entries) >= SHORTLIST_MAX:
            unasked = [entry for entry in self._entries.values() if entry.state is State.KNOWN]
            farthest = max(unasked, key=lambda entry: entry.distance, default=None)
            if farthest is None or farthest.distance < distance:
                return
            del self._entries[farthest.id]
        self._entries[id] = _Entry(distance, id, contact, is_silent)

    def next(self) -> list[tuple[bytes, Contact]]:
        """Nodes to ask now; they count as waiting from here on."""
        chosen: list[tuple[bytes, Contact]] = []
        waiting = sum(1 for entry in self._entries.values() if entry.state is State.WAITING)
        for entry in self._to_ask():
            if waiting >= AT_ONCE or self._asked >= ASKED_MAX:
                break
            entry.state = State.WAITING
            self._asked += 1
            waiting += 1
            chosen.append((entry.id, entry.contact))
        return chosen

    def answered(self, id: bytes) -> None:
        self._entries[id].state = State.ANSWERED

    def failed(self, id: bytes) -> None:
        """It did not answer in its time."""
        self._entries[id].state = State.FAILED

    def slow(self, id: bytes) -> None:
        """It takes longer than it should: ask another beside it."""
        if self._entries[id].state is State.WAITING:
            self._entries[id].state = State.SLOW

    @property
    def is_done(self) -> bool:
        states = [entry.state for entry in self._entries.values()]
        if State.WAITING in states:
            return False
        if self._asked < ASKED_MAX and any(self._to_ask()):
            return False
        return State.SLOW not in states or states.count(State.ANSWERED) >= self.enough

    def insist(self) -> bool:
        """Nothing was found: ask the silent ones too, and nodes farther away. Whether there are any."""
        self._insists = True
        self.width = max(self.width, WIDE)
        return not self.is_done

    def closest(self) -> list[tuple[bytes, Contact]]:
        """The closest nodes that answered."""
        answered = [entry for entry in self._in_order() if entry.state is State.ANSWERED]
        return [(entry.id, entry.contact) for entry in answered[: self.width]]

    def _to_ask(self) -> Iterator[_Entry]:
        """Those not asked among the closest ``width`` that may respond."""
        may_respond = [
            entry
            for entry in self._in_order()
            if entry.state not in (State.SLOW, State.FAILED) and (self._insists or not entry.is_silent)
        ]
        return (entry for entry in may_respond[: self.width] if entry.state is State.KNOWN)

    def _in_order(self) -> list[_Entry]:
        return sorted(self._entries.values(), key=lambda entry: entry.distance)
