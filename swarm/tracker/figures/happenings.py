"""What happened in the swarm, in order: a bounded list with rising numbers. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from swarm.figure_messages import Event, EventKind

KEPT_MAX: Final = 5000

Severity = Literal["info", "warning", "critical"]


class Happenings:
    """The last events of one tracker. Times are wall seconds."""

    def __init__(self, most: int = KEPT_MAX) -> None:
        self._events: deque[Event] = deque(maxlen=most)
        self.number = 0

    def add(
        self,
        kind: EventKind,
        at: float,
        text: str,
        *,
        peer: str = "",
        site: str = "",
        dataset: str = "",
        tag: str = "",
        serial: int = 0,
        severity: Severity = "info",
    ) -> None:
        """Something happened."""
        self.number += 1
        self._events.append(
            Event(self.number, at, kind, text, peer, site, dataset, tag, serial, severity),
        )

    def after(self, number: int, limit: int) -> tuple[list[Event], bool]:
        """The events with higher numbers, oldest first, and whether some of these are not kept any more."""
        first = self._events[0].number if self._events else self.number + 1
        start = max(0, number + 1 - first)
        found = [self._events[index] for index in range(start, min(len(self._events), start + limit))]
        return found, number + 1 < first

    def since(self, at: float) -> int:
        """The number after which events are not older than ``at``."""
        for event in self._events:
            if event.at >= at:
                return event.number - 1
        return self.number
