"""Whom a peer sends which block next: fairness, and sparing the origin.

Pure: no I/O, no clock. Every run that is asked of this peer stands here with the block it is at. Few blocks are sent at
a time (``Slots``); among those that wait, a block given away least often goes first, then the asker that gave us most,
which has much to pass it on with, then whoever has waited longest. Every eighth turn is the oldest's: nobody starves.

An asker may only stand by for a block: it is told when its turn has come (``READY``), and goes first when it then asks.

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
# What askers gave us is halved when one of them gave so much: what counts is who does now.
CREDIT_MAX_BYTES: Final = 256 << 20
# A block is given at a time to so many that insist, and the others are sent to these.
INSISTED_AT_ONCE: Final = 2
# Who is told that its turn has come is waited for this long, as if it were being sent to.
READY_S: Final = 0.25
# The status of a turn that is only told of, and never a frame's.
READY: Final = -1

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
    is_standby: bool = False
    cancelled: set[Hashable] = field(default_factory=set)


class Uploads:
    """The queue of one peer, over all versions and askers."""

    def __init__(self, slots: Slots | None = None) -> None:
        self.slots = slots or Slots()
        self._runs: dict[RunKey, _Asked] = {}
        self._waiting: dict[RunKey, _Asked] = {}
        # Who stood by and was told that it may ask, with the time of that, and those of them that did.
        self._ready: dict[RunKey, float] = {}
        self._first: dict[RunKey, _Asked] = {}
        self._instant: dict[RunKey, Turn] = {}
        self._sending: set[RunKey] = set()
        self._versions: dict[bytes, _Version] = {}
        self._per_asker: Counter[str] = Counter()
        self._credit: dict[str, int] = {}
        # Askers who give nothing on: what they had of an origin counts as not given.
        self._takes_only: set[str] = set()
        self._turns = 0

    # ---- events -------------------------------------------------------------------------------------------------

    def has_room(self, asker: str, run: int) -> bool:
        """Whether one more run of this asker is taken, of a number that none of its runs has but one that stands by."""
        known = self._runs.get((asker, run))
        if known is not None:
            return known.is_standby
        return self._per_asker[asker] < RUNS_SERVED_PER_PEER_MAX and len(self._runs) < RUNS_SERVED_MAX

    def stands_by(self, asker: str, run: int, version: bytes, block: Hashable, now: float) -> None:
        """An asker stands by for a block, as far as there is room."""
        if (asker, run) not in self._runs and self.has_room(asker, run):
            asked = self._begin((asker, run), version, [block], now, is_standby=True)
            self._waiting[asked.key] = asked

    def gave(self, asker: str, size_bytes: int) -> None:
        """We had a block from this asker."""
        credit = self._credit[asker] = self._credit.get(asker, 0) + size_bytes
        if credit > CREDIT_MAX_BYTES:
            self._credit = {peer: had // 2 for peer, had in self._credit.items()}

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
        """A run begins, maybe one that stood by. ``spared``: this peer is an origin of the version."""
        is_ready = (asker, run) in self._ready
        self.ended(asker, run)
        asked = self._begin((asker, run), version, blocks, now)
        known = self._versions[version]
        asked.insist = insist
        if spared and known.redirector is None:
            known.redirector = Redirector()
        if is_ready:
            self._first[asked.key] = asked
        else:
            self._at_next(asked, now)

    def _begin(
        self, key: RunKey, version: bytes, blocks: Sequence[Hashable], now: float, *, is_standby: bool = False
    ) -> _Asked:
        known = self._versions.get(version)
        if known is None:
            known = self._versions[version] = self._new_version()
        asked = self._runs[key] = _Asked(key, version, list(reversed(blocks)), False, now, is_standby)
        self._per_asker[key[0]] += 1
        known.runs += 1
        return asked

    def cancelled(self, asker: str, run: int, blocks: Collection[Hashable], now: float) -> None:
        """These blocks of a run need not be sent; none named means all that is left."""
        asked = self._runs.get((asker, run))
        if asked is None:
            return
        if asked.is_standby:
            self.ended(asker, run)
            return
        asked.cancelled.update(blocks or asked.left)
        for queue in (self._waiting, self._first):
            if queue.pop(asked.key, None) is not None:
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
        self._first.pop(asked.key, None)
        self._ready.pop(asked.key, None)
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

    def takes_only(self, asker: str) -> None:
        """An asker gives nothing to others: nobody is sent to it until it has left."""
        self.left(asker)
        self._takes_only.add(asker)

    def left(self, asker: str) -> None:
        """An asker is gone: nobody is sent to it any more."""
        self._takes_only.discard(asker)
        for version in self._versions.values():
            if version.redirector is not None:
                version.redirector.left(asker)
        for run in self.runs_of(asker):
            if self._runs[asker, run].is_standby:
                self.ended(asker, run)
        self._credit.pop(asker, None)

    # ---- what it decides ----------------------------------------------------------------------------------------

    def next(self, now: float) -> Turn | None:
        """Whose turn it is now, or None: nobody's until something happens."""
        if self._instant:
            return self._instant.pop(next(iter(self._instant)))
        if self._first:
            return self._send(self._first.pop(next(iter(self._first))), now)
        if not self._waiting:
            self.slots.idle()
            return None
        awaited = sum(at > now - READY_S for at in self._ready.values())
        if len(self._sending) + awaited >= self.slots.number:
            self.slots.busy(now)
            return None
        ready = [asked for asked in self._waiting.values() if self._may_go(asked)]
        if not ready:
            return None
        self._turns += 1
        if self._turns % OLDEST_EVERY:
            return self._send(min(ready, key=self._rank), now)
        return self._send(min(ready, key=lambda waiting: waiting.since), now)

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

    def _rank(self, asked: _Asked) -> tuple[int, int, float]:
        given = self._versions[asked.version].given[asked.left[-1]]
        return given, -self._credit.get(asked.key[0], 0), asked.since

    def _send(self, asked: _Asked, now: float) -> Turn:
        asker, run = asked.key
        block = asked.left[-1]
        version = self._versions[asked.version]
        self._waiting.pop(asked.key, None)
        if asked.is_standby:
            self._ready[asked.key] = now
            return Turn(asker, run, block, READY)
        version.given[block] += 1
        version.sending[block] += 1
        self._sending.add(asked.key)
        if version.redirector is not None and asker not in self._takes_only:
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
        target = self._redirect(asked)
        if block in asked.cancelled:
            self._instant[asked.key] = Turn(asker, run, block, NOT_HERE)
        elif target is not None:
            self._instant[asked.key] = Turn(asker, run, block, ASK, target)
        else:
            self._waiting[asked.key] = asked

    def _redirect(self, asked: _Asked) -> str | None:
        """Whom an asker of an origin should ask for the block that its run is at."""
        version, asker, block = self._versions[asked.version], asked.key[0], asked.left[-1]
        if version.redirector is None:
            return None
        if asked.insist and version.sending[block] >= INSISTED_AT_ONCE:
            return version.redirector.newest(asker, block)
        return version.redirector.decide(asker, block, asked.insist)

    def _redirect_others(self, version: bytes, block: Hashable) -> None:
        waiting = [
            asked
            for asked in self._waiting.values()
            if asked.left[-1] == block and asked.version == version and not asked.is_standby
        ]
        for asked in waiting:
            target = self._redirect(asked)
            if target is not None:
                del self._waiting[asked.key]
                self._instant[asked.key] = Turn(*asked.key, block, ASK, target)

    def check_invariants(self) -> None:
        """Every run is at one block: waiting for its turn, being answered, or being sent. For tests."""
        assert set(self._waiting) <= set(self._runs)
        assert set(self._instant) | set(self._first) | set(self._ready) <= set(self._runs)
        assert not set(self._waiting) & (set(self._first) | set(self._ready))
        assert self._sending <= set(self._runs)
        assert not set(self._waiting) & self._sending
        assert all(asked.left for asked in self._runs.values())
        assert sum(self._per_asker.values()) == len(self._runs) == sum(v.runs for v in self._versions.values())
