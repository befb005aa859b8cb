"""Which neighbours are told of which signed log entries. Pure.

An entry that is new here (the ledger says so) is passed on once, to every neighbour that may read its dataset, except
the one that it came from. When a channel opens both ends say the highest serial that they know of each dataset, and
each sends what the other lacks; the same, with a random neighbour, every half minute, and at once when an entry shows
that some before it were missed. So who was away, or was told too fast, learns it all the same.

Each neighbour is told at a bounded rate: what exceeds it waits, and what does not find room to wait is left to the next
comparison. What comes in is bounded too: an entry costs a check of two seals.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from swarm.peer.budget import Budget
from swarm.signature import signature_of

PASSED_MAX: Final = 8192
WAITING_MAX: Final = 256
# Entries told to one neighbour: so many at once, so many a second.
TELL_BURST: Final = 64
TELL_RATE: Final = 32.0
# Entries taken from one neighbour. More than it may tell, for clocks and bursts differ.
TAKE_BURST: Final = 256
TAKE_RATE: Final = 64.0
HEADS_MAX: Final = 256
# Answered to one comparison, and how often one neighbour is answered.
LACKED_MAX: Final = 128
COMPARE_BURST: Final = 8
COMPARE_RATE: Final = 1.0
COMPARE_EVERY_S: Final = 30.0

Heads = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this signed entry."""

    peer: str
    entry: bytes


@dataclass(frozen=True, slots=True)
class Compare:
    """Send these heads: dataset and highest serial. ``whole``: of the datasets that are not in it we know nothing."""

    peer: str
    heads: Heads
    whole: bool


Decision = Tell | Compare


class Known(Protocol):
    """What gossip asks the ledger."""

    def heads(self) -> Mapping[str, int]:
        """The highest serial known of each dataset."""
        ...

    def above(self, dataset: str, serial: int) -> Iterable[bytes]:
        """The entries after a serial, in order."""
        ...


@dataclass(slots=True)
class Listener:
    """A neighbour: what waits for it, and what it may still be sent, send and ask."""

    may_read: Callable[[str], bool]
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)
    out: Budget = field(default_factory=lambda: Budget(TELL_RATE, TELL_BURST))
    taken: Budget = field(default_factory=lambda: Budget(TAKE_RATE, TAKE_BURST))
    compared: Budget = field(default_factory=lambda: Budget(COMPARE_RATE, COMPARE_BURST))


class Gossip:
    """The gossip of one peer over what ``known`` holds."""

    def __init__(self, known: Known, rng: random.Random) -> None:
        self._known = known
        self._rng = rng
        self._listeners: dict[str, Listener] = {}
        # Signatures of entries that were passed on, the oldest first.
        self._passed: dict[bytes, None] = {}
        self._compared_at = float("-inf")

    # ---- facts and what follows ---------------------------------------------------------------------------------

    def opened(self, peer: str, may_read: Callable[[str], bool]) -> list[Decision]:
        """A neighbour has come, that may read what ``may_read`` says."""
        self._listeners[peer] = Listener(may_read)
        return [self._compare(peer)]

    def closed(self, peer: str) -> None:
        self._listeners.pop(peer, None)

    def may_come(self, peer: str, now: float) -> bool:
        """Whether one more entry of this neighbour is looked at: before its seals are checked."""
        listener = self._listeners.get(peer)
        return listener is not None and listener.taken.take(now)

    def learnt(
        self, dataset: str, serial: int, entry: bytes, now: float, *, source: str = "", before: int = 0
    ) -> list[Decision]:
        """An entry that is new here, from a neighbour or (``""``) elsewhere. ``before``: the highest serial of its
        dataset that was known until now; a gap is asked about.
        """
        signature = signature_of(entry)
        if signature in self._passed:
            return []
        self._passed[signature] = None
        if len(self._passed) > PASSED_MAX:
            del self._passed[next(iter(self._passed))]
        decisions: list[Decision] = []
        for peer, listener in self._listeners.items():
            if peer != source:
                decisions += self._tell(peer, listener, dataset, entry, now)
        teller = self._listeners.get(source)
        if teller is not None and teller.may_read(dataset) and 0 < before < serial - 1:
            decisions.append(Compare(source, ((dataset, before),), False))
        return decisions

    def compared(self, peer: str, heads: Heads, whole: bool, now: float) -> list[Decision]:
        """A neighbour says what it knows: it is sent what it lacks and may read."""
        listener = self._listeners.get(peer)
        if listener is None or not listener.compared.take(now):
            return []
        theirs = dict(heads)
        lacked: list[tuple[str, bytes]] = []
        ours = self._known.heads()
        for dataset in self._shuffled(ours if whole else theirs.keys() & ours.keys()):
            if ours[dataset] > theirs.get(dataset, 0) and listener.may_read(dataset):
                lacked += [(dataset, entry) for entry in self._known.above(dataset, theirs.get(dataset, 0))]
            if len(lacked) >= LACKED_MAX:
                break
        decisions: list[Decision] = []
        for dataset, entry in lacked[:LACKED_MAX]:
            decisions += self._tell(peer, listener, dataset, entry, now)
        return decisions

    def tick(self, now: float) -> list[Decision]:
        """What has waited, and now and then a comparison. To be asked about once a second."""
        decisions: list[Decision] = []
        for peer, listener in self._listeners.items():
            while listener.waiting and listener.out.take(now):
                decisions.append(Tell(peer, listener.waiting.popleft()[1]))
        if self._listeners and now - self._compared_at >= COMPARE_EVERY_S:
            if self._compared_at > 0:
                decisions.append(self._compare(self._rng.choice(list(self._listeners))))
            self._compared_at = now
        return decisions

    # ---- inside -------------------------------------------------------------------------------------------------

    def _tell(self, peer: str, listener: Listener, dataset: str, entry: bytes, now: float) -> list[Decision]:
        if not listener.may_read(dataset):
            return []
        if not listener.waiting and listener.out.take(now):
            return [Tell(peer, entry)]
        if len(listener.waiting) < WAITING_MAX and (dataset, entry) not in listener.waiting:
            listener.waiting.append((dataset, entry))
        return []

    def _compare(self, peer: str) -> Compare:
        may_read = self._listeners[peer].may_read
        readable = [(dataset, serial) for dataset, serial in self._known.heads().items() if may_read(dataset)]
        if len(readable) <= HEADS_MAX:
            return Compare(peer, tuple(readable), True)
        return Compare(peer, tuple(self._rng.sample(readable, HEADS_MAX)), False)

    def _shuffled(self, datasets: Iterable[str]) -> list[str]:
        found = sorted(datasets)
        self._rng.shuffle(found)
        return found

    def check_invariants(self) -> None:
        """Everything within its bounds, and nothing waits that may not be told."""
        assert len(self._passed) <= PASSED_MAX
        for listener in self._listeners.values():
            assert len(listener.waiting) <= WAITING_MAX
            assert all(listener.may_read(dataset) for dataset, _ in listener.waiting)
