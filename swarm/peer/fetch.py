"""Fetching runs: the taking side of the exchange.

One request, a stream of frames, each handed on as it is complete. What does not fit the protocol (a frame longer than a
block may be, more frames than were asked for, an end in the middle) raises RemoteProtocolError: the caller blames the
peer. A connection that breaks or stays silent raises UnreachableError. Blocks are not decoded or verified here.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Final, Protocol

import aiohttp

from swarm import canonical
from swarm.errors import RemoteProtocolError, UnreachableError
from swarm.http.problem import error_from
from swarm.identity import server_name_of
from swarm.limits import ENCODED_MAX_BYTES
from swarm.peer.gather import Gathering
from swarm.peer.wire import ASK, BLOCK, FRAME, GRANT_HEADER, RUN_PATH, TAG_PATH, RunRequest, TagAnswer, TagRequest

ASK_MAX_BYTES: Final = 64
ANSWER_MAX_BYTES: Final = 128 * 1024
CALL_TIMEOUT_S: Final = 5.0


class Following(Protocol):
    """Who is told how a run comes along: that the giver took it, and that the bytes of its n-th block begin."""

    def accepted(self) -> None: ...
    def begun(self, position: int) -> None: ...


class Frames:
    """Cuts a byte stream into (status, payload) frames. Sans I/O; a payload is complete when it is given out."""

    def __init__(self, expected: int, following: Following | None = None) -> None:
        self._expected = expected
        self._following = following
        self._position = -1
        self._head = bytearray()
        self._payload = bytearray()
        self._filled = 0
        self._status = -1

    def receive(self, data: bytes) -> list[tuple[int, bytearray]]:
        """The frames that these bytes complete. RemoteProtocolError for what no honest peer sends."""
        frames: list[tuple[int, bytearray]] = []
        view = memoryview(data)
        while len(view):
            if self._status < 0:
                view = self._take_head(view)
            if self._status >= 0:
                take = min(len(view), len(self._payload) - self._filled)
                self._payload[self._filled : self._filled + take] = view[:take]
                self._filled += take
                view = view[take:]
                if self._filled == len(self._payload):
                    frames.append((self._status, self._payload))
                    self._status = -1
                    self._payload = bytearray()
        return frames

    def _take_head(self, view: memoryview) -> memoryview:
        if self._expected == 0:
            raise RemoteProtocolError("a run has more answers than were asked for")
        need = FRAME.size - len(self._head)
        self._head += view[:need]
        if len(self._head) == FRAME.size:
            status, length = FRAME.unpack(self._head)
            limit = {BLOCK: ENCODED_MAX_BYTES, ASK: ASK_MAX_BYTES}.get(status, 0)
            if status > ASK or length > limit:
                raise RemoteProtocolError(f"a frame of status {status} claims {length} bytes, the limit is {limit}")
            self._head.clear()
            self._status, self._payload, self._filled = status, bytearray(length), 0
            self._expected -= 1
            self._position += 1
            if self._following is not None and status == BLOCK:
                self._following.begun(self._position)
        return view[need:]

    @property
    def left_bytes(self) -> int:
        """What is lacking of the frame that has begun."""
        return len(self._payload) - self._filled if self._status >= 0 else 0

    @property
    def is_done(self) -> bool:
        return self._expected == 0 and self._status < 0


class Fetcher:
    """Calls peers by their id over a session that verifies who answers."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.grant = b""

    async def run(
        self, peer: str, request: RunRequest, following: Following | None = None
    ) -> AsyncIterator[tuple[int, bytearray]]:
        """The answers to a run, in order: (status, payload)."""
        frames = Frames(len(request.signatures), following)
        try:
            async with self._session.post(
                f"https://{server_name_of(peer)}{RUN_PATH}", data=canonical.encode(request), headers=self._headers()
            ) as response:
                if response.status != 200:
                    raise error_from(response.status, await _bounded(response), f"peer {peer[:8]}")
                if following is not None:
                    following.accepted()
                connection = response.connection
                gathering = Gathering(connection.transport if connection is not None else None)
                try:
                    async for data in response.content.iter_any():
                        received = frames.receive(data)
                        gathering.expect(frames.left_bytes)
                        for frame in received:
                            yield frame
                finally:
                    gathering.close()
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise UnreachableError(f"peer {peer[:8]} broke off: {error or type(error).__name__}") from error
        if not frames.is_done:
            raise RemoteProtocolError(f"peer {peer[:8]} ended a run in the middle")

    async def tag(self, peer: str, request: TagRequest) -> bytes:
        """The signed entry that the peer knows for a tag, empty for none."""
        try:
            async with self._session.post(
                f"https://{server_name_of(peer)}{TAG_PATH}",
                data=canonical.encode(request),
                headers=self._headers(),
                timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
            ) as response:
                body = await _bounded(response)
                if response.status != 200:
                    raise error_from(response.status, body, f"peer {peer[:8]}")
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise UnreachableError(f"peer {peer[:8]} does not answer: {error or type(error).__name__}") from error
        return canonical.decode(body, TagAnswer, limit_bytes=ANSWER_MAX_BYTES).entry

    def _headers(self) -> dict[str, str]:
        return {GRANT_HEADER: base64.b64encode(self.grant).decode(), "Content-Type": "application/octet-stream"}


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for data in response.content.iter_any():
        body += data
        if len(body) > ANSWER_MAX_BYTES:
            raise RemoteProtocolError("an answer is longer than it may be")
    return bytes(body)
