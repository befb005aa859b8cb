"""What rounds of a swarm found: as the JSON object of the contract, and as a table for people."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.report import Missing, machine


@dataclass(frozen=True, slots=True)
class SwarmRound:
    """One contender, once. A peer that is not judged, or failed, may have no time; copies are of the payload's size."""

    contender: str
    number: int
    seconds: list[float | None]
    last_over_bound: float
    origin_copies: float | None
    origin_copies_interface: float
    wasted_share: float | None
    wan_copies: list[float]
    cpu_s_per_gb: float
    peak_rss_bytes: int
    ok: bool
    failures: list[str] = field(default_factory=list)

    @classmethod
    def failed(cls, contender: str, number: int, why: str) -> SwarmRound:
        """A round that did not come to its clock."""
        return cls(contender, number, [], 0.0, None, 0.0, None, [], 0.0, 0, ok=False, failures=[why])

    def summary(self) -> str:
        """One line for who waits."""
        if not self.ok:
            return f"failed: {'; '.join(self.failures[:3]) or 'what arrived is not the payload'}"
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

    def as_json(self) -> str:
        """The object that ``--json OUT`` writes."""
        told = {
            "bound_s": self.bound_s,
            "machine": machine(),
            "settings": self.settings,
            "rounds": [asdict(entry) for entry in self.rounds],
            "missing": [asdict(entry) for entry in self.missing],
        }
        return json.dumps(told, indent=2) + "\n"

    def by_contender(self) -> dict[str, list[SwarmRound]]:
        """The rounds of each, in the order of their first."""
        names = dict.fromkeys(entry.contender for entry in self.rounds)
        return {name: [entry for entry in self.rounds if entry.contender == name] for name in names}


def print_swarm(report: SwarmReport, console: Console) -> None:
    """The medians of each contender's good rounds, and the range of the last peer."""
    table = Table("contender", "last/bound", "range", "copies", "payload", "CPU-s/GB", "peak RSS", "ok")
    with_sites = any(entry.wan_copies for entry in report.rounds)
    if with_sites:
        table.add_column("per site")
    for name, rounds in report.by_contender().items():
        good = [entry for entry in rounds if entry.ok]
        share = f"{len(good)}/{len(rounds)}"
        if not good:
            table.add_row(name, "-", "-", "-", "-", "-", "-", share)
            continue
        lasts = [entry.last_over_bound for entry in good]
        counted = [entry.origin_copies for entry in good if entry.origin_copies is not None]
        cells = [
            name,
            f"{statistics.median(lasts):.3f}",
            f"{min(lasts):.2f}-{max(lasts):.2f}",
            f"{statistics.median(entry.origin_copies_interface for entry in good):.3f}",
            f"{statistics.median(counted):.3f}" if counted else "-",
            f"{statistics.median(entry.cpu_s_per_gb for entry in good):.1f}",
            f"{max(entry.peak_rss_bytes for entry in good) / 1024**2:.0f} MiB",
            share,
        ]
        if with_sites:
            cells.append(f"{max(statistics.median(copies) for copies in zip(*_wan(good), strict=True)):.3f}")
        table.add_row(*cells)
    console.print(f"bound {report.bound_s} s", highlight=False)
    console.print(table)
    for entry in report.missing:
        console.print(f"missing: {entry.contender}: {entry.why}", highlight=False)


def _wan(rounds: list[SwarmRound]) -> list[list[float]]:
    return [entry.wan_copies for entry in rounds]
