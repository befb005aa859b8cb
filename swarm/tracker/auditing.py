"""What there is to say in the audit, until it is written. Pure: no I/O, no clock.

What was done is one event each. What was refused is counted, by who was refused what, and told once a minute; of very
many who are refused some are told apart and the rest together, so that no stranger can fill the store. Nobody who is
not known is told apart by what he asked for: he chooses that himself.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Annotated, Final

import msgspec

from swarm.log import WallTime
from swarm.principal import Principal

ACTOR_CHARS: Final = 160
ACTION_CHARS: Final = 16
TEXT_CHARS: Final = 240
EVENTS_PER_PAGE_MAX: Final = 256
# Events that wait for a store that is away; what comes then is only counted.
WAITING_MAX: Final = 4096
REFUSED_KINDS_MAX: Final = 64
REFUSED_EVERY_S: Final = 60.0


class Event(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """``actor`` has done ``action`` to ``subject``, ``count`` times until ``wall_time``."""

    wall_time: WallTime
    actor: Annotated[str, msgspec.Meta(max_length=ACTOR_CHARS)]
    action: Annotated[str, msgspec.Meta(max_length=ACTION_CHARS)]
    subject: Annotated[str, msgspec.Meta(max_length=TEXT_CHARS)]
    detail: Annotated[str, msgspec.Meta(max_length=TEXT_CHARS)]
    count: Annotated[int, msgspec.Meta(ge=1)]


class Waiting:
    """What is not written yet. For one thread."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._refused: Counter[tuple[str, str, str]] = Counter()
        self._lost = 0
        self._refusals_told_at = float("-inf")

    def done(self, who: Principal, action: str, subject: str, detail: str, wall_now: float) -> None:
        """Somebody has done something."""
        if len(self._events) >= WAITING_MAX:
            self._lost += 1
            return
        stated = (str(who)[:ACTOR_CHARS], action[:ACTION_CHARS], subject[:TEXT_CHARS], detail[:TEXT_CHARS])
        self._events.append(Event(int(wall_now), *stated, 1))

    def refused(self, who: Principal, what: str, subject: str) -> None:
        """Somebody was refused something."""
        key = (str(who)[:ACTOR_CHARS], what[:TEXT_CHARS], "-" if who.kind == "anonymous" else subject[:TEXT_CHARS])
        if key not in self._refused and len(self._refused) >= REFUSED_KINDS_MAX:
            key = ("others", "-", "-")
        self._refused[key] += 1

    def due(self, now: float, wall_now: float, *, is_ending: bool = False) -> tuple[Event, ...]:
        """What is to be written next, nothing if it can wait. ``written`` says that it was."""
        if self._refused and (is_ending or now - self._refusals_told_at >= REFUSED_EVERY_S):
            self._refusals_told_at = now
            for (actor, what, subject), count in self._refused.items():
                self._events.append(Event(int(wall_now), actor, "refused", subject, what, count))
            self._refused.clear()
        if self._lost and len(self._events) < WAITING_MAX:
            self._events.append(Event(int(wall_now), "tracker", "lost", "-", "events that could not wait", self._lost))
            self._lost = 0
        return tuple(self._events)[:EVENTS_PER_PAGE_MAX]

    def written(self, events: tuple[Event, ...]) -> None:
        """These are in the store."""
        for _ in events:
            self._events.popleft()

    def __len__(self) -> int:
        return len(self._events)
