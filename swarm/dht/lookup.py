"""One iterative lookup: which nodes to ask next, and when to stop.

Pure. Nodes are asked in order of distance to the target, several at a time. One that is slow does not hold up the
others: when its time is up it counts as failed, and a further one takes its place. The lookup ends when the ``width``
closest that live have answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from swarm.dht.wire import Contact

AT_ONCE: Final = 5
SHORTLIST_MAX: Final = 256


@dataclass(slots=True)
class Lookup:
    """``target`` as an integer; contacts are kept by their id."""

    target: int
    width: int
    _known: dict[bytes, tuple[int, Contact]] = field(default_factory=dict)
    _asked: set[bytes] = field(default_factory=set)
    _waiting: set[bytes] = field(default_factory=set)
    _answered: set[bytes] = field(default_factory=set)
    _failed: set[bytes] = field(default_factory=set)

    def learn(self, id: bytes, contact: Contact) -> None:
        """A node that somebody named."""
        if id not in self._known and len(self._known) < SHORTLIST_MAX:
            self._known[id] = (int.from_bytes(id, "big") ^ self.target, contact)

    def next(self) -> list[tuple[bytes, Contact]]:
        """Nodes to ask now."""
        chosen: list[tuple[bytes, Contact]] = []
        for id, contact in self._candidates():
            if len(self._waiting) >= AT_ONCE:
                break
            if id not in self._asked:
                self._asked.add(id)
                self._waiting.add(id)
                chosen.append((id, contact))
        return chosen

    def answered(self, id: bytes) -> None:
        self._waiting.discard(id)
        self._answered.add(id)

    def failed(self, id: bytes) -> None:
        """It did not answer in its time."""
        self._waiting.discard(id)
        self._failed.add(id)

    def slow(self, id: bytes) -> None:
        """It takes longer than it should: ask another beside it. Its answer still counts."""
        self._waiting.discard(id)

    @property
    def is_done(self) -> bool:
        return not self._waiting and all(id in self._asked for id, _ in self._candidates())

    def closest(self) -> list[tuple[bytes, Contact]]:
        """The closest nodes that answered."""
        return [(id, contact) for id, contact in self._in_order() if id in self._answered][: self.width]

    def _candidates(self) -> list[tuple[bytes, Contact]]:
        """The closest that have not failed: when each of them was asked, nobody closer is left."""
        return [(id, contact) for id, contact in self._in_order() if id not in self._failed][: self.width]

    def _in_order(self) -> list[tuple[bytes, Contact]]:
        ordered = sorted(self._known.items(), key=lambda item: item[1][0])
        return [(id, contact) for id, (_, contact) in ordered]
