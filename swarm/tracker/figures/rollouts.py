"""One rollout: every peer that follows a tag, on its way to the version that the tag was moved to. Pure.

Times are seconds of one clock, given by whoever calls. A peer is in exactly one state; ``counts`` are kept as peers
move, so that a swarm of thousands costs nothing while nobody looks. What peers tell are totals: ``put`` may be called
twice.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from swarm.figure_messages import STATES
from swarm.limits import PRESENCE_MAX_PEERS
from swarm.reports import Followed, Phase
from swarm.rollout import Rollout as Stage
from swarm.tracker.figures.members import CURRENT, FAILED, FETCHING, LOST, STALLED_S, UNAWARE, WAITING, Member
from swarm.tracker.figures.sources import NOTHING, Sources, fetched, fuller, minus, plus, total
from swarm.tracker.figures.steering import Back
from swarm.tracker.figures.steps import StepLog

# So many peers that fail are known by name.
FIRST_FAILURES: Final = 8
POINTS_MAX: Final = 300
POINT_S: Final = 1.0

Counts = tuple[int, ...]


@dataclass(slots=True)
class Told:
    """What events have told of a rollout, so that they do not tell it again."""

    is_begun: bool = False
    is_stalled: bool = False
    stalled_at: float = float("-inf")
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at all members tells, at a moment and after so many changes: see ``RolloutFigures.look``."""

    at: float
    number: int
    stalled: int = 0
    rate_bytes_per_s: int = 0
    eta_s: float | None = None


@dataclass(slots=True)
class RolloutFigures:
    """``started`` on the clock of the caller; ``version`` is what the tag means since ``serial``."""

    dataset: str
    tag: str
    serial: int
    version: bytes
    previous: bytes
    message: str
    started: float
    members: dict[bytes, Member] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [0] * len(STATES))
    # Seconds from the start until a peer was current, in order: one of each that is current now.
    done: list[float] = field(default_factory=list)
    steps: StepLog = field(default_factory=StepLog)
    # The usual rate, and after how many changes it was found out: see ``views.usual_rate``.
    usual: tuple[int, float] = (-1, 0.0)
    looked: Look = field(default_factory=lambda: Look(float("-inf"), -1))
    points: list[tuple[float, Counts]] = field(default_factory=list)
    point_s: float = POINT_S
    # Followers that are not there now, those that went last behind: who had it by then still counts as one that did.
    away: dict[bytes, Member] = field(default_factory=dict)
    # Bytes of all that are or were members, by source, and of those of a log that was kept: what these had fetched by
    # that log, ``kept``, and what they tell, which is less if their processes began later.
    fetched: Sources = NOTHING
    kept: Sources = NOTHING
    of_kept: Sources = NOTHING
    ended: float | None = None
    moved_at: float = 0.0
    total_bytes: int = 0
    is_kept: bool = False
    is_overtaken: bool = False
    # How it goes out in stages, by the log: who steered it last, and why; None: to all at once.
    staged: Stage | None = None
    # What it takes back, and how it was itself taken back later.
    back: Back | None = None
    taken: Back | None = None
    # Peers that have failed at it once or more; the first that did, and the last: key, site and words.
    failures: int = 0
    first_failures: list[tuple[bytes, str, str]] = field(default_factory=list)
    last_failure: tuple[bytes, str, str] = (b"", "", "")
    told: Told = field(default_factory=Told)
    # Rises with every change, and with every word of a member.
    number: int = 0

    @property
    def wanted(self) -> int:
        return len(self.members)

    @property
    def behind(self) -> int:
        return len(self.members) - self.counts[CURRENT]

    @property
    def away_current(self) -> list[Member]:
        """Who had it and is not there now: over the whole time, and so in ``percentile_s``, it counts like a member."""
        return [member for member in self.away.values() if member.state == CURRENT]

    @property
    def is_paused(self) -> bool:
        """Whether whoever controls it holds it."""
        return self.staged is not None and self.staged.state == "paused"

    @property
    def stage(self) -> tuple[int, int]:
        """Which of how many stages lets peers in now, from 1; (0, 0) for what goes out at once, or was taken back."""
        if self.staged is None or not self.staged.is_under_way:
            return (0, 0)
        return (self.staged.stage + 1, len(self.staged.plan.stages))

    # ---- what happens -------------------------------------------------------------------------------------------

    def steer(self, stage: Stage | None) -> None:
        """How it goes out in stages, by the log; None: all at once."""
        self.staged = stage
        self.number += 1

    def mark(self) -> None:
        """It begins just now: whatever comes within the first second, that is where it came from."""
        self._point(0.0, tuple(self.counts))

    def remember(self, kept: RolloutFigures) -> None:
        """What a log tells that was kept of it: who comes back to this is where it was, and took no less long."""
        later_s = self.started - kept.started
        for public, member in kept.members.items():
            member.since, member.wanted_since = member.since + later_s, member.wanted_since + later_s
            member.is_of_kept = True
            self.away[public] = member
            if member.state == CURRENT:
                self.steps.add(member.since - self.started, public, member.site, CURRENT)
        self.kept = kept.fetched

    def expect(self, public: bytes, site: str, now: float, told: Followed | None = None, epoch: int = 0) -> None:
        """A peer follows the tag, and is not known to have heard of the move. ``told``: its last word of an epoch."""
        if public not in self.members and self._back(public, site, now) is None:
            member = Member(site, UNAWARE, now, now, epoch=epoch)
            if told is not None and self._is_about_this(told):
                member.had = fetched(told)
            self._enter(public, member, UNAWARE, now, "")

    def put(self, public: bytes, site: str, epoch: int, told: Followed, now: float) -> None:
        """What a peer says of itself, for the first time or again."""
        member = self.members.get(public) or self._back(public, site, now)
        if member is None:
            wanted_since = max(self.started, now - told.age_ms / 1000)
            member = Member(site, UNAWARE, now, wanted_since)
            # How it got where it is, it tells step by step, or has forgotten.
            knows = bool(told.steps) and self._is_about_this(told)
            state, at = (UNAWARE, wanted_since) if knows else (standing(told, self.serial, self.version), now)
            self._enter(public, member, state, at, told.words, is_new=True)
        before = member.sources
        if epoch != member.epoch:
            member.before, member.epoch, member.number = member.sources, epoch, -1
            member.told, member.had = None, NOTHING
        if self._is_about_this(told):
            if any(now_has < had for now_has, had in zip(fetched(told), member.had, strict=True)):
                member.had = NOTHING  # It fetches the version anew.
            self._step(public, member, told, now)
        self._enter(public, member, standing(told, self.serial, self.version), now, told.words)
        is_held = told.cause == "held-back" or _is_elsewhere(told, self.serial, self.version)
        member.is_held = member.state == WAITING and is_held
        member.is_pull = told.is_pull
        self._note(member, told, now)
        member.settle()
        self._count(member, minus(member.sources, before))
        self.number += 1

    def _count(self, member: Member, more: Sources) -> None:
        if member.is_of_kept:
            self.of_kept = plus(self.of_kept, more)
        else:
            self.fetched = plus(self.fetched, more)

    def _back(self, public: bytes, site: str, now: float) -> Member | None:
        """Who was away is a member again, as it was; None for one that was not."""
        member = self.away.pop(public, None)
        if member is not None:
            self.members[public] = member
            self.counts[member.state] += 1
            if member.state == CURRENT and member.arrived_s is not None:
                insort(self.done, member.arrived_s)
            member.site, member.moved_at = site, now
            self.number += 1
        return member

    def _is_about_this(self, told: Followed) -> bool:
        return (told.target_version if told.target else told.version) == self.version

    def _step(self, public: bytes, member: Member, told: Followed, now: float) -> None:
        """The phases that it went through since it was last heard, each at its time."""
        for step in told.steps:
            if step.number > member.number:
                member.number = step.number
                at = max(now - step.age_ms / 1000, self.started)
                self._enter(public, member, STATES.index(step.phase), at, told.words)

    def _note(self, member: Member, told: Followed, now: float) -> None:
        before = member.told
        if not self._is_about_this(told):
            member.told = None
            return
        # Over a slow link bytes come long before a block of them is whole.
        if before is None or (told.done_bytes, told.wire) != (before.done_bytes, before.wire):
            member.moved_at = self.moved_at = now
        self.total_bytes = max(self.total_bytes, told.total_bytes)
        member.rates(told, now)
        member.told = told

    def _enter(self, public: bytes, member: Member, state: int, at: float, words: str, *, is_new: bool = False) -> None:
        """A member is in a state from now on."""
        known = self.members.get(public)
        if known is None:
            self.members[public] = member
            self.counts[state] += 1
        elif state == member.state and not is_new:
            return
        else:
            self.counts[member.state] -= 1
            self._departs(member)
            self.counts[state] += 1
        if state == CURRENT and member.state != CURRENT and not is_new:
            self._arrives(member, max(0.0, at - max(self.started, member.wanted_since)))
        if state == FAILED and not member.has_failed:
            member.has_failed = True
            self.failures += 1
            self.last_failure = (public, member.site, words)
            if len(self.first_failures) < FIRST_FAILURES:
                self.first_failures.append(self.last_failure)
        member.state, member.since = state, at
        member.settle()
        member.moved_at = self.moved_at = max(self.moved_at, at)
        self.number += 1
        self.steps.add(at - self.started, public, member.site, state, words if state == FAILED else "")

    def _arrives(self, member: Member, seconds: float) -> None:
        if member.arrived_s is None:
            member.arrived_s = seconds
        insort(self.done, member.arrived_s)

    def _departs(self, member: Member) -> None:
        """A member that may have been current is so no more, or is counted no more."""
        if member.state == CURRENT and member.arrived_s is not None:
            del self.done[bisect_left(self.done, member.arrived_s)]

    def replay(self, public: bytes, site: str, state: int, at: float, words: str) -> None:
        """A step of a log that was kept."""
        member = self.members.get(public)
        if member is None:
            # Who began to follow it later is first told as unaware, and has wanted it no longer than that.
            member = Member(site, state, at, at if state == UNAWARE else self.started)
        self._enter(public, member, state, at, words)
        self.tick(at)

    def lose(self, public: bytes, now: float) -> None:
        """A peer is not heard of any more. Who was current is counted no longer."""
        member = self.members.get(public)
        if member is None:
            return
        if member.state == CURRENT:
            self.leave(public)
        else:
            self._enter(public, member, LOST, now, "")

    def leave(self, public: bytes) -> None:
        """A peer follows the tag no more, or said goodbye."""
        member = self.members.pop(public, None)
        if member is not None:
            self.counts[member.state] -= 1
            self._departs(member)
            self.number += 1
            self.away[public] = member
            if member.is_pull or len(self.away) > PRESENCE_MAX_PEERS:
                forgotten = self.away.pop(public if member.is_pull else next(iter(self.away)))
                if forgotten.is_of_kept:
                    self.fetched = plus(self.fetched, forgotten.sources)
                    self.of_kept = minus(self.of_kept, forgotten.sources)

    def tick(self, now: float, *, may_end: bool = True) -> bool:
        """Note how many are where; whether it has just come to its end, if it ``may_end``, or to life again."""
        t_s = now - self.started
        counts = tuple(self.counts)
        is_over = bool(self.members) and self.behind == 0
        if is_over and not may_end:
            return False
        if self.ended is None and not is_over and self._is_due(t_s, counts):
            self._point(t_s, counts)
        if is_over and self.ended is None:
            self.ended = max(m.since for m in (*self.members.values(), *self.away_current))
            self._point(max(self.ended - self.started, self.points[-1][0] if self.points else 0.0), counts)
            return True
        if self.behind and self.ended is not None and not self.is_overtaken and not self.is_kept:
            self.ended = None
        return False

    def _is_due(self, t_s: float, counts: Counts) -> bool:
        """Whether a point is to be noted: where nothing changes, seldom."""
        if not self.points:
            return True
        last_s, last = self.points[-1]
        return t_s - last_s >= self.point_s * (1 if counts != last else 10)

    def overtake(self, now: float) -> None:
        """The tag has moved on: this is over, as it stands."""
        self._point(now - self.started, tuple(self.counts))
        self.is_overtaken = True
        self.ended = self.ended if self.ended is not None else now
        self.number += 1

    def _point(self, t_s: float, counts: Counts) -> None:
        """One more point; when there are too many every second goes, and they are noted half as often."""
        self.points.append((t_s, counts))
        if len(self.points) > POINTS_MAX:
            del self.points[1:-1:2]
            self.point_s *= 2

    # ---- what it tells ------------------------------------------------------------------------------------------

    def sources(self) -> Sources:
        """Bytes of all from peers, from the origin, reused, wasted, and as they travelled."""
        return plus(self.fetched, fuller(self.kept, self.of_kept))

    def arrivals(self) -> list[float]:
        """Seconds from the start until a peer was current, in order: of those that are, or were when they went."""
        away = [member.arrived_s for member in self.away_current if member.arrived_s is not None]
        return sorted([*self.done, *away]) if away else self.done

    def percentile_s(self, share: float) -> float | None:
        """In how many seconds this share of all wanted peers was current; None before it is."""
        arrivals, away = self.arrivals(), len(self.away_current)
        place = -(-int(share * 1000) * (len(self.members) + away) // 1000)  # rounded up
        arrived = min(len(arrivals), self.counts[CURRENT] + away)
        return arrivals[place - 1] if 0 < place <= arrived else None

    def look(self, now: float) -> Look:
        """One look at all members, for whoever wants to know of the same moment: it is a millisecond of thousands."""
        if (self.looked.at, self.looked.number) != (now, self.number):
            self.looked = self._look(now)
        return self.looked

    def _look(self, now: float) -> Look:
        stalled = rate = 0
        moving: list[Member] = []
        for member in self.members.values():
            state = member.state
            if state == FETCHING:
                rate += member.told_rate
                if member.left is not None and now - member.since >= member.measured_s:
                    moving.append(member)
            if state != CURRENT and now - member.moved_at >= STALLED_S and not member.is_held:
                stalled += 1
        return Look(now, self.number, stalled, rate, self._eta_s(moving) if moving else None)

    def _eta_s(self, moving: Sequence[Member]) -> float:
        """Whoever has not begun is taken to be as fast as the others."""
        last_s = max(member.left for member in moving if member.left is not None)
        if self.counts[UNAWARE] or self.counts[WAITING]:
            rates = sorted(member.rate for member in moving)
            return max(last_s, self.total_bytes / rates[len(rates) // 2])
        return last_s

    def rate_bytes_per_s(self, now: float) -> int:
        return self.look(now).rate_bytes_per_s

    def stalled(self, now: float) -> int:
        """How many are behind and have not moved for long. Whoever a stage holds back is not meant to move."""
        return self.look(now).stalled

    def eta_s(self, now: float) -> float | None:
        """Until the last that moves is current, by what each has left and its rate. None if nobody moves, or none of
        them has moved enough to tell.
        """
        return self.look(now).eta_s

    @property
    def held(self) -> int:
        """How many the stage of now holds back."""
        return sum(1 for m in self.members.values() if m.state == WAITING and m.is_held)

    def check_invariants(self) -> None:
        states = [member.state for member in self.members.values()]
        assert self.counts == [states.count(index) for index in range(len(STATES))], "the counts of states are wrong"
        arrived = [m.arrived_s for m in self.members.values() if m.state == CURRENT and m.arrived_s is not None]
        assert self.done == sorted(arrived), "not one arrival of each that is current"
        assert len(self.points) <= POINTS_MAX + 1
        assert len(self.away) <= PRESENCE_MAX_PEERS
        assert not self.away.keys() & self.members.keys()
        of_kept = [m.sources for m in (*self.members.values(), *self.away.values()) if m.is_of_kept]
        assert self.of_kept == total(of_kept), "not what the members of a kept log tell"


def standing(told: Followed, serial: int, version: bytes) -> int:
    """In which state a peer is, towards one move of its tag. A rollout may hold it back though it knows, and where a
    version is current its hook may run yet, or fail.
    """
    is_hooked = told.cause != "hook" or told.target_version != version
    if told.serial >= serial and told.version == version and is_hooked:
        return CURRENT
    if _is_elsewhere(told, serial, version):
        return WAITING
    if told.target >= serial:
        phase: Phase = told.phase
        return STATES.index(phase) if phase != "current" else WAITING
    return WAITING if told.heard >= serial else UNAWARE


def _is_elsewhere(told: Followed, serial: int, version: bytes) -> bool:
    """Whether the move lets it have another version alone, which it may not have yet: what it fetches is that one."""
    return told.target >= serial and told.target_version not in (b"", version)
