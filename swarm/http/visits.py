"""The connections of one listener: how many there may be, and which are ended since their far ends keep us waiting.

A visit stands between a connection's transport and aiohttp, which sets no deadline for a head or a body and does not
notice an answer that nobody takes. What is decided is in ``crowd`` and ``patience``; this tells them what happens, and
ends whom they say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from aiohttp import web

from swarm.http.crowd import Crowd
from swarm.http.patience import LOOK_S, Deadlines, Patience
from swarm.http.problem import Handler

# For what was sent to come out, and far ends to answer our goodbye.
GOODBYE_S: Final = 0.2

log = logging.getLogger("aetherfs.visits")


class Visit(asyncio.Protocol):
    """One connection, from its accepting on. ``end`` ends it in any stage; ``made`` gives it its protocol."""

    def __init__(self, visits: Visits, address: str, ends: Callable[[], object]) -> None:
        self.address = address
        self.patience = Patience(visits.deadlines, visits.now())
        self._visits = visits
        self._end: Callable[[], object] = ends
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._request: web.BaseRequest | None = None

    @property
    def left_s(self) -> float:
        """How long a handshake may take yet."""
        return max(0.01, self.patience.since + self._visits.deadlines.head_s - self._visits.now())

    def end(self) -> None:
        """End the connection at once."""
        self._end()

    def serve_with(self, inner: asyncio.Protocol) -> asyncio.Protocol:
        """Pass on what comes to this protocol from now on."""
        self._inner = inner
        return self

    # ---- what the transport says ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        assert self._inner is not None
        self._transport, self._end = transport, transport.abort
        self._visits.opened(self, transport)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.patience.received(len(data), self._visits.now())
        assert self._inner is not None
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        assert self._inner is not None
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        assert self._transport is not None
        assert self._inner is not None
        self._visits.closed(self, self._transport)
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        assert self._inner is not None
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        assert self._inner is not None
        self.patience.moved()
        self._inner.resume_writing()

    # ---- what becomes of its requests -------------------------------------------------------------------------------

    def begins(self, request: web.BaseRequest) -> None:
        """A request is being answered."""
        self._request = request
        self.patience.begins(self._visits.now(), is_whole=request.content.is_eof())

    def ends(self) -> None:
        """It was."""
        self._request = None
        self.patience.ends(self._visits.now())

    def overdue(self, now: float) -> str:
        """Why this is to be ended, empty if it is not."""
        if self._transport is None:
            return ""
        return self.patience.overdue(
            now,
            is_whole=self._request is None or self._request.content.is_eof(),
            is_read=self._transport.is_reading(),
            unsent_bytes=self._transport.get_write_buffer_size(),
        )


class Visits:
    """All visits of a listener: at most ``most``, and half as many of one address."""

    def __init__(self, most: int, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self.now = asyncio.get_running_loop().time
        self.ended = 0
        self._crowd: Crowd[Visit] = Crowd(most, max(1, most // 2))
        self._open: dict[asyncio.Transport, Visit] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, address: str, ends: Callable[[], object]) -> Visit | None:
        """A connection came: its visit, or None when there is no room for it. ``ends`` ends it until it is served."""
        visit = Visit(self, address, ends)
        is_let_in, gone = self._crowd.enter(visit, address)
        if gone is not None:
            log.debug("a connection of %s makes room", gone.address)
            self._end(gone)
        if not is_let_in:
            self.ended += 1
        return visit if is_let_in else None

    def leave(self, visit: Visit) -> None:
        """A visit is over, or not this listener's any more."""
        self._crowd.leave(visit)

    def opened(self, visit: Visit, transport: asyncio.Transport) -> None:
        self._open[transport] = visit
        self._look_later()

    def closed(self, visit: Visit, transport: asyncio.Transport) -> None:
        self._open.pop(transport, None)
        self._crowd.leave(visit)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """aiohttp middleware, the outermost: notes when a request begins and ends."""
        visit = self._open.get(request.transport) if request.transport is not None else None
        if visit is None:
            return await handler(request)
        visit.begins(request)
        self._note(visit)
        try:
            return await handler(request)
        finally:
            visit.ends()
            self._note(visit)

    def _note(self, visit: Visit) -> None:
        (self._crowd.waits if visit.patience.is_waiting else self._crowd.works)(visit)

    def _look_later(self) -> None:
        if self._timer is None and self._open:
            look_s = min(LOOK_S, self.deadlines.head_s / 4)
            self._timer = asyncio.get_running_loop().call_later(look_s, self._look)

    def _look(self) -> None:
        """End what is overdue."""
        self._timer = None
        now = self.now()
        for visit in list(self._open.values()):
            why = visit.overdue(now)
            self._note(visit)
            if why:
                log.info("a connection of %s is ended: %s", visit.address, why)
                self._end(visit)
        self._look_later()

    def _end(self, visit: Visit) -> None:
        self.ended += 1
        self._crowd.leave(visit)
        visit.end()

    async def close(self) -> None:
        """Look no more, and leave no connection open: over TLS a far end may say nothing to our goodbye for long."""
        until = self.now() + GOODBYE_S
        while self._open and self.now() < until:
            await asyncio.sleep(GOODBYE_S / 10)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for transport in list(self._open):
            transport.abort()
        while self._open and self.now() < until + GOODBYE_S:
            await asyncio.sleep(0)

    def __len__(self) -> int:
        return len(self._crowd)
