"""Results: as the JSON object of the contract, and as a table for people."""

from __future__ import annotations

import json
import os
import platform
import ssl
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console
from rich.table import Table

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Round:
    """One contender, once. CPU and memory are over all processes of both ends; the peak is of the largest one."""

    contender: str
    mb_per_s: float
    seconds: float
    cpu_s_per_gb: float
    peak_rss_bytes: int
    ok: bool


@dataclass(frozen=True, slots=True)
class SmallRound:
    """One contender, once, with many small files. ``seconds`` are from the start of publishing to the end of the
    pull; CPU and memory as in ``Round``.
    """

    contender: str
    publish_s: float
    pull_s: float
    seconds: float
    cpu_s_per_gb: float
    peak_rss_bytes: int
    ok: bool


AnyRound = TypeVar("AnyRound", Round, SmallRound)


@dataclass(frozen=True, slots=True)
class Missing:
    """A contender that could not run, and why."""

    contender: str
    why: str


@dataclass(slots=True)
class Report(Generic[AnyRound]):
    """Everything that one run found."""

    settings: dict[str, Any]
    rounds: list[AnyRound] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def as_json(self) -> str:
        """The object that ``--json OUT`` writes."""
        told = {
            "machine": machine(),
            "settings": self.settings,
            "rounds": [asdict(entry) for entry in self.rounds],
            "missing": [asdict(entry) for entry in self.missing],
        }
        return json.dumps(told, indent=2) + "\n"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _first_value(Path("/proc/cpuinfo"), "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
    }


def filesystem(path: Path) -> str:
    """The kind of filesystem that a path lies on."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    fitting = [(point, kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
    return max(fitting, key=lambda mount: len(mount[0]))[1]


def print_table(report: Report[Round], protections: dict[str, str], console: Console) -> None:
    """The median of each contender's good rounds, and the spread."""
    table = Table("contender", "MB/s", "range", "CPU-s/GB", "peak RSS", "encrypted", "ok")
    for name, rounds in _by_contender(report.rounds).items():
        good = [entry for entry in rounds if entry.ok]
        share = f"{len(good)}/{len(rounds)}"
        if not good:
            table.add_row(name, "-", "-", "-", "-", protections[name], share)
            continue
        speeds = [entry.mb_per_s for entry in good]
        table.add_row(
            name,
            f"{statistics.median(speeds):.0f}",
            f"{min(speeds):.0f} to {max(speeds):.0f}",
            f"{statistics.median(entry.cpu_s_per_gb for entry in good):.1f}",
            f"{max(entry.peak_rss_bytes for entry in good) / 1024**2:.0f} MiB",
            protections[name],
            share,
        )
    console.print(table)
    _print_missing(report.missing, console)


def print_small(report: Report[SmallRound], console: Console) -> None:
    """The medians of each contender's good rounds, and the range of the whole."""
    table = Table("contender", "publish", "pull", "in all", "range", "CPU-s/GB", "peak RSS", "ok")
    for name, rounds in _by_contender(report.rounds).items():
        good = [entry for entry in rounds if entry.ok]
        share = f"{len(good)}/{len(rounds)}"
        if not good:
            table.add_row(name, "-", "-", "-", "-", "-", "-", share)
            continue
        seconds = [entry.seconds for entry in good]
        table.add_row(
            name,
            f"{statistics.median(entry.publish_s for entry in good):.2f} s",
            f"{statistics.median(entry.pull_s for entry in good):.2f} s",
            f"{statistics.median(seconds):.2f} s",
            f"{min(seconds):.2f} to {max(seconds):.2f}",
            f"{statistics.median(entry.cpu_s_per_gb for entry in good):.1f}",
            f"{max(entry.peak_rss_bytes for entry in good) / 1024**2:.0f} MiB",
            share,
        )
    console.print(table)
    _print_missing(report.missing, console)


def _print_missing(missing: Sequence[Missing], console: Console) -> None:
    for entry in missing:
        console.print(f"missing: {entry.contender}: {entry.why}", highlight=False)


def _by_contender(rounds: Sequence[AnyRound]) -> dict[str, list[AnyRound]]:
    return {entry.contender: [other for other in rounds if other.contender == entry.contender] for entry in rounds}


def _first_value(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return platform.machine()
