"""Results: as the JSON object of the contract, and as a table for people.

A round that failed has no figures: null in the JSON, and no part of any median. How many rounds of how many counted is
told beside the medians.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from rich.console import Console
from rich.table import Table

from bench.provenance import provenance

Tell = Callable[[str], None]


class Counted(Protocol):
    """A dataclass of one contender's round."""

    @property
    def contender(self) -> str: ...

    @property
    def ok(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Round:
    """One contender, once. CPU and memory are over all processes of both ends; the peak is of the largest one.

    ``seconds`` has the one peer's. Loopback has no bound. ``origin_copies`` are payload, where the contender counts it;
    the interface's are all that went over loopback meanwhile, both ways.
    """

    contender: str
    mb_per_s: float | None
    seconds: list[float | None]
    last_over_bound: None
    origin_copies: float | None
    origin_copies_interface: float | None
    cpu_s_per_gb: float | None
    peak_rss_bytes: int | None
    ok: bool
    failures: list[str] = field(default_factory=list)

    @classmethod
    def failed(cls, contender: str, why: str) -> Round:
        return cls(contender, None, [None], None, None, None, None, None, ok=False, failures=[why])


@dataclass(frozen=True, slots=True)
class SmallRound:
    """One contender, once, with many small files. ``seconds`` are from the start of publishing to the end of the
    pull; CPU and memory as in ``Round``.
    """

    contender: str
    publish_s: float | None
    pull_s: float | None
    seconds: float | None
    cpu_s_per_gb: float | None
    peak_rss_bytes: int | None
    ok: bool
    failures: list[str] = field(default_factory=list)

    @classmethod
    def failed(cls, contender: str, why: str) -> SmallRound:
        return cls(contender, None, None, None, None, None, ok=False, failures=[why])


AnyRound = TypeVar("AnyRound", Round, SmallRound)
SomeRound = TypeVar("SomeRound", bound=Counted)


@dataclass(frozen=True, slots=True)
class Missing:
    """A contender that could not run, and why."""

    contender: str
    why: str


@dataclass(slots=True)
class Report(Generic[AnyRound]):
    """Everything that one run over loopback found."""

    settings: dict[str, Any]
    rounds: list[AnyRound] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=provenance)

    def as_json(self) -> str:
        """The object that ``--json OUT`` writes."""
        return report_json(None, self.provenance, self.settings, self.rounds, self.missing)


def report_json(
    bound_s: float | None,
    head: Mapping[str, Any],
    settings: Mapping[str, Any],
    rounds: Sequence[Any],
    missing: Sequence[Missing],
) -> str:
    """The object of the contract. ``bound_s`` is None where no link has a rate."""
    told = {
        "bound_s": bound_s,
        **head,
        "settings": settings,
        "summary": summary(rounds),
        "rounds": [asdict(entry) for entry in rounds],
        "missing": [asdict(entry) for entry in missing],
    }
    return json.dumps(told, indent=2) + "\n"


def summary(rounds: Sequence[Any]) -> list[dict[str, Any]]:
    """Of each contender how many of its rounds counted, and of these the median of each figure."""
    return [
        {"contender": name, "rounds": len(own), "counted": sum(entry.ok for entry in own), **_medians(own)}
        for name, own in by_contender(rounds).items()
    ]


def by_contender(rounds: Iterable[SomeRound]) -> dict[str, list[SomeRound]]:
    """The rounds of each, in the order of their first."""
    found: dict[str, list[SomeRound]] = {}
    for entry in rounds:
        found.setdefault(entry.contender, []).append(entry)
    return found


def figures(rounds: Iterable[Counted], name: str) -> list[float]:
    """One figure of every round that counted, where it is known."""
    return [value for entry in rounds if entry.ok and (value := getattr(entry, name)) is not None]


def median(rounds: Iterable[Counted], name: str, form: str) -> str:
    """The median of a figure, for a table; "-" when there is none."""
    found = figures(rounds, name)
    return format(statistics.median(found), form) if found else "-"


def spread(rounds: Iterable[Counted], name: str, form: str) -> str:
    """The least and the most of a figure, for a table."""
    found = figures(rounds, name)
    return f"{min(found):{form}} to {max(found):{form}}" if found else "-"


def costs(rounds: Sequence[Counted]) -> list[str]:
    """The cells that every table ends with: CPU, memory, and how many rounds counted."""
    peaks = figures(rounds, "peak_rss_bytes")
    return [
        median(rounds, "cpu_s_per_gb", ".1f"),
        f"{max(peaks) / 1024**2:.0f} MiB" if peaks else "-",
        f"{sum(entry.ok for entry in rounds)} of {len(rounds)}",
    ]


def print_table(report: Report[Round], console: Console) -> None:
    """The median of each contender's rounds that counted, and the spread."""
    table = Table("contender", "MB/s", "range", "copies", "CPU-s/GB", "peak RSS", "counted")
    for name, rounds in by_contender(report.rounds).items():
        cells = [median(rounds, "mb_per_s", ".0f"), spread(rounds, "mb_per_s", ".0f")]
        table.add_row(name, *cells, median(rounds, "origin_copies_interface", ".3f"), *costs(rounds))
    console.print(table)
    for name, settings in report.settings["contenders"].items():
        console.print(f"{name}: {settings['version']}; encryption: {settings['encryption']}", highlight=False)
    print_missing(report.missing, console)


def print_small(report: Report[SmallRound], console: Console) -> None:
    """The medians of each contender's rounds that counted, and the range of the whole."""
    table = Table("contender", "publish s", "pull s", "in all s", "range", "CPU-s/GB", "peak RSS", "counted")
    for name, rounds in by_contender(report.rounds).items():
        cells = [median(rounds, figure, ".2f") for figure in ("publish_s", "pull_s", "seconds")]
        table.add_row(name, *cells, spread(rounds, "seconds", ".2f"), *costs(rounds))
    console.print(table)
    print_missing(report.missing, console)


def print_missing(missing: Sequence[Missing], console: Console) -> None:
    """Who could not run, and why."""
    for entry in missing:
        console.print(f"missing: {entry.contender}: {entry.why}", highlight=False)


def _medians(rounds: Sequence[Any]) -> dict[str, float | None]:
    """Of every figure that is one number; None where no round counted, or none knows it."""
    plain = [
        name
        for name, value in asdict(rounds[0]).items()
        if name not in ("contender", "number", "ok") and not isinstance(value, list)
    ]
    return {name: round(statistics.median(found), 4) if (found := figures(rounds, name)) else None for name in plain}
