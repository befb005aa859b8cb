"""Growth of ours with the number of peers and with the size, over shaped links: a swarm run for each step."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from bench.contenders.ours_swarm import OursSwarm
from bench.report import Tell, costs, median, summary
from bench.scenarios import make_scenario
from bench.swarm import SwarmSettings, run_swarm
from bench.swarm_report import SwarmReport

MIB: Final = 1024**2
PEERS_AT_16_MIB: Final = (2, 4, 8, 16)
MIB_AT_4_PEERS: Final = (64, 128)


def run_scale(rate_bits_per_s: int, rounds: int, seed: int, folder: Path, tell: Tell) -> list[SwarmReport]:
    """One report per step."""
    steps = [*((peers, 16) for peers in PEERS_AT_16_MIB), *((4, mib) for mib in MIB_AT_4_PEERS)]
    reports = []
    for peers, mib in steps:
        tell(f"{peers} peers, {mib} MiB")
        settings = SwarmSettings(make_scenario("plain", peers, rate_bits_per_s), mib * MIB, rounds, seed)
        reports.append(run_swarm([OursSwarm()], settings, folder / f"{peers}-{mib}", tell))
    return reports


def scale_json(reports: list[SwarmReport]) -> str:
    """The object that ``--json OUT`` writes."""
    steps: list[dict[str, Any]] = [
        {
            "bound_s": report.bound_s,
            "settings": report.settings,
            "summary": summary(report.rounds),
            "rounds": [asdict(entry) for entry in report.rounds],
        }
        for report in reports
    ]
    return json.dumps({**reports[0].provenance, "steps": steps}, indent=2) + "\n"


def print_scale(reports: list[SwarmReport], console: Console) -> None:
    """One line per step: the medians of the rounds that counted."""
    table = Table("peers", "MiB", "bound s", "last/bound", "copies", "CPU-s/GB", "peak RSS", "counted")
    for report in reports:
        cells = [str(report.settings["peers"]), str(report.settings["size_bytes"] // MIB), f"{report.bound_s:.2f}"]
        cells += [median(report.rounds, name, ".3f") for name in ("last_over_bound", "origin_copies_interface")]
        table.add_row(*cells, *costs(report.rounds))
    console.print(table)
