"""Serving runs: the giving side of the exchange.

Every request is checked by itself: the caller's certificate, its grant for the dataset, the version's place in the
dataset, the block's place in the version. What fails one of these looks like a block that is not here. Blocks are read
one ahead of the socket and written in pieces that the transport likes. A run can be cancelled in part, over the
channel.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from swarm import canonical
from swarm.errors import NotAllowedError
from swarm.http.serve import caller_of
from swarm.limits import (
    RECORD_MAX_BYTES,
    RUN_REQUEST_MAX_BYTES,
    RUNS_SERVED_MAX,
    RUNS_SERVED_PER_PEER_MAX,
    WRITE_BYTES,
)
from swarm.peer.access import Access, Caller
from swarm.peer.holdings import Holding, Holdings
from swarm.peer.redirect import Redirector
from swarm.peer.traffic import Traffic
from swarm.peer.wire import ASK, BLOCK, BUSY, FRAME, GRANT_HEADER, NOT_HERE, RunRequest

MEDIA_TYPE: Final = "application/vnd.aetherfs.run"
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
        self._redirectors: dict[bytes, Redirector] = {}
        self._serving: Counter[str] = Counter()
        self._cancelled: dict[tuple[str, int], set[bytes] | None] = {}

    def cancel(self, peer: str, run: int, signatures: Sequence[bytes]) -> None:
        """Do not send these blocks of a run; none named means all that is left."""
        if (peer, run) not in self._cancelled:
            return
        known = self._cancelled[peer, run]
        if not signatures or known is None:
            self._cancelled[peer, run] = None
        else:
            known.update(signatures)

    def peer_left(self, peer: str) -> None:
        """Send nobody to this peer any more."""
        for redirector in self._redirectors.values():
            redirector.left(peer)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """POST of a RunRequest."""
        peer = caller_of(request)
        if peer is None:
            raise NotAllowedError("a run needs a certificate of the swarm")
        run = canonical.decode(await request.read(), RunRequest, limit_bytes=REQUEST_MAX_BYTES)
        caller = self._access.caller(peer, grant_of(request), time.time())
        response = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
        await response.prepare(request)
        holding = await self._holding(caller, run)
        try:
            if holding is None:
                await response.write(FRAME.pack(NOT_HERE, 0) * len(run.signatures))
            elif not self._has_room(peer):
                await response.write(FRAME.pack(BUSY, 0) * len(run.signatures))
            else:
                await self._serve(response, peer, run, holding)
            await response.write_eof()
        except ConnectionError:
            log.debug("%s left in the middle of a run", peer[:8])
        return response

    async def _holding(self, caller: Caller, run: RunRequest) -> Holding | None:
        if not caller.may_read(run.dataset) or not self._access.shows(run.dataset, run.version, run.entry):
            return None
        return await self._holdings.find(run.dataset, run.version)

    def _has_room(self, peer: str) -> bool:
        return self._serving[peer] < RUNS_SERVED_PER_PEER_MAX and self._serving.total() < RUNS_SERVED_MAX

    async def _serve(self, response: web.StreamResponse, peer: str, run: RunRequest, holding: Holding) -> None:
        self._serving[peer] += 1
        self._cancelled[peer, run.run] = set()
        redirector = self._redirectors.setdefault(run.version, Redirector()) if holding.origin else None
        try:
            await self._answer(response, peer, run, holding, redirector)
        finally:
            del self._cancelled[peer, run.run]
            self._serving[peer] -= 1
            if not self._serving[peer]:
                del self._serving[peer]

    async def _answer(
        self, response: web.StreamResponse, peer: str, run: RunRequest, holding: Holding, redirector: Redirector | None
    ) -> None:
        """Answer each block in order, the next one being read while one is written."""
        decided = [self._redirected(redirector, peer, run, holding, signature) for signature in run.signatures]
        ahead: asyncio.Task[bytes | None] | None = None
        try:
            for position, signature in enumerate(run.signatures):
                target = decided[position]
                if target is not None:
                    self._traffic.redirected += 1
                    await response.write(FRAME.pack(ASK, len(target)) + target.encode())
                    continue
                if self._is_cancelled(peer, run.run, signature):
                    await response.write(FRAME.pack(NOT_HERE, 0))
                    continue
                reading = ahead if ahead is not None else asyncio.create_task(holding.read(signature))
                ahead = None
                encoded = await reading
                following = next((p for p in range(position + 1, len(decided)) if decided[p] is None), None)
                if following is not None and not self._is_cancelled(peer, run.run, run.signatures[following]):
                    ahead = asyncio.create_task(holding.read(run.signatures[following]))
                await self._write(response, peer, encoded)
                if redirector is not None and encoded is None:
                    redirector.not_given(peer, signature)
        finally:
            if ahead is not None:
                ahead.cancel()

    def _redirected(
        self, redirector: Redirector | None, peer: str, run: RunRequest, holding: Holding, signature: bytes
    ) -> str | None:
        if redirector is None or signature not in holding.manifest.index_of:
            return None
        target = redirector.decide(peer, signature, run.insist)
        if target is None:
            redirector.given(peer, signature)
        return target

    def _is_cancelled(self, peer: str, run: int, signature: bytes) -> bool:
        cancelled = self._cancelled.get((peer, run), set())
        return cancelled is None or signature in cancelled

    async def _write(self, response: web.StreamResponse, peer: str, encoded: bytes | None) -> None:
        if encoded is None:
            self._traffic.refused += 1
            await response.write(FRAME.pack(NOT_HERE, 0))
            return
        await response.write(FRAME.pack(BLOCK, len(encoded)))
        view = memoryview(encoded)
        for start in range(0, len(view), WRITE_BYTES):
            await response.write(view[start : start + WRITE_BYTES])
        self._traffic.sent[peer] += len(encoded)
        self._traffic.wire_sent_bytes += len(encoded)
