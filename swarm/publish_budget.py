"""What a version may be and cost its consumers, and whether one does. Pure.

A budget is what ``[budget]`` of ``aetherfs.toml`` says. A consumer is one who holds the version before: what that one
fetches is plain bytes of blocks that it lacks. Where there is no version before, nothing is said of consumers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm.units import size

What = Literal["size", "files", "delta", "time"]
# A delta that is so small is never too much, if the file says nothing else.
FLOOR_BYTES: Final = 1_000_000
# A publish waits while they are simulated: 2,000 would take a minute and a half (2026-11).
PEERS_MAX: Final = 100
Amount = Annotated[int, msgspec.Meta(ge=0)]


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits; None for none. ``delta_share`` is of all bytes of the version, but ``delta_floor_bytes`` are never too
    much. ``time_s`` is until 95% of so many ``peers``, each with a link of ``link_bytes_per_s``, have it.
    """

    size_bytes: Amount | None = None
    files: Amount | None = None
    delta_share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    delta_floor_bytes: Amount = FLOOR_BYTES
    time_s: Amount | None = None
    link_bytes_per_s: Annotated[float, msgspec.Meta(gt=0)] = 12.5e6
    peers: Annotated[int, msgspec.Meta(ge=1, le=PEERS_MAX)] = 1

    @property
    def needs_consumer(self) -> bool:
        """Whether it has to be known what a consumer fetches."""
        return self.delta_share is not None or self.time_s is not None


# How long it takes until consumers have fetched blocks of these sizes, under the conditions of a budget, in seconds.
Foretell = Callable[[Sequence[int], Budget], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a version; ``fetch_bytes`` is None where there is no consumer, or none is known yet;
    ``fetch_s`` where nobody foretells times: then it is what the line alone takes.
    """

    size_bytes: int
    files: int
    fetch_bytes: int | None = None
    fetch_s: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One limit, and what was found."""

    what: What
    found: float
    limit: float
    is_kept: bool
    words: str


def judged(budget: Budget, figures: Figures) -> list[Line]:
    """Every limit that says something of these figures."""
    return [*_plain(budget, figures), *_of_consumers(budget, figures)]


def _plain(budget: Budget, figures: Figures) -> Iterator[Line]:
    if budget.size_bytes is not None:
        words = f"the version has {size(figures.size_bytes)} (at most {size(budget.size_bytes)})"
        is_kept = figures.size_bytes <= budget.size_bytes
        yield Line("size", figures.size_bytes, budget.size_bytes, is_kept, words)
    if budget.files is not None:
        noun = "file" if figures.files == 1 else "files"
        words = f"the version has {figures.files} {noun} (at most {budget.files})"
        yield Line("files", figures.files, budget.files, figures.files <= budget.files, words)


def _of_consumers(budget: Budget, figures: Figures) -> Iterator[Line]:
    fetch_bytes = figures.fetch_bytes
    if fetch_bytes is None:
        return
    if budget.delta_share is not None:
        share = fetch_bytes / figures.size_bytes if figures.size_bytes else 0.0
        words = (
            f"a consumer of the version before fetches {size(fetch_bytes)}, {100 * share:.3g}% of it "
            f"(at most {100 * budget.delta_share:.3g}%, or {size(budget.delta_floor_bytes)})"
        )
        is_kept = share <= budget.delta_share or fetch_bytes <= budget.delta_floor_bytes
        yield Line("delta", share, budget.delta_share, is_kept, words)
    if budget.time_s is not None:
        yield _time(budget, budget.time_s, fetch_bytes, figures.fetch_s)


def _time(budget: Budget, limit_s: int, fetch_bytes: int, foretold_s: float | None) -> Line:
    seconds = foretold_s if foretold_s is not None else fetch_bytes / budget.link_bytes_per_s
    who = "a consumer of the version before has it"
    if budget.peers > 1:
        who = f"95% of {budget.peers} consumers of the version before have it"
    how = "as simulated" if foretold_s is not None else "by the line alone"
    link = f"{budget.link_bytes_per_s * 8 / 1e6:.3g} mbit/s{' each' if budget.peers > 1 else ''}"
    words = f"{who} after {_span(seconds)} at {link}, {how} (at most {_span(limit_s)})"
    return Line("time", round(seconds, 3), limit_s, seconds <= limit_s, words)


def _span(seconds: float) -> str:
    """A time; of less than a second nothing is claimed."""
    if seconds < 1:
        return "less than 1 s" if seconds else "0 s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
