"""How long lookups in the DHT took, counted by steps of time: pure, and small however many there were.

Counts only grow, so a report of them that is lost or comes twice changes nothing, and those of many peers add up: a
percentile over the whole swarm is one over all lookups, not over the means of peers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

# Upper ends; what took longer than all of them counts too. ``DhtNode.find_providers`` is given 3 s.
BOUNDS_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)
STEPS: Final = len(BOUNDS_S) + 1


@dataclass(slots=True)
class LookupTimes:
    """The lookups of one peer. ``failed``: those that found nobody, in time or at all."""

    failed: int = 0
    by_step: list[int] = field(default_factory=lambda: [0] * STEPS)

    def count(self, seconds: float, *, is_found: bool) -> None:
        """One has ended."""
        self.failed += not is_found
        self.by_step[bisect_left(BOUNDS_S, seconds)] += 1

    @property
    def lookups(self) -> int:
        return sum(self.by_step)


def added(counts: Iterable[Sequence[int]]) -> list[int]:
    """The lookups of many peers."""
    sums = [0] * STEPS
    for each in counts:
        for step, count in enumerate(each[:STEPS]):
            sums[step] += count
    return sums


def percentile_s(by_step: Sequence[int], share: float) -> float | None:
    """How long that share of the lookups took at most, straight between the ends of a step; None if there were none.

    What took longer than all bounds is told as the last of them.
    """
    wanted, seen, low = share * sum(by_step), 0, 0.0
    if not wanted:
        return None
    for count, high in zip(by_step, BOUNDS_S, strict=False):
        if count and seen + count >= wanted:
            return round(low + (high - low) * (wanted - seen) / count, 4)
        seen, low = seen + count, high
    return BOUNDS_S[-1]
