"""Where the time of a pull went: its critical path, step by step, and the sums by cause.

Pure. The path is walked from the end back to the start: what was stored last came in some run; that one was asked for
when another ended, and so on. Where no run was under way nobody could be asked, or who could be was busy. So the steps
follow one another without gaps, and their lengths add up to the pull's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from swarm.peer.trace import FETCH, FIND, FINISH, MANIFEST, PREPARE, Phase, PullTrace, RunSpan

# A run is taken for the cause of another that was asked for so soon after it ended.
FOLLOWS_S: Final = 0.05
EPSILON_S: Final = 1e-6

Cause = Literal["tracker", "discovery", "local", "peer", "origin", "busy", "hashing", "disk"]
What = Literal["", "wait", "bytes", "hash", "disk"]


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the critical path. ``source`` is the number of the neighbour that it is about, None for no one."""

    start: float
    end: float
    cause: Cause
    source: int | None = None
    what: What = ""

    @property
    def seconds(self) -> float:
        return self.end - self.start


def critical_path(trace: PullTrace) -> list[Step]:
    """The steps from the pull's start to its end."""
    steps: list[Step] = []
    for phase in trace.phases:
        if phase.end - phase.start > EPSILON_S:
            steps += _steps_of(trace, phase)
    return _joined(steps)


def sums(steps: Sequence[Step]) -> dict[Cause, float]:
    """Seconds of the critical path by cause, the longest first."""
    found: dict[Cause, float] = {}
    for step in steps:
        found[step.cause] = found.get(step.cause, 0.0) + step.seconds
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _steps_of(trace: PullTrace, phase: Phase) -> list[Step]:
    match phase.name:
        case name if name == FIND:
            return list(_looking(trace, phase.start, phase.end))
        case name if name in (MANIFEST, FETCH):
            return _walked(trace, phase.start, phase.end)
        case name if name == FINISH:
            return [Step(phase.start, phase.end, "disk")]
        case name if name == PREPARE:
            return [Step(phase.start, phase.end, "local")]
    return []


def _walked(trace: PullTrace, start: float, end: float) -> list[Step]:
    """The path through a time in which runs are under way, from its end back."""
    runs = [run for run in trace.runs if run.asked < end and run.ended > start]
    steps: list[Step] = []
    at, source = end, -1
    run = max((run for run in runs if run.last > run.asked), key=lambda run: run.last, default=None)
    while at > start + EPSILON_S:
        if run is None:
            before = max((other.ended for other in runs if other.ended < at), default=start)
            begin = max(start, before)
            steps += reversed(list(_unasked(trace, begin, at)))
        else:
            begin = max(start, run.asked)
            steps += reversed(list(_through(trace, run, begin, at)))
            source = run.source
        at = begin
        run = _cause_of(runs, at, source)
    return steps[::-1]


def _cause_of(runs: Sequence[RunSpan], at: float, source: int) -> RunSpan | None:
    """The run whose end let another begin, at this time and rather of the same neighbour; else one under way then."""
    before = [run for run in runs if run.asked < at - EPSILON_S and run.ended >= at - FOLLOWS_S]
    ending = [run for run in before if run.ended <= at + FOLLOWS_S]
    if ending:
        return max(ending, key=lambda run: (run.source == source, run.ended))
    return max(before, key=lambda run: run.asked, default=None)


def _through(trace: PullTrace, run: RunSpan, start: float, end: float) -> Iterator[Step]:
    """The part of the path that one run is, by what it spent its time on."""
    of: Cause = "origin" if trace.sources[run.source].origin else "peer"
    shares: tuple[tuple[Cause, What, float], ...] = (
        (of, "wait", run.wait_s),
        (of, "bytes", run.transfer_s),
        ("hashing", "hash", run.hash_s),
        ("disk", "disk", run.disk_s),
    )
    return _divided(start, end, [Step(0, share, cause, run.source, what) for cause, what, share in shares])


def _divided(start: float, end: float, shares: Sequence[Step]) -> Iterator[Step]:
    """A time, divided in proportion to the lengths of these."""
    whole = sum(share.seconds for share in shares)
    at = start
    for share in shares:
        if share.seconds > 0 and whole > 0:
            until = at + (end - start) * share.seconds / whole
            yield replace(share, start=at, end=until)
            at = until


def _unasked(trace: PullTrace, start: float, end: float) -> Iterator[Step]:
    """A time in which nothing was asked of anybody, that is known of."""
    if trace.runs_left_out:
        yield from _divided(start, end, list(_all_runs(trace)))
        return
    at = start
    for until, is_known in _known_when(trace, start, end):
        if is_known:
            yield Step(at, until, "busy")
        else:
            yield from _looking(trace, at, until)
        at = until


def _all_runs(trace: PullTrace) -> Iterator[Step]:
    for number, source in enumerate(trace.sources):
        of: Cause = "origin" if source.origin else "peer"
        yield Step(0, source.wait_s, of, number, "wait")
        yield Step(0, source.transfer_s, of, number, "bytes")
        yield Step(0, source.hash_s, "hashing", number, "hash")
        yield Step(0, source.disk_s, "disk", number, "disk")


def _known_when(trace: PullTrace, start: float, end: float) -> Iterator[tuple[float, bool]]:
    """Until when, within a time, somebody who has something was known, or nobody."""
    moments = {end}
    for source in trace.sources:
        moments |= {moment for moment in (source.joined, source.left) if moment is not None and start < moment < end}
    at = start
    for until in sorted(moments):
        middle = (at + until) / 2
        yield until, any(s.joined <= middle and (s.left is None or middle < s.left) for s in trace.sources)
        at = until


def _looking(trace: PullTrace, start: float, end: float) -> Iterator[Step]:
    """A time in which somebody is looked for: by a tracker's fault from where one that was asked did not answer, until
    one does.
    """
    at = start
    cause: Cause = "discovery"
    for look in sorted(trace.looks, key=lambda look: look.start):
        changed = "tracker" if look.problem else "discovery"
        moment = look.start if look.problem else look.end
        if moment > start and changed != cause and moment < end and moment > at:
            yield Step(at, moment, cause)
            at = moment
        if moment < end:
            cause = "tracker" if look.problem else "discovery"
    yield Step(at, end, cause)


def _joined(steps: Sequence[Step]) -> list[Step]:
    """Steps of one kind that follow one another as one."""
    joined: list[Step] = []
    for step in steps:
        if step.seconds <= EPSILON_S:
            continue
        last = joined[-1] if joined else None
        if last is not None and (last.cause, last.source, last.what) == (step.cause, step.source, step.what):
            joined[-1] = replace(last, end=step.end)
        else:
            joined.append(step)
    return joined
