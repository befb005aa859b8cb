"""Virtual time: what happens next, in order of time and then of being planned."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Clock:
    """``now`` is in seconds. ``at`` plans a call; ``run`` makes the calls until a time, or until none is planned."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._planned: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = 0

    def at(self, when: float, work: Callable[..., object], *arguments: Any) -> None:
        """Call ``work`` at a time, which is not in the past."""
        self._order += 1
        heapq.heappush(self._planned, (when, self._order, work, arguments))

    def after(self, delay_s: float, work: Callable[..., object], *arguments: Any) -> None:
        """Call ``work`` after a delay."""
        self.at(self.now + delay_s, work, *arguments)

    def run(self, until: float, is_over: Callable[[], bool]) -> None:
        """Go on until the time, the end, or until ``is_over`` says so."""
        planned = self._planned
        while planned and not is_over():
            when, _, work, arguments = heapq.heappop(planned)
            if when > until:
                self.now = until
                return
            self.now = when
            self.steps += 1
            work(*arguments)
