"""What ``aetherfs analyze`` tells, as types: the object of ``--json``, and what tables and page draw. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from swarm.analysis.changes import Change
from swarm.analysis.facts import Facts, Reuse
from swarm.analysis.findings import Finding

CHANGES_TOLD: Final = 200
# A note where there are no findings as none were looked for.
UNSOUGHT: Final = "no findings were looked for, as the budget for them is 0"


class Against(msgspec.Struct, frozen=True):
    """The version that consumers have."""

    ref: str
    dataset: str
    version: str


class FetchTold(msgspec.Struct, frozen=True):
    """What one consumer fetches. ``bytes`` are plain; of the manifest's ``manifest_bytes`` both ways are alike.

    ``from_peers_bytes``: on the wire, when blocks come from directories that hold the version, as those of consumers
    that were first; ``from_seed_bytes``: when they come from a seed, which sends them compressed. ``wire_bytes`` is the
    one that holds for the first consumer after a publish from here: the second, as a seed is asked before a producer,
    unless the agent that publishes is a seed itself, as with ``aetherfs up``, and gives them out of the directory.
    ``share``: of the version's plain bytes, ``bytes``.
    """

    blocks: int
    bytes: int
    manifest_bytes: int
    from_peers_bytes: int
    from_seed_bytes: int
    wire_bytes: int
    wire_basis: Literal["directory", "seed"]
    share: float


class Counts(msgspec.Struct, frozen=True):
    """How many files changed, and how."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    renamed: int = 0
    touched: int = 0

    @property
    def all(self) -> int:
        return self.added + self.removed + self.changed + self.renamed + self.touched

    @property
    def words(self) -> str:
        return (
            f"{self.added} added, {self.removed} removed, {self.changed} changed, {self.renamed} renamed, "
            f"{self.touched} touched"
        )


class Analysis(msgspec.Struct, frozen=True):
    """``fetch``: of who has ``against``; ``first_fetch``: of who has nothing. ``changes``: as ``told_of`` has them.

    ``read_bytes``: what had to be read of the directory.
    """

    path: str
    version: str
    against: Against | None
    facts: Facts
    first_fetch: FetchTold
    fetch: FetchTold
    counts: Counts
    changes: tuple[Change, ...]
    reuse: tuple[Reuse, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    read_bytes: int
    seconds: float


def counted(changes: Sequence[Change]) -> Counts:
    """How many there are of each kind."""
    found = Counter(change.what for change in changes)
    return Counts(**{str(what): count for what, count in found.items()})


def told_of(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Those that are told first, as many as are told."""
    return tuple(sorted(changes, key=weight_of)[:CHANGES_TOLD])


def weight_of(change: Change) -> tuple[bool, int, str]:
    """What is told first: files that changed, that of which most is fetched. What was only touched is fetched for its
    neighbours in a block.
    """
    return (change.what == "touched", -change.fetch_bytes, change.path)
