"""Running a scenario, and what is told of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TextIO

from swarm.sim.books import BrokenError
from swarm.sim.peer import Peer
from swarm.sim.scenarios import SCENARIOS, Settings, sizes_of
from swarm.sim.swarm import Swarm
from swarm.sim.trace import Trace

# A run that is not over after this many times the slowest peer's bound has starved somebody.
STARVED_FACTOR = 20.0
# An invariant that does not hold, or a core that trips over its own state.
CRASHES = (AssertionError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is printed of a run. Times in seconds from each peer's start; ``done_share`` of the honest peers.

    Copies are payload; ``wan_copies`` came into each site, with headers.
    """

    peers: int
    blocks: int
    scenario: str
    seed: int
    neighbours: int
    p50_s: float
    p95_s: float
    p99_s: float
    last_s: float
    bound_s: float
    p50_over_bound: float
    p95_over_bound: float
    p99_over_bound: float
    last_over_bound: float
    origin_copies: float
    wan_copies: tuple[float, ...]
    wasted_share: float
    done_share: float
    steps: int
    violations: list[str]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def simulate(scenario: str, settings: Settings, *, checks_every: int = 1, trace: TextIO | None = None) -> Outcome:
    """Run a scenario to its end. Violations are told in the outcome, not raised. ``trace``: see ``Trace``."""
    sizes = sizes_of(settings)
    swarm = Swarm(settings.seed, sizes, neighbours=settings.neighbours, tick_s=settings.tick_s)
    swarm.checks_every = checks_every
    violations: list[str] = []
    if trace is not None:
        Trace(swarm, trace)
    try:
        SCENARIOS[scenario].fill(swarm, settings, random.Random(settings.seed + 1))
        bound = _bounds(swarm)
        slowest = max(bound(peer) for peer in swarm.peers.values() if not peer.origin)
        swarm.clock.run(STARVED_FACTOR * slowest, lambda: not swarm.fetching and not swarm.expected)
        swarm.books.check()
        _check_all(swarm, violations)
    except CRASHES as error:
        violations.append(f"at {swarm.now:.3f} s: {type(error).__name__}: {error}")
    return _outcome(scenario, settings, swarm, violations)


def _check_all(swarm: Swarm, violations: list[str]) -> None:
    for peer in swarm.peers.values():
        peer.uploads.check_invariants()
        if peer.is_fetching and peer.kind == "honest":
            assert peer.scheduler is not None
            missing = peer.scheduler.picker.missing.bit_count()
            violations.append(f"peer {peer.number} starves: {missing} missing, {peer.scheduler.waiting_for()}")


def _bounds(swarm: Swarm) -> Callable[[Peer], float]:
    """A peer's fluid bound: nobody is done before the origin has sent a copy, before his own line has carried one, nor
    before all uplinks together have carried all copies (Kumar and Ross 2006).
    """
    size = sum(swarm.sizes)
    origins = sum(p.access.up for p in swarm.peers.values() if p.origin)
    takers = [p for p in swarm.peers.values() if not p.origin]
    ups = origins + sum(p.access.up for p in takers if p.kind == "honest")
    common_s = max(size / origins, len(takers) * size / ups)
    return lambda peer: max(common_s, size / min(peer.access.down, swarm.wan_of(peer.access.site)))


def _outcome(scenario: str, settings: Settings, swarm: Swarm, violations: list[str]) -> Outcome:
    judged = [p for p in swarm.peers.values() if not p.origin and p.kind == "honest" and not p.gone]
    done = [p for p in judged if p.done_at is not None]
    bound = _bounds(swarm)
    times = sorted((p.done_at or 0.0) - p.joined_at for p in done) or [0.0]
    ratios = sorted(((p.done_at or 0.0) - p.joined_at) / bound(p) for p in done) or [0.0]
    books = swarm.books

    def at(values: list[float], share: float) -> float:
        return round(values[min(len(values) - 1, int(share * len(values)))], 3)

    return Outcome(
        settings.peers,
        len(swarm.sizes),
        scenario,
        settings.seed,
        settings.neighbours,
        at(times, 0.5),
        at(times, 0.95),
        at(times, 0.99),
        round(times[-1], 3),
        round(max((bound(p) for p in done), default=0.0), 3),
        at(ratios, 0.5),
        at(ratios, 0.95),
        at(ratios, 0.99),
        round(ratios[-1], 3),
        round(books.origin_sent / books.version_bytes, 4),
        tuple(round(sent / books.version_bytes, 3) for sent in swarm.into_sites()),
        round((books.twice + books.garbage + books.broken) / max(1, books.kept), 4),
        round(len(done) / max(1, len(judged)), 4),
        swarm.clock.steps,
        violations,
    )


__all__ = ["BrokenError", "Outcome", "simulate"]
