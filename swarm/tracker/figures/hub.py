"""Who listens to figures, and what each is told: server-sent events, one stream a tab.

Each topic is put into words once a second for all who may see the same of it, and only if it has changed. What is long
or dear to make is told less often, so that no topic takes more than ``PACE_BYTES_PER_S`` of a line and
``PACE_OF_A_CORE`` of a processor; what a tag that has moved changes is told at once, one message ahead of that pace at
most. A listener that is slow gets the latest of each topic and not all that came between; what is news alone
(``events``, ``flow``, ``series``) is kept for it up to a bound, and then it is let go and comes back: nothing more is
put for it, and what it has not taken is given up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from swarm.errors import AetherError, FullError
from swarm.tracker.figures.topics import Make, Topic, View, resumed, topics_of

if TYPE_CHECKING:
    from swarm.tracker.figures.service import Figures

LISTENERS_MAX: Final = 256
# One of many tabs must not take the streams of all others.
LISTENERS_OF_ONE_MAX: Final = 64
PACE_BYTES_PER_S: Final = 8 * 1024
# Making one topic, which is done once for all who may see the same of it; and for how long at most it is not told.
PACE_OF_A_CORE: Final = 0.005
REST_MOST_S: Final = 5.0
WAITING_MAX_BYTES: Final = 512 * 1024
WAKE_S: Final = 0.2
EVENTS: Final = "events"


@dataclass(eq=False, slots=True)
class Listener:
    """One stream. ``waiting`` are messages that it has not taken: of a topic with a state, only the latest. ``had`` is
    the event that it had last when it was cut off, -1 for who comes for the first time.
    """

    patterns: tuple[str, ...]
    topics: tuple[str, ...]
    who: str = ""
    had: int = -1
    waiting: dict[tuple[str, int], bytes] = field(default_factory=dict)
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    size: int = 0
    is_lost: bool = False

    def put(self, topic: str, number: int, message: bytes) -> None:
        """A message; with the number 0 it takes the place of the one before. Who is lost gets none."""
        if self.is_lost:
            return
        # Behind all that waits, as its id says that what came before it has come.
        self.size += len(message) - len(self.waiting.pop((topic, number), b""))
        self.waiting[topic, number] = message
        if self.size > WAITING_MAX_BYTES:
            self.is_lost = True
            self.waiting, self.size = {}, 0
        self.woken.set()

    async def wait(self, seconds: float) -> None:
        """Until something waits, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.woken.wait()
        except TimeoutError:
            return

    def take(self) -> bytes:
        """All that waits."""
        found = b"".join(self.waiting.values())
        self.waiting, self.size = {}, 0
        self.woken.clear()
        return found


@dataclass(slots=True)
class Group:
    """All who may see the same of one topic. ``last`` is what was told last, without when; ``number`` its moment."""

    topic: Topic
    view: View
    listeners: dict[Listener, None] = field(default_factory=dict)
    newcomers: list[Listener] = field(default_factory=list)
    last: bytes = b""
    message: bytes = b""
    number: int = 0
    # CPU seconds that the last message was made in.
    made_s: float = 0.0
    # When the next message keeps to the pace, and what of that time the last one took. ``is_urgent``: say it before.
    due: float = 0.0
    cost_s: float = 0.0
    is_urgent: bool = False

    def is_due(self, now: float) -> bool:
        """Whether a message keeps to the pace, or is urgent and the only one ahead of it."""
        return now >= self.due - (self.cost_s if self.is_urgent else 0.0)

    def told(self, now: float, size: int) -> None:
        """A message has gone out."""
        self._takes(now, max(0.9, size / PACE_BYTES_PER_S, self._rest_s))

    def looked_at(self, now: float) -> None:
        """It was made, and is what was told before."""
        self._takes(now, self._rest_s)

    @property
    def _rest_s(self) -> float:
        return min(REST_MOST_S, self.made_s / PACE_OF_A_CORE)

    def _takes(self, now: float, cost_s: float) -> None:
        self.cost_s = cost_s
        self.due = max(self.due, now) + cost_s


class Hub:
    """The listeners of one tracker."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._groups: dict[tuple[str, tuple[str, ...]], Group] = {}
        self._listeners: dict[Listener, None] = {}
        self._woken = asyncio.Event()
        self._ticked = float("-inf")
        self._number = 0
        self.is_closed = False

    @property
    def epoch(self) -> int:
        """Tells the streams of one process of a tracker from those of another."""
        return round(1000 * self._figures.picture.wall(self._figures.picture.begun)) & ((1 << 48) - 1)

    def __len__(self) -> int:
        return len(self._listeners)

    # ---- who listens --------------------------------------------------------------------------------------------

    def join(self, topics: list[str], patterns: tuple[str, ...], last_id: str, who: str = "") -> Listener:
        """A stream of ``who`` begins. UsageError for what is no topic, FullError for too many streams."""
        if len(self._listeners) >= LISTENERS_MAX:
            raise FullError(f"this tracker has {LISTENERS_MAX} open streams of figures: try again later")
        if sum(1 for each in self._listeners if each.who == who) >= LISTENERS_OF_ONE_MAX:
            raise FullError(f"you have {LISTENERS_OF_ONE_MAX} open streams of figures here: close some")
        parsed, (seen, had) = topics_of(topics), self._seen(last_id)
        listener = Listener(patterns, tuple(topic.text for topic in parsed), who, had)
        self._listeners[listener] = None
        for topic in parsed:
            self._join(listener, topic, seen)
        self.wake()
        return listener

    def _join(self, listener: Listener, topic: Topic, seen: int) -> None:
        key = (topic.text, listener.patterns)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(topic, View(listener.patterns))
        group.listeners[listener] = None
        if topic.is_news or not (group.message and 0 <= group.number <= seen):
            group.newcomers.append(listener)

    def _seen(self, last_id: str) -> tuple[int, int]:
        """What who comes back has had: the number of a tick, and of an event; -1 for nothing."""
        parts = last_id.split(".")
        if len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) < 17 for part in parts):
            epoch, tick, event = map(int, parts)
            if epoch == self.epoch:
                return tick, event
        return -1, -1

    def leave(self, listener: Listener) -> None:
        self._listeners.pop(listener, None)
        for topic in listener.topics:
            group = self._groups.get((topic, listener.patterns))
            if group is None:
                continue
            group.listeners.pop(listener, None)
            if listener in group.newcomers:
                group.newcomers.remove(listener)
            if not group.listeners:
                del self._groups[topic, listener.patterns]

    # ---- time ---------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Somebody has come: do not wait for the second to end."""
        self._woken.set()

    def moved(self, dataset: str, tags: Iterable[str]) -> None:
        """Tags have moved: whoever looks at them is told now."""
        urgent = {"overview", "rollouts", "events", *(f"rollout:{dataset}:{tag}" for tag in tags)}
        for group in self._groups.values():
            group.is_urgent |= group.topic.text in urgent
        self._woken.set()

    async def pause(self, seconds: float) -> None:
        """Until the next tick is due, or somebody wakes us; not more often than a few times a second. While something
        urgent waits for its pace, that often.
        """
        await asyncio.sleep(WAKE_S)
        is_urgent = any(group.is_urgent for group in self._groups.values())
        try:
            async with asyncio.timeout(0 if is_urgent else seconds - WAKE_S):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def is_tick_due(self, now: float, seconds: float) -> bool:
        if now - self._ticked < seconds * 0.9:
            return False
        self._ticked = now
        return True

    def tick(self, now: float) -> None:
        """Tell whoever listens what has changed."""
        self._number += 1
        # Events first: what is told after them has an id that says that they have come.
        for group in sorted(self._groups.values(), key=lambda group: group.topic.name != EVENTS):
            if is_due := group.is_due(now):
                group.is_urgent = False
            if group.newcomers or is_due:
                self._tell(group, now, is_due=is_due)

    def _tell(self, group: Group, now: float, *, is_due: bool) -> None:
        if group.topic.is_news:
            self._tell_news(group, now, is_due=is_due)
            return
        body = self._said(group, now, group.topic.make)
        if not body:
            return  # It is counted now, and comes with a later tick.
        rest = body[body.find(b",") :]
        group.message = self._framed(group, body)
        if rest != group.last:
            group.last, group.number = rest, self._number
            listeners = list(group.listeners)
            group.told(now, len(body))
        else:
            listeners = group.newcomers
            group.looked_at(now)
        for listener in listeners:
            listener.put(group.topic.text, 0, group.message)
        group.newcomers = []

    def _tell_news(self, group: Group, now: float, *, is_due: bool) -> None:
        """What is new, and then to newcomers what came before: until where the others are, no less and no more."""
        topic, newcomers = group.topic, group.newcomers
        group.newcomers = []
        if is_due:
            body = self._said(group, now, topic.make)
            group.told(now, 0)
            # What is refused is so each time, and said once.
            is_new, group.last = body != group.last, body
            others = [listener for listener in group.listeners if listener not in newcomers]
            self._put(group, body, others if is_new else [])
        for listener in newcomers:
            first = resumed(listener.had) if topic.name == EVENTS and listener.had >= 0 else topic.first
            self._put(group, self._said(group, now, first), [listener])

    def _put(self, group: Group, body: bytes, listeners: list[Listener]) -> None:
        if body and listeners:
            message = self._framed(group, body)
            for listener in listeners:
                listener.put(group.topic.text, self._number, message)

    def _said(self, group: Group, now: float, make: Make) -> bytes:
        """A topic in JSON, or nothing."""
        began = time.thread_time()
        try:
            made = make(self._figures, group.view, now)
        except AetherError as error:
            made = group.topic.refused(str(error))
        body = msgspec.json.encode(made) if made is not None else b""
        group.made_s = time.thread_time() - began
        return body

    def _framed(self, group: Group, body: bytes) -> bytes:
        """With an id that says up to which event all was told, to whom events are told."""
        topic = "refused" if body.startswith(b'{"topic":') else group.topic.text
        events = self._groups.get((EVENTS, group.view.patterns))
        event = events.view.event if events is not None else self._figures.picture.happenings.number
        return b"id: %d.%d.%d\nevent: %s\ndata: %s\n\n" % (self.epoch, self._number, event, topic.encode(), body)

    def close(self) -> None:
        self.is_closed = True
        for listener in self._listeners:
            listener.woken.set()
