"""Figures over time: rings of 1 s for 5 minutes, of 10 s for an hour, of 5 minutes for 7 days. Pure.

What a coarser ring holds is the mean of the finer points that fell into its step. Memory is bounded by construction.
"""

from __future__ import annotations

from collections import deque
from typing import Final

STEPS: Final[tuple[tuple[int, int], ...]] = ((1, 300), (10, 360), (300, 2016))

Points = list[tuple[float, float]]


class Ring:
    """One figure at one step. Times are those of whoever puts values in."""

    def __init__(self, step_s: int, most: int) -> None:
        self.step_s = step_s
        self.points: deque[tuple[float, float]] = deque(maxlen=most)
        self._sum = 0.0
        self._count = 0
        self._slot = float("-inf")

    def put(self, now: float, value: float) -> None:
        """A value as of now. Several of one step count as their mean."""
        slot = now // self.step_s * self.step_s
        if slot > self._slot:
            self._slot, self._sum, self._count = slot, 0.0, 0
            self.points.append((slot, value))
        self._sum += value
        self._count += 1
        self.points[-1] = (self._slot, self._sum / self._count)

    def since(self, since: float) -> Points:
        """The points at or after a moment."""
        return [point for point in self.points if point[0] >= since]

    @property
    def reaches_back_s(self) -> int:
        return self.step_s * (self.points.maxlen or 0)


class Rings:
    """Named figures, each in all steps."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.rings = {name: tuple(Ring(step_s, most) for step_s, most in STEPS) for name in names}

    def put(self, now: float, values: dict[str, float]) -> None:
        for name, value in values.items():
            for ring in self.rings[name]:
                ring.put(now, value)

    def read(self, name: str, since: float, now: float) -> tuple[int, Points]:
        """The finest points that reach back to ``since``, with their step. KeyError for a name that is not there."""
        for ring in self.rings[name]:
            if now - since <= ring.reaches_back_s:
                return ring.step_s, ring.since(since)
        return ring.step_s, ring.since(since)

    def latest(self, name: str) -> float:
        """The last value, 0 before any."""
        points = self.rings[name][0].points
        return points[-1][1] if points else 0.0
