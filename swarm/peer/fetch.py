"""Fetching runs: the taking side of the exchange.

One request carries one run after another; the answer to each is a stream of frames, each handed on as it is complete.
What does not fit the protocol (a frame longer than a block may be, more frames than were asked for, an end in the
middle) raises RemoteProtocolError: the caller blames the peer. A connection that breaks or stays silent raises
UnreachableError. Blocks are not decoded or verified here.
"""

from __future__ import annotations

import asyncio
import base64
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp

from swarm import canonical
from swarm.errors import RemoteProtocolError, UnreachableError
from swarm.http.problem import error_from
from swarm.identity import server_name_of
from swarm.limits import ENCODED_MAX_BYTES
from swarm.peer.gather import Gathering
from swarm.peer.wire import (
    ASK,
    BLOCK,
    FRAME,
    GRANT_HEADER,
    RUN_PATH,
    TAG_PATH,
    RunRequest,
    TagAnswer,
    TagRequest,
    framed,
)

ASK_MAX_BYTES: Final = 64
ANSWER_MAX_BYTES: Final = 128 * 1024
CALL_TIMEOUT_S: Final = 5.0
# A stream of runs that carries none is ended after this long.
STREAM_IDLE_S: Final = 10.0


class Frames:
    """Cuts a byte stream into (status, payload) frames. Sans I/O; a payload is complete when it is given out.

    ``begun`` is called with the position of each block as its first bytes come.
    """

    def __init__(self, expected: int, begun: Callable[[int], None] | None = None) -> None:
        self._expected = expected
        self._begun = begun
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
            if self._begun is not None and status == BLOCK:
                self._begun(self._position)
        return view[need:]

    @property
    def left_bytes(self) -> int:
        """What is lacking of the frame that has begun."""
        return len(self._payload) - self._filled if self._status >= 0 else 0

    @property
    def is_done(self) -> bool:
        return self._expected == 0 and self._status < 0


class RunStream:
    """One request to a peer that carries runs, one after another, until either side ends it."""

    def __init__(self, session: aiohttp.ClientSession, peer: str, headers: dict[str, str]) -> None:
        self._session = session
        self._peer = peer
        self._headers = headers
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._response: aiohttp.ClientResponse | None = None
        self._gathering = Gathering(None)
        self._ending: asyncio.TimerHandle | None = None

    @property
    def is_usable(self) -> bool:
        """Whether another run can be asked for: the far end has not closed it."""
        response = self._response
        if response is None or response.connection is None:
            return False
        return not response.content.at_eof() and response.content.exception() is None

    async def run(self, request: RunRequest, frames: Frames) -> AsyncIterator[tuple[int, bytearray]]:
        """Ask for a run and give out its answers. Raises what aiohttp raises, and the far end's refusal."""
        if self._ending is not None:
            self._ending.cancel()
        self._outgoing.put_nowait(framed(canonical.encode(request)))
        if self._response is None:
            await self._open()
        content = self._response.content  # type: ignore[union-attr]
        while not frames.is_done:
            data = await content.readany()
            if not data:
                raise RemoteProtocolError(f"peer {self._peer[:8]} ended a run in the middle")
            received = frames.receive(data)
            self._gathering.expect(frames.left_bytes)
            for frame in received:
                yield frame

    async def _open(self) -> None:
        response = await self._session.post(
            f"https://{server_name_of(self._peer)}{RUN_PATH}", data=self._body(), headers=self._headers
        )
        if response.status != 200:
            async with response:
                raise error_from(response.status, await _bounded(response), f"peer {self._peer[:8]}")
        self._response = response
        connection = response.connection
        self._gathering = Gathering(connection.transport if connection is not None else None)

    async def _body(self) -> AsyncIterator[bytes]:
        while (data := await self._outgoing.get()) is not None:
            yield data

    def rest(self) -> None:
        """No run is under way: end before long, unless another comes."""
        self._ending = asyncio.get_running_loop().call_later(STREAM_IDLE_S, self.close)

    def close(self) -> None:
        """End it, and the connection with it."""
        if self._ending is not None:
            self._ending.cancel()
        self._gathering.close()
        self._outgoing.put_nowait(None)
        if self._response is not None:
            self._response.close()


class Fetcher:
    """Calls peers by their id over a session that verifies who answers."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._resting: defaultdict[str, list[RunStream]] = defaultdict(list)
        self.grant = b""

    async def run(
        self, peer: str, request: RunRequest, begun: Callable[[int], None] | None = None
    ) -> AsyncIterator[tuple[int, bytearray]]:
        """The answers to a run, in order: (status, payload). ``begun`` hears of each block as its first bytes come."""
        stream = self._stream(peer)
        is_whole = False
        try:
            async for frame in stream.run(request, Frames(len(request.signatures), begun)):
                yield frame
            is_whole = True
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise UnreachableError(f"peer {peer[:8]} broke off: {error or type(error).__name__}") from error
        finally:
            if is_whole:
                self._resting[peer].append(stream)
                stream.rest()
            else:
                stream.close()

    def _stream(self, peer: str) -> RunStream:
        resting = self._resting.pop(peer, [])
        while resting:
            stream = resting.pop()
            if stream.is_usable:
                self._resting[peer] = resting
                return stream
            stream.close()
        return RunStream(self._session, peer, self._headers())

    def close(self) -> None:
        """End the streams that rest."""
        for streams in self._resting.values():
            for stream in streams:
                stream.close()
        self._resting.clear()

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
