"""Passing on what peers report to the other trackers, so that all show one picture.

What was heard in half a second goes to each other tracker in one message. One that is slow or silent misses some of it
and says so: the peers that it lacks are asked for a full report with the answer to their next. Nothing that was passed
on is passed on again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.messages import Contact
from swarm.reports import RELAY_PATH, RELAYED_MAX, Relay, RelayAnswer, Relayed
from swarm.tracker.figures.peers import Who
from swarm.tracker.pushes import Pushes

GATHER_S: Final = 0.5
WAITING_MAX: Final = 4 * RELAYED_MAX
WAITING_MAX_BYTES: Final = 16 << 20
RELAY_BODY_BYTES: Final = 4 << 20
ANSWER_MAX_BYTES: Final = 128 * 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """What a peer has said here: its report, or nothing but that it is there, or that it leaves."""

    who: Who
    at: float
    report: bytes
    is_leaving: bool = False


class Relays:
    """One tracker's. ``needs_full`` is told of peers whose next answer is to ask for a full report."""

    def __init__(self, pushes: Pushes, needs_full: Callable[[bytes], None]) -> None:
        self._pushes = pushes
        self._needs_full = needs_full
        self._waiting: deque[Heard] = deque()
        self._waiting_bytes = 0
        self._telling: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()
        self.dropped = 0

    def heard(self, heard: Heard) -> None:
        """Pass this on, if there are others."""
        if not self._pushes.others:
            return
        self._waiting.append(heard)
        self._waiting_bytes += len(heard.report)
        while len(self._waiting) > WAITING_MAX or self._waiting_bytes > WAITING_MAX_BYTES:
            self._waiting_bytes -= len(self._waiting.popleft().report)
            self.dropped += 1

    async def run(self) -> None:
        """Tell the others until cancelled."""
        while True:
            await asyncio.sleep(GATHER_S)
            while self._waiting:
                body = canonical.encode(Relay(1, tuple(self._take())))
                for other in self._pushes.others:
                    # One that has not answered yet misses this, and asks for what it lacks.
                    if other.peer_id in self._busy:
                        self.dropped += 1
                        continue
                    self._busy.add(other.peer_id)
                    task = asyncio.create_task(self._tell(other, body))
                    self._telling.add(task)
                    task.add_done_callback(self._telling.discard)
                await asyncio.sleep(0)
                if self._waiting:
                    await asyncio.gather(*self._telling)

    def _take(self) -> list[Relayed]:
        now, found, size = time.monotonic(), list[Relayed](), 0
        while self._waiting and len(found) < RELAYED_MAX and size < RELAY_BODY_BYTES:
            heard = self._waiting.popleft()
            self._waiting_bytes -= len(heard.report)
            size += len(heard.report)
            who, age_ms = heard.who, max(0, round(1000 * (now - heard.at)))
            found.append(
                Relayed(
                    who.public,
                    who.role,
                    who.site,
                    who.labels,
                    who.addresses,
                    who.seen,
                    age_ms,
                    heard.is_leaving,
                    heard.report,
                )
            )
        return found

    async def _tell(self, other: Contact, body: bytes) -> None:
        try:
            data = await self._pushes.post(other, RELAY_PATH, body, limit_bytes=ANSWER_MAX_BYTES)
            if data is not None:
                with contextlib.suppress(RemoteProtocolError):
                    answer = canonical.decode(data, RelayAnswer, limit_bytes=ANSWER_MAX_BYTES)
                    for public in answer.needs_full:
                        self._needs_full(public)
        finally:
            self._busy.discard(other.peer_id)

    async def close(self) -> None:
        for task in list(self._telling):
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
