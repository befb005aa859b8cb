"""Whom a peer sends which block next: fairness, and sparing the origin.

Pure: no I/O, no clock. Every run that is asked of this peer stands here with the block it is at. Few blocks are sent at
a time (``Slots``); among those that wait, a block given away least often goes first, then the asker that got least.
Every eighth turn is the oldest's, so nobody starves.

An origin gives a block once and sends others who ask to those who have it (``Redirector``), decided when the block's
turn comes and not before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarm.limits import RUNS_SERVED_MAX, RUNS_SERVED_PER_PEER_MAX
from swarm.peer.redirect import Redirector
from swarm.peer.slots import Slots
from swarm.peer.wire import ASK, BLOCK, NOT_HERE

# Every so many turns, whoever has waited longest goes before all others.
OLDEST_EVERY: Final = 8
# A block that nobody was given yet goes to so many askers at a time, for the others have it sooner from these; and to
# so many more for each who has it.
SAME_MAX: Final = 3
SAME_GROWTH: Final = 1
# What was given of so many versions is remembered.
VERSIONS_MAX: Final = 256

RunKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Turn:
    """It is this run's turn: ``status`` says how the block is answered, with ``ask`` naming whom to ask instead."""

    asker: str
    run: int
    block: Hashable
    status: int
    ask: str = ""


@dataclass(slots=True)
class _Version:
    """What was given away of one version. ``redirector`` is there when this peer is an origin of it."""

    redirector: Redirector | None = None
    given: Counter[Hashable] = field(default_factory=Counter)
    sending: Counter[Hashable] = field(default_factory=Counter)
    runs: int = 0


@dataclass(slots=True)
class _Asked:
    """A run under way: ``left`` are the blocks not yet answered, the one it is at first."""

    key: RunKey
    version: bytes
    left: list[Hashable]
    insist: bool
    since: float
    cancelled: set[Hashable] = field(default_factory=set)


class Uploads:
    """The queue of one peer, over all versions and askers."""

    def __init__(self, slots: Slots | None = None) -> None:
        self.slots = slots or Slots()
        self._runs: dict[RunKey, _Asked] = {}
        self._waiting: dict[RunKey, _Asked] = {}
        self._instant: dict[RunKey, Turn] = {}
        self._sending: set[RunKey] = set()
        self._versions: dict[bytes, _Version] = {}
        self._per_asker: Counter[str] = Counter()
        # Start-time fair queueing: what each asker was sent, on one scale that goes on while nobody asks.
        self._got: dict[str, float] = {}
        self._level = 0.0
        self._turns = 0

    # ---- events -------------------------------------------------------------------------------------------------

    def has_room(self, asker: str, run: int) -> bool:
        """Whether one more run of this asker is taken, of a number that none of its runs has."""
        is_within = self._per_asker[asker] < RUNS_SERVED_PER_PEER_MAX and len(self._runs) < RUNS_SERVED_MAX
        return is_within and (asker, run) not in self._runs

    def asked(
        self,
        asker: str,
        run: int,
        version: bytes,
        blocks: Sequence[Hashable],
        now: float,
        *,
        insist: bool,
        spared: bool,
    ) -> None:
        """A run begins. ``spared``: this peer is an origin of the version."""
        known = self._versions.get(version)
        if known is None:
            known = self._versions[version] = self._new_version()
        if spared and known.redirector is None:
            known.redirector = Redirector()
        asked = _Asked((asker, run), version, list(reversed(blocks)), insist, now)
        self._runs[asked.key] = asked
        self._per_asker[asker] += 1
        known.runs += 1
        self._at_next(asked, now)

    def cancelled(self, asker: str, run: int, blocks: Collection[Hashable], now: float) -> None:
        """These blocks of a run need not be sent; none named means all that is left."""
        asked = self._runs.get((asker, run))
        if asked is None:
            return
        asked.cancelled.update(blocks or asked.left)
        if asked.key in self._waiting:
            del self._waiting[asked.key]
            self._at_next(asked, now)

    def done(self, asker: str, run: int, now: float, *, sent_bytes: int) -> None:
        """The turn of a run is over: the answer is with the network. A block that was not there has no bytes."""
        asked = self._runs.get((asker, run))
        if asked is None:
            return
        self._instant.pop(asked.key, None)
        block = asked.left.pop()
        redirector = self._versions[asked.version].redirector
        if asked.key in self._sending:
            self._stops(asked, block)
            self._got[asker] = self._got.get(asker, self._level) + sent_bytes
            self.slots.sent(sent_bytes, now)
            if not sent_bytes and redirector is not None:
                redirector.not_given(asker, block)
        if asked.left:
            self._at_next(asked, now)
        else:
            self.ended(asker, run)

    def ended(self, asker: str, run: int) -> None:
        """A run is over, or broke off."""
        asked = self._runs.pop((asker, run), None)
        if asked is None:
            return
        self._waiting.pop(asked.key, None)
        self._instant.pop(asked.key, None)
        version = self._versions[asked.version]
        version.runs -= 1
        if asked.key in self._sending:
            self._stops(asked, asked.left[-1])
            if version.redirector is not None:
                version.redirector.not_given(asker, asked.left[-1])
        self._per_asker[asker] -= 1
        if not self._per_asker[asker]:
            del self._per_asker[asker]

    def runs_of(self, asker: str) -> list[int]:
        """The runs of an asker that are under way."""
        return [run for name, run in self._runs if name == asker] if self._per_asker[asker] else []

    @property
    def waiting(self) -> int:
        """How many runs wait for their turn."""
        return len(self._waiting)

    def left(self, asker: str) -> None:
        """An asker is gone: nobody is sent to it any more."""
        for version in self._versions.values():
            if version.redirector is not None:
                version.redirector.left(asker)
        self._got.pop(asker, None)

    # ---- what it decides ----------------------------------------------------------------------------------------

    def next(self, now: float) -> Turn | None:
        """Whose turn it is now, or None: nobody's until something happens."""
        if self._instant:
            return self._instant.pop(next(iter(self._instant)))
        if not self._waiting:
            self.slots.idle()
            return None
        if len(self._sending) >= self.slots.number:
            self.slots.busy(now)
            return None
        ready = [asked for asked in self._waiting.values() if self._may_go(asked)]
        if not ready:
            return None
        self._turns += 1
        if self._turns % OLDEST_EVERY:
            return self._send(min(ready, key=self._rank))
        return self._send(min(ready, key=lambda waiting: waiting.since))

    def _may_go(self, asked: _Asked) -> bool:
        version, block = self._versions[asked.version], asked.left[-1]
        sending = version.sending[block]
        return sending < SAME_MAX + SAME_GROWTH * (version.given[block] - sending)

    def _new_version(self) -> _Version:
        if len(self._versions) >= VERSIONS_MAX:
            idle = next((version for version, known in self._versions.items() if not known.runs), None)
            if idle is not None:
                del self._versions[idle]
        return _Version()

    def _rank(self, asked: _Asked) -> tuple[int, float, float]:
        given = self._versions[asked.version].given[asked.left[-1]]
        return given, self._got.get(asked.key[0], 0.0), asked.since

    def _send(self, asked: _Asked) -> Turn:
        asker, run = asked.key
        block = asked.left[-1]
        version = self._versions[asked.version]
        del self._waiting[asked.key]
        version.given[block] += 1
        version.sending[block] += 1
        self._sending.add(asked.key)
        self._level = max(self._level, self._got.get(asker, self._level))
        self._got[asker] = max(self._level, self._got.get(asker, 0.0))
        if version.redirector is not None:
            version.redirector.given(asker, block)
            self._redirect_others(asked.version, block)
        return Turn(asker, run, block, BLOCK)

    def _stops(self, asked: _Asked, block: Hashable) -> None:
        self._sending.remove(asked.key)
        sending = self._versions[asked.version].sending
        sending[block] -= 1
        if not sending[block]:
            del sending[block]

    def _at_next(self, asked: _Asked, now: float) -> None:
        """The run comes to its next block: answered at once if it need not be sent, else it waits for its turn."""
        asker, run = asked.key
        block = asked.left[-1]
        asked.since = now
        redirector = self._versions[asked.version].redirector
        target = redirector.decide(asker, block, asked.insist) if redirector is not None else None
        if block in asked.cancelled:
            self._instant[asked.key] = Turn(asker, run, block, NOT_HERE)
        elif target is not None:
            self._instant[asked.key] = Turn(asker, run, block, ASK, target)
        else:
            self._waiting[asked.key] = asked

    def _redirect_others(self, version: bytes, block: Hashable) -> None:
        waiting = [a for a in self._waiting.values() if a.left[-1] == block and a.version == version and not a.insist]
        redirector = self._versions[version].redirector
        assert redirector is not None
        for asked in waiting:
            target = redirector.decide(asked.key[0], block, insist=False)
            if target is not None:
                del self._waiting[asked.key]
                self._instant[asked.key] = Turn(*asked.key, block, ASK, target)

    def check_invariants(self) -> None:
        """Every run is at one block: waiting for its turn, being answered, or being sent. For tests."""
        assert set(self._waiting) <= set(self._runs)
        assert set(self._instant) <= set(self._runs)
        assert self._sending <= set(self._runs)
        assert not set(self._waiting) & self._sending
        assert all(asked.left for asked in self._runs.values())
        assert sum(self._per_asker.values()) == len(self._runs) == sum(v.runs for v in self._versions.values())
