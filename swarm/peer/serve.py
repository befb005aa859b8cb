"""Serving runs: the giving side of the exchange.

Every request is checked by itself: the caller's certificate, its grant for the dataset, the version's place in the
dataset, the block's place in the version. What fails one of these looks like a block that is not here. Blocks are read
one ahead of the socket and written in pieces that the transport likes. A run can be cancelled in part, over the
channel. Whose
turn it is to be sent a block decides ``Uploads``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import socket
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from swarm import canonical
from swarm.errors import NotAllowedError, RemoteProtocolError
from swarm.http.serve import caller_of
from swarm.limits import RECORD_MAX_BYTES, RUN_REQUEST_MAX_BYTES, WRITE_BYTES
from swarm.peer.access import Access, Caller
from swarm.peer.ahead import ReadAhead
from swarm.peer.holdings import Holding, Holdings
from swarm.peer.traffic import Traffic
from swarm.peer.uploads import Turn, Uploads
from swarm.peer.wire import ASK, BLOCK, BUSY, FRAME, GRANT_HEADER, LENGTH, NOT_HERE, RunRequest

MEDIA_TYPE: Final = "application/vnd.aetherfs.run"
UNSENT_MAX_BYTES: Final = 128 * 1024
STREAMS_PER_PEER_MAX: Final = 8
# A stream that carries no run is ended after this long.
STREAM_IDLE_S: Final = 60.0
REQUEST_MAX_BYTES: Final = RUN_REQUEST_MAX_BYTES + 64 * 1024

log = logging.getLogger("aetherfs.serve")


def grant_of(request: web.Request) -> bytes:
    """The sealed grant that a request carries; empty if it is missing or garbled."""
    text = request.headers.get(GRANT_HEADER, "")
    if len(text) > 3 * RECORD_MAX_BYTES:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


class RunServer:
    """The handler of run requests. ``wants_redirects`` is asked whether a peer still takes part, before others are
    sent to it.
    """

    def __init__(self, access: Access, holdings: Holdings, traffic: Traffic) -> None:
        self._access = access
        self._holdings = holdings
        self._traffic = traffic
        self._uploads = Uploads()
        self._waiting: dict[tuple[str, int], asyncio.Future[Turn]] = {}
        self._streams: Counter[str] = Counter()
        self._resting: set[asyncio.Task[Any]] = set()

    def cancel(self, peer: str, run: int, signatures: Sequence[bytes]) -> None:
        """Do not send these blocks of a run; none named means all that is left."""
        self._uploads.cancelled(peer, run, signatures, time.monotonic())
        self._go_on()

    def peer_left(self, peer: str) -> None:
        """Send nobody to this peer any more."""
        self._uploads.left(peer)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """POST of RunRequests, one after another; each is answered before the next is read."""
        peer = caller_of(request)
        if peer is None:
            raise NotAllowedError("a run needs a certificate of the swarm")
        if self._streams[peer] >= STREAMS_PER_PEER_MAX:
            raise NotAllowedError("this peer has as many streams of runs open as it may")
        self._streams[peer] += 1
        try:
            return await self._stream(request, peer)
        finally:
            self._streams[peer] -= 1
            if not self._streams[peer]:
                del self._streams[peer]

    async def _stream(self, request: web.Request, peer: str) -> web.StreamResponse:
        run = await self._next_run(request)
        response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
        _keep_little_unsent(request)
        await response.prepare(request)
        grant = grant_of(request)
        try:
            while run is not None:
                await self._answer(response, self._access.caller(peer, grant, time.time()), run)
                run = await self._next_run(request)
            await response.write_eof()
        except ConnectionError:
            log.debug("%s left in the middle of a run", peer[:8])
        return response

    async def _next_run(self, request: web.Request) -> RunRequest | None:
        """The next request of a stream; None at its end. RemoteProtocolError for what is none."""
        task = asyncio.current_task()
        assert task is not None
        self._resting.add(task)
        try:
            async with asyncio.timeout(STREAM_IDLE_S):
                length = LENGTH.unpack(await request.content.readexactly(LENGTH.size))[0]
                if length > REQUEST_MAX_BYTES:
                    raise RemoteProtocolError(f"a run's request claims {length} bytes: {REQUEST_MAX_BYTES} is the most")
                data = await request.content.readexactly(length)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise RemoteProtocolError("a run's request ends in the middle") from error
            return None
        except asyncio.TimeoutError:
            return None
        finally:
            self._resting.discard(task)
        return canonical.decode(data, RunRequest, limit_bytes=REQUEST_MAX_BYTES)

    async def _answer(self, response: web.StreamResponse, caller: Caller, run: RunRequest) -> None:
        holding = await self._holding(caller, run)
        if holding is None:
            await response.write(FRAME.pack(NOT_HERE, 0) * len(run.signatures))
        elif not self._uploads.has_room(caller.peer_id, run.run):
            await response.write(FRAME.pack(BUSY, 0) * len(run.signatures))
        else:
            await self._serve(response, caller.peer_id, run, holding)

    def close(self) -> None:
        """End the streams that wait for another run."""
        for task in self._resting:
            task.cancel()

    async def _holding(self, caller: Caller, run: RunRequest) -> Holding | None:
        if not caller.may_read(run.dataset) or not self._access.shows(run.dataset, run.version, run.entry):
            return None
        return await self._holdings.find(run.dataset, run.version)

    async def _serve(self, response: web.StreamResponse, peer: str, run: RunRequest, holding: Holding) -> None:
        """Answer each block in order, when its turn comes; the next one is read while one is written."""
        is_data = run.signatures[0] in holding.manifest.index_of
        self._uploads.asked(
            peer,
            run.run,
            run.version,
            run.signatures,
            time.monotonic(),
            insist=run.insist,
            spared=bool(holding.origin) and is_data,
        )
        ahead = ReadAhead(holding, run.signatures, lambda block: not self._uploads.is_cancelled(peer, run.run, block))
        try:
            for position in range(len(run.signatures)):
                turn = await self._turn(peer, run.run)
                sent_bytes = 0
                if turn.status == BLOCK:
                    encoded = await ahead.get(position)
                    await self._write(response, peer, encoded)
                    sent_bytes = len(encoded or b"")
                else:
                    self._traffic.redirected += turn.status == ASK
                    await response.write(FRAME.pack(turn.status, len(turn.ask)) + turn.ask.encode())
                self._uploads.done(peer, run.run, time.monotonic(), sent_bytes=sent_bytes)
        finally:
            ahead.close()
            self._uploads.ended(peer, run.run)
            self._go_on()

    async def _turn(self, peer: str, run: int) -> Turn:
        """Wait until it is this run's turn."""
        waiting: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        self._waiting[peer, run] = waiting
        self._go_on()
        try:
            return await waiting
        finally:
            self._waiting.pop((peer, run), None)

    def _go_on(self) -> None:
        """Let those go on whose turn it is now."""
        now = time.monotonic()
        while (turn := self._uploads.next(now)) is not None:
            self._waiting.pop((turn.asker, turn.run)).set_result(turn)

    async def _write(self, response: web.StreamResponse, peer: str, encoded: bytes | None) -> None:
        if encoded is None:
            self._traffic.refused += 1
            await response.write(FRAME.pack(NOT_HERE, 0))
            return
        view = memoryview(encoded)
        # The head goes with the first bytes: alone it would be a record, a packet and a waking of its own.
        await response.write(b"".join((FRAME.pack(BLOCK, len(encoded)), view[:WRITE_BYTES])))
        for start in range(WRITE_BYTES, len(view), WRITE_BYTES):
            await response.write(view[start : start + WRITE_BYTES])
        self._traffic.sent[peer] += len(encoded)
        self._traffic.wire_sent_bytes += len(encoded)


def _keep_little_unsent(request: web.Request) -> None:
    """What is written to the socket is sent soon: or else a turn would end long before its block is with the asker."""
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=UNSENT_MAX_BYTES)
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_MAX_BYTES)
