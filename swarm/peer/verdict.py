"""Which cause a pull's time went into, in a sentence. Pure.

A neighbour is called slow if its blocks came at less than half of what the others' came at.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from swarm.peer.trace import FETCH, FIND, PullTrace, Source
from swarm.peer.waterfall import Cause, Step, sums
from swarm.units import counted, rate

SLOW: Final = 0.5
# A download that reaches so much of its own limit is held up by that.
LIMITED: Final = 0.7
NOTES_MAX: Final = 3

Named = Literal[
    "tracker", "discovery", "local", "peer", "peers", "origin", "busy", "hashing", "disk", "limit", "nothing"
]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``cause`` took ``seconds`` of the critical path. ``peer`` is the neighbour that it is about, or empty."""

    cause: Named
    seconds: float
    sentence: str
    peer: str = ""


def judge(trace: PullTrace, steps: Sequence[Step]) -> Verdict:
    """What held the pull up most."""
    by_cause = sums(steps)
    if not by_cause:
        return Verdict("nothing", 0.0, "nothing took any time worth telling")
    cause, seconds = next(iter(by_cause.items()))
    if cause in ("peer", "origin") and _is_limited(trace):
        return _said(trace, "limit", seconds, f"its own download limit of {rate(trace.limit_bytes_per_s)}: raise it")
    if cause == "peer":
        return _of_peers(trace, steps, seconds)
    if cause == "origin":
        return _of_origin(trace, steps, seconds)
    named, words = _WORDS[cause]
    if cause == "discovery" and _before_anything(trace, steps) * 2 >= seconds:
        words = "finding out what the reference means"
    return _said(trace, named, seconds, words + _why(trace, cause))


_WORDS: Final[dict[Cause, tuple[Named, str]]] = {
    "tracker": ("tracker", "a tracker that did not answer: the swarm was asked in its place"),
    "discovery": (
        "discovery",
        "looking for somebody who has the version: no neighbour that was known then had any of it",
    ),
    "local": ("local", "this machine, before anything was fetched: reading and hashing what is here already"),
    "busy": ("busy", "waiting while every neighbour that has it was busy, or had sent us to others"),
    "hashing": ("hashing", "opening and hashing the blocks: this machine's processor is what limits it"),
    "disk": ("disk", "writing: this machine's disk is what limits it"),
}


def _before_anything(trace: PullTrace, steps: Sequence[Step]) -> float:
    """Seconds of looking before it was known what was looked for."""
    until = next((phase.end for phase in trace.phases if phase.name == FIND), 0.0)
    return sum(step.seconds for step in steps if step.cause == "discovery" and step.end <= until)


def notes_of(trace: PullTrace) -> list[str]:
    """What else went wrong meanwhile, whether or not it took long."""
    notes = [f"a tracker did not answer: {problem}" for problem in dict.fromkeys(_problems(trace))][:NOTES_MAX]
    for source in trace.sources:
        if source.broken:
            notes.append(f"{counted(source.broken, 'run')} from {name_of(source)} broke off")
    refused = sum(source.refused for source in trace.sources)
    no_block = [f"{counted(refused, 'time')} a neighbour had no block to give"] if refused else []
    return [*notes[: 2 * NOTES_MAX], *no_block]


def _problems(trace: PullTrace) -> Iterator[str]:
    return (look.problem for look in trace.looks if look.problem)


def _why(trace: PullTrace, cause: Cause) -> str:
    problem = next(_problems(trace), "") if cause == "tracker" else ""
    return f" ({problem})" if problem else ""


def _of_peers(trace: PullTrace, steps: Sequence[Step], seconds: float) -> Verdict:
    shares: dict[int, float] = {}
    for step in steps:
        if step.cause == "peer" and step.source is not None:
            shares[step.source] = shares.get(step.source, 0.0) + step.seconds
    number, most_s = max(shares.items(), key=lambda item: item[1])
    source = trace.sources[number]
    others = [other for at, other in enumerate(trace.sources) if at != number and rate_of(other) > 0]
    usual = statistics.median(map(rate_of, others)) if others else None
    if most_s * 2 >= seconds and (usual is None or rate_of(source) < SLOW * usual):
        kind = "a slow peer" if usual is not None else "one peer alone"
        beside = f"those of others at {rate(usual)}" if usual is not None else "and nobody else gave any"
        words = f"{kind}, {name_of(source)}, whose blocks came at {rate(rate_of(source))}, {beside}"
        return _said(trace, "peer", most_s, words + _broken(source), source.peer)
    gave = [other for other in trace.sources if other.size_bytes]
    pace = sum(other.size_bytes for other in gave) / max(_fetching_s(trace), 1e-9)
    words = f"the network: {len(gave)} neighbours gave {rate(pace)} together, and none of them stands out"
    return _said(trace, "peers", seconds, words)


def _of_origin(trace: PullTrace, steps: Sequence[Step], seconds: float) -> Verdict:
    at = {step.source for step in steps if step.cause == "origin" and step.source is not None}
    source = max((trace.sources[number] for number in at), key=lambda source: source.wait_s + source.transfer_s)
    others = sum(1 for other in trace.sources if not other.origin and other.size_bytes)
    beside = f"{others} other neighbours gave some" if others else "no other neighbour gave any"
    words = f"the origin, {name_of(source)}, whose blocks came at {rate(rate_of(source))}; {beside}"
    return _said(trace, "origin", seconds, words + _broken(source), source.peer)


def _broken(source: Source) -> str:
    return f"; {source.broken} of its runs broke off" if source.broken else ""


def _said(trace: PullTrace, cause: Named, seconds: float, words: str, peer: str = "") -> Verdict:
    whole = trace.seconds
    digits = 1 if whole >= 1 else 2
    return Verdict(cause, seconds, f"{seconds:.{digits}f} of {whole:.{digits}f} s went into {words}", peer)


def name_of(source: Source) -> str:
    """A neighbour, in words."""
    kind = {1: "seed ", 2: "producer "}.get(source.origin, "")
    return f"{kind}{source.peer[:8]}{' (of this site)' if source.near and not source.origin else ''}"


def rate_of(source: Source) -> float:
    """Bytes a second of the time in which it was waited for."""
    waited_s = source.wait_s + source.transfer_s
    return source.size_bytes / waited_s if waited_s > 0 else 0.0


def _is_limited(trace: PullTrace) -> bool:
    came = sum(source.size_bytes for source in trace.sources)
    return bool(trace.limit_bytes_per_s) and came / max(_fetching_s(trace), 1e-9) >= LIMITED * trace.limit_bytes_per_s


def _fetching_s(trace: PullTrace) -> float:
    return sum(phase.end - phase.start for phase in trace.phases if phase.name == FETCH)
