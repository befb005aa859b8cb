"""The simulator beside a report of ``bench swarm``: the same scenario, peers, rates and size, and what differs. Pure.

Of each good round of ours, and of each simulated seed, the quantiles over the judged peers and the copies; of these the
medians. The simulator holds if p50, p95 and last are within 15% of the measured ones, and copies within 0.05. Copies
are payload from the origin; of sites also what came over each WAN at the interface, the largest of them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.processes import BenchError
from swarm.sim.run import Outcome, simulate
from swarm.sim.scenarios import Settings

WITHIN: Final = 0.15
COPIES_WITHIN: Final = 0.05
TIMES: Final = ("p50", "p95", "last")
SEEDS: Final = 8
BITS: Final = 8
# Between namespaces of one machine there is no distance, but for the queues.
DELAY_S: Final = 0.0005


@dataclass(frozen=True, slots=True)
class Line:
    """One figure, measured and simulated."""

    name: str
    measured: float
    simulated: float

    @property
    def difference(self) -> float:
        """The simulated one's, as a share of the measured; of copies in copies."""
        apart = self.simulated - self.measured
        return apart / self.measured if self.name in TIMES else apart

    @property
    def agrees(self) -> bool:
        return abs(self.difference) <= (WITHIN if self.name in TIMES else COPIES_WITHIN)


def settings_of(report: Mapping[str, Any], seed: int) -> Settings:
    """The simulator's settings for a report's run. BenchError for a report of something else."""
    told = report.get("settings", {})
    if "peer_up_bits_per_s" not in told:
        raise BenchError("this is no report of bench swarm: it says nothing of its links")
    origin, peer = told["origin_up_bits_per_s"] / BITS, max(told["peer_up_bits_per_s"]) / BITS
    return Settings(
        peers=told["peers"],
        blocks=0,
        seed=seed,
        neighbours=24,
        rate=origin,
        tick_s=0.1,
        size_bytes=told["size_bytes"],
        wan=told["wan_bits_per_s"] / BITS,
        lan=peer,
        delay_s=DELAY_S,
    )


def measured(report: Mapping[str, Any]) -> dict[str, float]:
    """Medians over the good rounds of ours. BenchError if there is none."""
    judged = report["settings"]["judged_peers"]
    rounds = [entry for entry in report["rounds"] if entry["contender"] == "ours" and entry["ok"]]
    if not rounds:
        raise BenchError("the report has no good round of ours")
    return _medians(
        _figures(
            sorted(entry["seconds"][peer] for peer in judged),
            entry["origin_copies"],
            entry["wan_copies"],
        )
        for entry in rounds
    )


def simulated(report: Mapping[str, Any], seeds: Iterable[int]) -> dict[str, float]:
    """Medians over simulated seeds. BenchError when one broke an invariant."""
    scenario = report["settings"]["scenario"]
    return _medians(_figures_of(simulate(scenario, settings_of(report, seed), checks_every=50)) for seed in seeds)


def busy_share(report: Mapping[str, Any]) -> float:
    """How much of the machine's cores the processes of ours took until the last peer had all: the simulator has links
    only, so near 1 it cannot agree. Of the good round that had most.
    """
    told, cores = report["settings"], report["machine"]["cores"]
    judged, size_gb = told["judged_peers"], told["size_bytes"] * len(told["judged_peers"]) / 1e9
    return max(
        (
            entry["cpu_s_per_gb"] * size_gb / (cores * max(entry["seconds"][peer] for peer in judged))
            for entry in report["rounds"]
            if entry["contender"] == "ours" and entry["ok"]
        ),
        default=0.0,
    )


def compare(found: Mapping[str, float], told: Mapping[str, float]) -> list[Line]:
    """What both know, measured (``found``) and simulated (``told``)."""
    return [Line(name, found[name], told[name]) for name in found if name in told]


def print_lines(title: str, lines: Sequence[Line], console: Console) -> None:
    """One figure a line."""
    table = Table("figure", "measured", "simulated", "difference", "agrees", title=title)
    for line in lines:
        shown = f"{line.difference:+.1%}" if line.name in TIMES else f"{line.difference:+.3f}"
        table.add_row(line.name, f"{line.measured:.3f}", f"{line.simulated:.3f}", shown, "yes" if line.agrees else "NO")
    console.print(table)


def _figures(seconds: Sequence[float], copies: float, into_sites: Sequence[float]) -> dict[str, float]:
    """``seconds`` in order. Quantiles as the simulator takes them."""
    found = {"p50": _at(seconds, 0.5), "p95": _at(seconds, 0.95), "last": seconds[-1], "copies": copies}
    return found | ({"into a site": max(into_sites)} if into_sites else {})


def _figures_of(outcome: Outcome) -> dict[str, float]:
    if outcome.violations:
        raise BenchError(f"the simulator is broken at seed {outcome.seed}: {outcome.violations[0]}")
    found = {"p50": outcome.p50_s, "p95": outcome.p95_s, "last": outcome.last_s, "copies": outcome.origin_copies}
    return found | ({"into a site": max(outcome.wan_copies)} if outcome.wan_copies else {})


def _medians(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    rows = list(several)
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
