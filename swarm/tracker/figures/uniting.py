"""One log of events among trackers: each asks the others for what they know, and keeps what it saw in the object store.

A tracker asks for what comes after the last that it had of another, so nothing is lost when one does not answer for a
while, and one that begins anew is given all at once. What it is given it passes on, by which nothing grows: an event is
known by what happened (``happened``), whoever tells it. Only trackers are asked, and asked by.
"""

from __future__ import annotations

import asyncio
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from swarm import canonical
from swarm.errors import AetherError, RemoteProtocolError
from swarm.messages import Contact
from swarm.tracker.figures import event_pages
from swarm.tracker.figures.event_pages import HOUR_MS, HOURS_KEPT
from swarm.tracker.figures.happened import (
    ANSWER_MAX_BYTES,
    ASK_MAX_BYTES,
    EVENTS_PATH,
    TOLD_MAX,
    AskEvents,
    ToldEvents,
)

if TYPE_CHECKING:
    from swarm.tracker.figures.happenings import Happenings
    from swarm.tracker.state import TrackerState

ASK_S: Final = 2.0
# What was seen waits for company for so long, and pages are written so often at most.
GATHER_S: Final = 6.0
WRITE_S: Final = 60.0
# Answers of one tracker at a time: what it has more comes the next time.
ANSWERS_MAX: Final = 12

log = logging.getLogger("aetherfs.figures")


class Uniting:
    """Of one tracker."""

    def __init__(self, state: TrackerState, happenings: Happenings) -> None:
        self._state = state
        self._happenings = happenings
        # Of each other tracker: when it began, and the last number that was had of it.
        self._had: dict[str, tuple[int, int]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        # How many were seen here that are in the store; when it was written to, and the first of those that are not.
        self._written, self._written_at = 0, float("-inf")
        self._first_at: float | None = None
        self._hour = event_pages.hour_of(time.time())
        self._forgotten_hour = 0

    async def run(self) -> None:
        """What others and the store know, from now on, until cancelled."""
        await self._regain()
        self._tell("has begun")
        while True:
            self.ask()
            if self._is_due(time.monotonic()):
                await self._keep()
            await asyncio.sleep(ASK_S)

    async def end(self) -> None:
        """This tracker ends in order: that is the last that it tells. AetherError when the store does not answer."""
        self._tell("has ended")
        await self.keep()

    def _tell(self, words: str) -> None:
        """What happened while no tracker was there nobody saw: these words say when that was."""
        contact = self._state.contact
        at = f" at {contact.addresses[0]}" if contact.addresses else ""
        text = f"tracker {contact.peer_id[:8]}{at} {words}"
        occasion = f"{words}: {self._happenings.begun_ms}"
        self._happenings.add("tracker", time.time(), text, peer=contact.peer_id, occasion=occasion)

    async def close(self) -> None:
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    # ---- others -------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Ask every other tracker that is not being asked."""
        others = {other.peer_id: other for other in self._state.pushes.others}
        self._had = {id: had for id, had in self._had.items() if id in others}
        for id, other in others.items():
            if id not in self._asking:
                self._asking[id] = asyncio.create_task(self._ask(other))

    async def _ask(self, other: Contact) -> None:
        try:
            for _ in range(ANSWERS_MAX):
                begun_ms, after = self._had.get(other.peer_id, (0, 0))
                body = canonical.encode(AskEvents(1, begun_ms, after))
                data = await self._state.pushes.post(other, EVENTS_PATH, body, limit_bytes=ANSWER_MAX_BYTES)
                if data is None or self._take(other, data):
                    return
        except RemoteProtocolError as error:
            log.info("tracker %s tells of events what cannot be read: %s", other.peer_id[:8], error)
        except Exception:
            log.exception("a defect ended what tracker %s tells of events", other.peer_id[:8])
        finally:
            del self._asking[other.peer_id]

    def _take(self, other: Contact, data: bytes) -> bool:
        """An answer; whether it was the last."""
        told = canonical.decode(data, ToldEvents, limit_bytes=ANSWER_MAX_BYTES)
        wall_now = time.time()
        self._happenings.take(told.events, wall_now)
        self._had[other.peer_id] = (told.begun_ms, told.next)
        if told.is_all:
            self._happenings.regained(told.since_ms, wall_now)
        return told.is_all

    def answer(self, data: bytes) -> bytes:
        """What another tracker is told. RemoteProtocolError."""
        asked, happenings = canonical.decode(data, AskEvents, limit_bytes=ASK_MAX_BYTES), self._happenings
        after = asked.after if asked.begun_ms == happenings.begun_ms else 0
        events, following, is_all = happenings.told(after, TOLD_MAX)
        told = ToldEvents(1, happenings.begun_ms, happenings.since_ms, tuple(events), following, is_all)
        return canonical.encode(told)

    # ---- the store ----------------------------------------------------------------------------------------------

    async def _regain(self) -> None:
        """What trackers have left in the store."""
        state, wall_now = self._state, time.time()
        try:
            found = await state.work(event_pages.read, state.objects, state.keys.authority.trust, wall_now)
            for first in range(0, len(found), TOLD_MAX):
                self._happenings.take(found[first : first + TOLD_MAX], wall_now)
                await asyncio.sleep(0)  # There may be hundreds of thousands.
        except AetherError as error:
            log.info("what happened before is not read: %s", error)
        except Exception:
            log.exception("a defect ended the reading of what happened before")

    def _is_due(self, now: float) -> bool:
        """Whether what was seen is to be written down."""
        if self._happenings.own_count == self._written:
            self._first_at = None
            return False
        self._first_at = now if self._first_at is None else self._first_at
        if now - self._first_at < GATHER_S or now - self._written_at < WRITE_S:
            return False
        self._first_at, self._written_at = None, now
        return True

    async def _keep(self) -> None:
        try:
            await self.keep()
        except AetherError as error:
            log.info("what happened is not kept now: %s", error)
        except Exception:
            # Events are not what a tracker is for: it goes on, and says what is wrong.
            log.exception("a defect ended the keeping of what happened")

    async def keep(self) -> None:
        """Write down what was seen here since the last time."""
        state, happenings, hour = self._state, self._happenings, event_pages.hour_of(time.time())
        if happenings.own_count == self._written:
            return
        count, name = happenings.own_count, f"{state.contact.peer_id}.{happenings.begun_ms}"
        # A clock may have been set since: back, or ahead by years.
        for each in range(max(min(self._hour, hour), hour - HOURS_KEPT), hour + 1):
            if events := happenings.own(each * HOUR_MS, (each + 1) * HOUR_MS):
                write = partial(event_pages.write, state.objects, state.keys.authority, each, name, events)
                await state.work(write, time.time())
        self._written, self._hour = count, hour
        if self._forgotten_hour != hour:
            self._forgotten_hour = hour
            await state.work(event_pages.forget, state.objects, time.time())
