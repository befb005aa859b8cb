"""What a version may be and cost its consumers, and whether one does. Pure.

A budget is what ``[budget]`` of ``aetherfs.toml`` says. A consumer is one who holds the version before: what that one
fetches is plain bytes of blocks that it lacks. Where there is no version before, nothing is said of consumers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm.units import size

What = Literal["size", "files", "delta", "time"]
# A delta that is so small is never too much, if the file says nothing else.
FLOOR_BYTES: Final = 1_000_000
Amount = Annotated[int, msgspec.Meta(ge=0)]


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits; None for none. ``delta_share`` is of all bytes of the version, but ``delta_floor_bytes`` are never too
    much. ``time_s`` is for what a consumer fetches over a link of ``link_bytes_per_s``.
    """

    size_bytes: Amount | None = None
    files: Amount | None = None
    delta_share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    delta_floor_bytes: Amount = FLOOR_BYTES
    time_s: Amount | None = None
    link_bytes_per_s: Annotated[float, msgspec.Meta(gt=0)] = 12.5e6

    @property
    def needs_consumer(self) -> bool:
        """Whether it has to be known what a consumer fetches."""
        return self.delta_share is not None or self.time_s is not None


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a version; ``fetch_bytes`` is None where there is no consumer, or none is known yet."""

    size_bytes: int
    files: int
    fetch_bytes: int | None = None


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
        words = f"the version has {figures.files} files (at most {budget.files})"
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
        seconds = fetch_bytes / budget.link_bytes_per_s
        link = f"{budget.link_bytes_per_s * 8 / 1e6:.3g} mbit/s"
        words = f"a consumer of the version before needs {seconds:.3g} s at {link} (at most {budget.time_s} s)"
        yield Line("time", seconds, budget.time_s, seconds <= budget.time_s, words)
