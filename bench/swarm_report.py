"""What rounds of a swarm found: as the JSON object of the contract, and as a table for people."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.provenance import provenance
from bench.report import Missing, by_contender, costs, median, print_missing, report_json, spread


@dataclass(frozen=True, slots=True)
class SwarmRound:
    """One contender, once. A peer that is not judged, or failed, may have no time; copies are of the payload's size.

    A round that failed has no figures but the times of the peers that were complete.
    """

    contender: str
    number: int
    seconds: list[float | None]
    last_over_bound: float | None
    origin_copies: float | None
    origin_copies_interface: float | None
    wasted_share: float | None
    wan_copies: list[float]
    cpu_s_per_gb: float | None
    peak_rss_bytes: int | None
    ok: bool
    failures: list[str] = field(default_factory=list)

    @classmethod
    def failed(
        cls, contender: str, number: int, seconds: Sequence[float | None], failures: Sequence[str]
    ) -> SwarmRound:
        """A round that did not come to its end with all judged peers, or not to its clock."""
        told = list(failures) or ["what arrived is not the payload"]
        return cls(contender, number, list(seconds), None, None, None, None, [], None, None, ok=False, failures=told)

    def summary(self) -> str:
        """One line for who waits."""
        if not self.ok:
            return f"failed: {'; '.join(self.failures[:3])}"
        payload = "" if self.origin_copies is None else f", payload {self.origin_copies:.3f}"
        sites = f", into sites {' '.join(f'{copies:.2f}' for copies in self.wan_copies)}" if self.wan_copies else ""
        wasted = "" if self.wasted_share is None else f", wasted {self.wasted_share:.2%}"
        return (
            f"last / bound {self.last_over_bound:.3f}, origin's copies {self.origin_copies_interface:.3f}"
            f"{payload}{sites}{wasted}, {self.cpu_s_per_gb:.1f} CPU-s/GB"
        )


@dataclass(slots=True)
class SwarmReport:
    """Everything that one run found."""

    bound_s: float
    settings: dict[str, Any]
    rounds: list[SwarmRound] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=provenance)

    def as_json(self) -> str:
        """The object that ``--json OUT`` writes."""
        return report_json(self.bound_s, self.provenance, self.settings, self.rounds, self.missing)

    def by_contender(self) -> dict[str, list[SwarmRound]]:
        """The rounds of each, in the order of their first."""
        return by_contender(self.rounds)


def print_swarm(report: SwarmReport, console: Console) -> None:
    """The medians of each contender's rounds that counted, and the range of the last peer."""
    table = Table("contender", "last/bound", "range", "copies", "payload", "CPU-s/GB", "peak RSS", "counted")
    with_sites = any(entry.wan_copies for entry in report.rounds)
    if with_sites:
        table.add_column("per site")
    for name, rounds in report.by_contender().items():
        cells = [name, median(rounds, "last_over_bound", ".3f"), spread(rounds, "last_over_bound", ".2f")]
        cells += [median(rounds, "origin_copies_interface", ".3f"), median(rounds, "origin_copies", ".3f")]
        table.add_row(*cells, *costs(rounds), *([_into_sites(rounds)] if with_sites else []))
    console.print(f"bound {report.bound_s} s", highlight=False)
    console.print(table)
    print_missing(report.missing, console)


def _into_sites(rounds: Sequence[SwarmRound]) -> str:
    """The medians over the rounds that counted, of the site that has the most."""
    sites = zip(*(entry.wan_copies for entry in rounds if entry.ok), strict=True)
    return f"{max((statistics.median(copies) for copies in sites), default=0.0):.3f}"
