"""What a rollout of a version would take: the simulator on its blocks, over lines that somebody describes. Pure.

Every peer begins at the same moment, and fetches the same blocks. Of versions with more blocks than ``DELIVERIES_MAX``
allows for so many peers, the first part is simulated, and half of that; the rest of the time follows from the slope
between the two, since blocks go through a swarm in a stream. What is told says how many were simulated.

What is not modelled is left out and not guessed: other traffic, disks, and the processors of machines, but for two
parameters that are measured: ``start_s``, and ``machine_bytes_per_s`` where all peers share a machine, as a bench's do.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from swarm.errors import AetherError
from swarm.sim.books import BrokenError
from swarm.sim.links import Link
from swarm.sim.peer import Access
from swarm.sim.run import CRASHES, STARVED_FACTOR
from swarm.sim.swarm import Swarm

# What one run may simulate: blocks times peers. About 4,000 a second and core (2026-11).
DELIVERIES_MAX: Final = 16_384
# With fewer blocks a swarm has no stream that a slope could be taken from.
BLOCKS_MIN: Final = 64
PEERS_MAX: Final = 2000
SITES_MAX: Final = 200
SEEDS_MAX: Final = 32
TICK_S: Final = 0.1
# Of what takes less, most is not simulated: hearing of a move, connections, hashing, putting in place. Three peers on
# one machine had in 0.3 s what was foreseen in 0.1 (2026-11). So no more is told of it than that it is less.
TOLD_FROM_S: Final = 1.0
NEIGHBOURS: Final = 24


class Conditions(msgspec.Struct, frozen=True):
    """Who fetches, over which lines; rates are bytes a second on the wire.

    Without ``sites`` each peer has a line of ``link``, up and down. With them ``link`` is what each site has to the
    world, shared by its peers, who have ``lan`` among themselves. Seeds have ``seed_link`` each. ``delay_s`` is from a
    peer, a seed or a site to the middle of the network. ``start_s`` is what a pull takes besides moving blocks
    (``swarm.sim.starting``). ``machine_bytes_per_s``: what one machine that all share carries, in payload; 0 where each
    has its own.
    """

    peers: int
    link: float
    sites: int = 0
    seeds: int = 1
    seed_link: float = 0.0
    lan: float = 125_000_000.0
    delay_s: float = 0.005
    start_s: float = 0.0
    machine_bytes_per_s: float = 0.0

    @property
    def seed_rate(self) -> float:
        return self.seed_link or self.link


class Forecast(msgspec.Struct, frozen=True):
    """The medians of the runs. Times are from the release until a peer has everything.

    ``origin_bytes`` are what all seeds send, plain, ``origin_copies`` that over what one peer fetches,
    ``origin_requests`` runs of blocks that they are asked for. ``bound_s`` is the least time that the lines allow.
    ``curve``: [seconds, peers that were complete by then], of the first run. ``simulated_blocks`` of ``blocks``.
    A time below TOLD_FROM_S says no more than that.
    """

    p50_s: float
    p95_s: float
    p99_s: float
    last_s: float
    bound_s: float
    origin_bytes: int
    origin_copies: float
    origin_requests: int
    wasted_share: float
    blocks: int
    simulated_blocks: int
    runs: int
    curve: tuple[tuple[float, int], ...]


class _Run(msgspec.Struct, frozen=True):
    times: tuple[float, ...]
    origin_bytes: float
    origin_requests: float
    wasted_share: float


def forecast(
    sizes: Sequence[int],
    conditions: Conditions,
    *,
    runs: int = 3,
    seed: int = 1,
    deliveries: int = DELIVERIES_MAX,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Forecast:
    """The forecast for blocks of these sizes, in the order of the version. AetherError when the simulator breaks."""
    if not sizes:
        return Forecast(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0, 0.0, 0, 0, 0, ())
    simulated = min(len(sizes), max(BLOCKS_MIN, deliveries // conditions.peers))
    found: list[_Run] = []
    for number in range(runs):
        progress(number, runs)
        found.append(_forecast(sizes, conditions, simulated, seed + number))
    start_s = conditions.start_s
    times = [start_s + statistics.median(run.times[at] for run in found) for at in range(conditions.peers)]
    origin_bytes = statistics.median(run.origin_bytes for run in found)
    return Forecast(
        p50_s=quantile(times, 0.5),
        p95_s=quantile(times, 0.95),
        p99_s=quantile(times, 0.99),
        last_s=round(times[-1], 3),
        bound_s=round(bound_s(sum(sizes), conditions), 3),
        origin_bytes=round(origin_bytes),
        origin_copies=round(origin_bytes / sum(sizes), 4),
        origin_requests=round(statistics.median(run.origin_requests for run in found)),
        wasted_share=round(statistics.median(run.wasted_share for run in found), 4),
        blocks=len(sizes),
        simulated_blocks=simulated,
        runs=runs,
        curve=curve_of(times),
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """As the simulator and the bench take it: the first that is not below so large a share."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


def curve_of(ordered: Sequence[float], points: int = 60) -> tuple[tuple[float, int], ...]:
    """How many were complete by when, at most so many points, the first and the last among them."""
    step = max(1, len(ordered) // points)
    kept = sorted({*range(0, len(ordered), step), len(ordered) - 1})
    return tuple((round(ordered[at], 3), at + 1) for at in kept)


def bound_s(size_bytes: float, conditions: Conditions) -> float:
    """The least time in which lines like these, counted whole, bring so much to every peer."""
    from_seeds = conditions.seeds * conditions.seed_rate
    if conditions.sites:
        copies_in = min(conditions.sites, conditions.peers)
        ups = from_seeds + conditions.sites * conditions.link
        least = (
            size_bytes / from_seeds,
            size_bytes / min(conditions.link, conditions.lan),
            copies_in * size_bytes / ups,
        )
    else:
        ups = from_seeds + conditions.peers * conditions.link
        least = (size_bytes / from_seeds, size_bytes / conditions.link, conditions.peers * size_bytes / ups)
    return max(least)


def _forecast(sizes: Sequence[int], conditions: Conditions, simulated: int, seed: int) -> _Run:
    """One run; what was not simulated of it follows from the slope between a half and the whole."""
    whole = _simulated(sizes[:simulated], conditions, seed)
    if simulated == len(sizes):
        return whole
    half = _simulated(sizes[: simulated // 2], conditions, seed)
    here, there, everything = sum(sizes[: simulated // 2]), sum(sizes[:simulated]), sum(sizes)

    def further(short: float, long: float) -> float:
        return long + max(0.0, long - short) * (everything - there) / (there - here)

    return _Run(
        tuple(sorted(further(short, long) for short, long in zip(half.times, whole.times, strict=True))),
        further(half.origin_bytes, whole.origin_bytes),
        further(half.origin_requests, whole.origin_requests),
        whole.wasted_share,
    )


def _simulated(sizes: Sequence[int], conditions: Conditions, seed: int) -> _Run:
    """The times of all peers in order."""
    swarm = _filled(sizes, conditions, seed)
    try:
        limit_s = STARVED_FACTOR * max(1.0, bound_s(sum(sizes), conditions), _machine_s(sum(sizes), conditions))
        swarm.clock.run(limit_s, lambda: not swarm.fetching)
        swarm.books.check()
    except (BrokenError, *CRASHES) as error:
        raise AetherError(
            f"the simulator broke ({type(error).__name__}: {error}): report this with its settings"
        ) from error
    takers = [peer for peer in swarm.peers.values() if not peer.origin]
    late = [peer for peer in takers if peer.done_at is None]
    if late:
        raise AetherError(f"the simulator left {len(late)} of {len(takers)} peers without the version: report this")
    books = swarm.books
    return _Run(
        tuple(sorted(peer.done_at or 0.0 for peer in takers)),
        books.origin_sent,
        swarm.origin_requests,
        (books.twice + books.garbage + books.broken) / max(1, books.kept),
    )


def _machine_s(size_bytes: int, conditions: Conditions) -> float:
    rate = conditions.machine_bytes_per_s
    return size_bytes * conditions.peers / rate if rate else 0.0


def _filled(sizes: Sequence[int], conditions: Conditions, seed: int) -> Swarm:
    """Seeds and peers on their lines, all at the beginning."""
    machine = Link(conditions.machine_bytes_per_s) if conditions.machine_bytes_per_s else None
    swarm = Swarm(seed, list(sizes), neighbours=NEIGHBOURS, tick_s=TICK_S, machine=machine)
    swarm.checks_every = 1000
    for _ in range(conditions.seeds):
        swarm.add_origin(Access(conditions.seed_rate, conditions.seed_rate, conditions.delay_s))
    for site in range(conditions.sites):
        swarm.add_site(f"site-{site}", conditions.link, conditions.link)
    order = random.Random(seed).sample(range(conditions.peers), conditions.peers)
    for number in order:
        if conditions.sites:
            name = f"site-{number % conditions.sites}"
            swarm.add_peer(Access(conditions.lan, conditions.lan, conditions.delay_s, name))
        else:
            swarm.add_peer(Access(conditions.link, conditions.link, conditions.delay_s))
    return swarm


__all__ = ["Conditions", "Forecast", "bound_s", "curve_of", "forecast", "quantile"]
