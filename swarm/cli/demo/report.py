"""What the demo has seen: figures of every pull, the table for people, and the checks that decide how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from swarm.cli.output import duration, size

ORIGIN_COPIES_MAX: Final = 1.5
WASTED_SHARE_MAX: Final = 0.05
# What one changed line may move at most: the block that it is in.
BLOCK_BYTES_MAX: Final = 1 << 20
MOVED_SHARE_MAX: Final = 0.1

Pull = Mapping[str, Any]


@dataclass(slots=True)
class Check:
    """One thing that must hold."""

    check: str
    ok: bool
    detail: str


@dataclass(slots=True)
class Round:
    """One version, pulled by several peers at once."""

    title: str
    published: Mapping[str, Any]
    pulls: Mapping[str, Pull]

    @property
    def origin_copies(self) -> float:
        """How many times the origin (seed and producer) sent the version, by what the peers received."""
        sent = sum(int(pull["from"]["origin"]) for pull in self.pulls.values())
        return sent / max(1, int(self.published["bytes"]))

    @property
    def wasted_share(self) -> float:
        """Bytes that came twice, of all that were needed."""
        wasted = sum(int(pull["wasted"]) for pull in self.pulls.values())
        return wasted / max(1, sum(int(pull["bytes"]) for pull in self.pulls.values()))

    def as_dict(self) -> dict[str, Any]:
        return {
            "publish": dict(self.published),
            "pulls": {name: dict(pull) for name, pull in self.pulls.items()},
            "origin_copies": round(self.origin_copies, 3),
            "wasted_share": round(self.wasted_share, 4),
        }


@dataclass(slots=True)
class Summary:
    """The whole demo."""

    path: str
    rounds: list[Round] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    seconds: float = 0.0
    # Where it was, or is while the swarm is left up.
    dashboard: str = ""

    def check(self, what: str, *, ok: bool, detail: str) -> Check:
        """Note whether something held."""
        self.checks.append(Check(what, ok, detail))
        return self.checks[-1]

    def check_tree(self, name: str, found: Sequence[str]) -> Check:
        """Note whether a tree is identical to its source."""
        detail = "byte for byte" if not found else f"{len(found)} differences, first: {found[0]}"
        return self.check(f"{name} is identical", ok=not found, detail=detail)

    @property
    def failures(self) -> list[Check]:
        return [check for check in self.checks if not check.ok]

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "seconds": round(self.seconds, 1),
            "dashboard": self.dashboard,
            "rounds": {round_.title: round_.as_dict() for round_ in self.rounds},
            "checks": [{"check": c.check, "ok": c.ok, "detail": c.detail} for c in self.checks],
            "ok": not self.failures,
        }


def check_first(summary: Summary, first: Round) -> list[Check]:
    """A cold pull by all peers at once: the origin is spared, nothing is sent twice."""
    return [
        summary.check(
            f"the origin sent at most {ORIGIN_COPIES_MAX} copies",
            ok=first.origin_copies <= ORIGIN_COPIES_MAX,
            detail=f"{first.origin_copies:.2f} copies for {len(first.pulls)} peers",
        ),
        summary.check(
            f"at most {WASTED_SHARE_MAX:.0%} came twice",
            ok=first.wasted_share <= WASTED_SHARE_MAX,
            detail=f"{first.wasted_share:.1%}",
        ),
    ]


def check_second(summary: Summary, second: Round) -> Check:
    """A version with few changes: what moves is what changed."""
    whole = int(second.published["bytes"])
    allowed = max(int(MOVED_SHARE_MAX * whole), int(second.published["new_blocks"]) * BLOCK_BYTES_MAX)
    moved = max(moved_bytes(pull) for pull in second.pulls.values())
    detail = f"at most {size(moved)} of {size(whole)} to a peer ({moved / max(1, whole):.1%})"
    return summary.check("little moved for the second version", ok=moved <= allowed, detail=detail)


def check_alone(summary: Summary, last: Round) -> Check:
    """Without tracker, seed and producer: all bytes from peers."""
    sources = [pull["from"] for pull in last.pulls.values()]
    ok = all(int(source["origin"]) == 0 for source in sources)
    detail = f"{size(sum(int(source['peers']) for source in sources))} from peers, none from the origin"
    return summary.check(
        "the late peer needed neither tracker, seed nor producer", ok=ok, detail=detail if ok else "it did"
    )


def moved_bytes(pull: Pull) -> int:
    """Plain bytes that came over the network."""
    return int(pull["from"]["peers"]) + int(pull["from"]["origin"])


def print_table(round_: Round, stream: TextIO) -> None:
    """Per peer: seconds, and where the bytes came from."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=round_.title, title_justify="left")
    for heading in ("peer", "seconds", "from peers", "from origin", "reused", "wasted"):
        table.add_column(heading, justify="left" if heading == "peer" else "right", no_wrap=True)
    for name, pull in round_.pulls.items():
        sources = pull["from"]
        cells = (sources["peers"], sources["origin"], sources["reused"], pull["wasted"])
        table.add_row(name, duration(pull["seconds"]).removesuffix(" s"), *map(size, cells))
    console = Console(file=stream, width=None if stream.isatty() else 100)
    console.print(table)
