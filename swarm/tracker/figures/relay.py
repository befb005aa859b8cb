"""Passing on what peers report to the other trackers, so that all show one picture.

What was heard in half a second goes to each other tracker, each at its own pace: for one that is slow or silent some
messages wait, and it misses those beyond that and says so: the peers that it lacks are asked for a full report with the
answer to their next. Nothing that was passed on is passed on again.
"""

from __future__ import annotations

import asyncio
import logging
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
# Messages that wait for one tracker; all trackers wait for the same bytes.
BODIES_MAX: Final = 4

log = logging.getLogger("aetherfs.figures")


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
        # What is on its way to each other tracker, and waits to be.
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._lines: dict[str, deque[bytes]] = {}
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
            self.flush()

    def flush(self) -> None:
        """Tell the others what was heard since. One for whom much waits misses it, and asks for what it lacks."""
        while self._waiting:
            body = canonical.encode(Relay(1, tuple(self._take())))
            for other in self._pushes.others:
                line = self._lines.setdefault(other.peer_id, deque())
                if len(line) >= BODIES_MAX:
                    self.dropped += 1
                    continue
                line.append(body)
                if other.peer_id not in self._telling:
                    self._telling[other.peer_id] = asyncio.create_task(self._tell_all(other, line))

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

    async def _tell_all(self, other: Contact, line: deque[bytes]) -> None:
        try:
            while line:
                await self._tell(other, line.popleft())
        except Exception:
            # Figures are not what a tracker is for: the others are told, and this one again with what comes next.
            log.exception("a defect ended what tracker %s is told of peers", other.peer_id[:8])
        finally:
            del self._telling[other.peer_id]
            self.dropped += len(self._lines.pop(other.peer_id))

    async def _tell(self, other: Contact, body: bytes) -> None:
        data = await self._pushes.post(other, RELAY_PATH, body, limit_bytes=ANSWER_MAX_BYTES)
        if data is None:
            return
        try:
            answer = canonical.decode(data, RelayAnswer, limit_bytes=ANSWER_MAX_BYTES)
        except RemoteProtocolError as error:
            log.info("tracker %s answers what cannot be read: %s", other.peer_id[:8], error)
            return
        for public in answer.needs_full:
            self._needs_full(public)

    async def close(self) -> None:
        telling = list(self._telling.values())
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)
