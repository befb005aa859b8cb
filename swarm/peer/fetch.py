"""Calls to peers: runs of blocks, each received in a thread (``RunStream``), and tags.

Streams of runs rest between runs and are used again. A connection that breaks or stays silent raises UnreachableError;
RemoteProtocolError is for what no honest peer sends: the caller blames the peer.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from weakref import WeakKeyDictionary

import aiohttp

from swarm import canonical
from swarm.errors import AetherError, RemoteProtocolError, UnreachableError
from swarm.http.problem import error_from
from swarm.http.resolver import PeerResolver
from swarm.http.session import CONNECT_TIMEOUT_S
from swarm.identity import server_name_of
from swarm.limits import RUNS_TAKEN_MAX
from swarm.peer.buffers import Buffers
from swarm.peer.called import Called
from swarm.peer.pace import UNPACED, Pace
from swarm.peer.sealed import SEALED_MAX_BYTES
from swarm.peer.stream import Answer, Keep, RunStream
from swarm.peer.wire import BLOCK, GRANT_HEADER, TAG_PATH, RunHead, RunRequest, TagAnswer, TagRequest, framed

ANSWER_MAX_BYTES: Final = 128 * 1024
CALL_TIMEOUT_S: Final = 5.0
# An address that is not the last gets this long.
DIAL_NEXT_S: Final = 1.0
# A stream of runs that carries none is ended after this long.
STREAM_IDLE_S: Final = 10.0
# Who could not be dialled, and dialled us, is asked to for so long.
IN_VAIN_S: Final = 300.0
IN_VAIN_MAX: Final = 256
PACED_BUFFER_BYTES: Final = 32 * 1024

log = logging.getLogger("aetherfs.fetch")


class Fetcher:
    """Calls peers by their id. ``session`` and ``context`` (for runs) verify who answers, ``resolver`` knows their
    addresses. Blocks come at the ``pace``, ``runs_max`` runs at a time."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        context: ssl.SSLContext,
        resolver: PeerResolver,
        pace: Pace = UNPACED,
        runs_max: int = RUNS_TAKEN_MAX,
    ) -> None:
        self._pace = pace
        self._session = session
        self._context = context
        self._resolver = resolver
        self._threads = ThreadPoolExecutor(runs_max, "runs")
        self._buffers = Buffers(SEALED_MAX_BYTES)
        self._resting: defaultdict[str, list[tuple[RunStream, asyncio.TimerHandle]]] = defaultdict(list)
        self._under_way: set[RunStream] = set()
        self.grant = b""
        # How those are reached who cannot be dialled, and of whom that is known.
        self.called: Called | None = None
        self.is_translated: Callable[[str], bool] = lambda peer: False
        self._in_vain: dict[str, float] = {}
        self._warming: dict[str, asyncio.Task[None]] = {}
        # The grant that each stream was begun with: with another it has to be begun anew.
        self._shown: WeakKeyDictionary[RunStream, bytes] = WeakKeyDictionary()

    def is_ready(self, peer: str) -> bool:
        """Whether a stream to the peer rests."""
        return bool(self._resting.get(peer))

    def warm(self, peer: str, rest_s: float) -> None:
        """Have a stream to the peer made ready for what may be asked soon; the next ``take`` has it, and waits for it.
        Nothing if there is one, or it does not answer.
        """
        if self._resting.get(peer) or peer in self._warming or any(one.peer == peer for one in self._under_way):
            return
        warming = self._warming[peer] = asyncio.create_task(self._warm(peer, rest_s))
        warming.add_done_callback(lambda done: self._warmed(peer, done))

    def _warmed(self, peer: str, task: asyncio.Task[None]) -> None:
        if self._warming.get(peer) is task:
            del self._warming[peer]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a stream was not made ready", exc_info=error)

    async def _warm(self, peer: str, rest_s: float) -> None:
        try:
            stream = await self._new_stream(peer)
        except UnreachableError:
            return
        self._under_way.add(stream)
        self._shown[stream] = self.grant
        head = framed(canonical.encode(RunHead(1, self.grant)))
        greeting = asyncio.get_running_loop().run_in_executor(self._threads, stream.greet, head)
        is_ready = False
        try:
            await asyncio.shield(greeting)
            is_ready = True
        except AetherError as error:
            log.info("no stream is kept ready: %s", error)
        except asyncio.CancelledError:
            stream.abort()
            await _ended(greeting)
            raise
        finally:
            self._under_way.discard(stream)
            if is_ready:
                self._rest(peer, stream, rest_s)
            else:
                stream.close()

    async def take(
        self,
        peer: str,
        request: RunRequest,
        keep: Keep,
        answered: Callable[[Answer], None],
        rest_s: float = STREAM_IDLE_S,
    ) -> None:
        """Ask for a run. ``keep`` is given each block in a thread, and ends the run by raising; ``answered`` is told of
        each answer, in order, on the loop. When this ends, however it ends, the thread has ended too. The stream is
        ready for another for ``rest_s``.
        """
        stream = self._stream(peer)
        if stream is None and (warming := self._warming.pop(peer, None)) is not None:
            # One that is under way already is there before one that would begin now.
            await asyncio.wait([warming])
            stream = self._stream(peer)
        if stream is None:
            stream = await self._new_stream(peer)
            self._shown[stream] = self.grant
        self._under_way.add(stream)
        head, data = framed(canonical.encode(RunHead(1, self._shown[stream]))), framed(canonical.encode(request))
        inbox = _Inbox(answered)

        def receive() -> None:
            stream.run(head, data, len(request.signatures), self._buffers, keep, inbox.put)

        running = asyncio.get_running_loop().run_in_executor(self._threads, receive)
        is_whole = False
        try:
            await asyncio.shield(running)
            is_whole = True
        except asyncio.CancelledError:
            stream.abort()
            await _ended(running)
            raise
        finally:
            self._under_way.discard(stream)
            if is_whole:
                self._rest(peer, stream, rest_s)
            else:
                stream.close()
                self._forget_buffers()
            inbox.deliver()

    async def run(self, peer: str, request: RunRequest) -> AsyncIterator[tuple[int, bytes]]:
        """The answers to a run, in order, when all have come: (status, payload)."""
        blocks: dict[int, bytes] = {}
        answers: list[Answer] = []
        await self.take(peer, request, lambda at, encoded: blocks.__setitem__(at, bytes(encoded)), answers.append)
        for answer in answers:
            if not answer.is_begun:
                yield answer.status, blocks[answer.position] if answer.status == BLOCK else answer.ask.encode()

    async def _new_stream(self, peer: str) -> RunStream:
        connected = await self._connected(peer)
        return RunStream(peer, server_name_of(peer), self._context, connected, self._pace)

    async def _connected(self, peer: str) -> socket.socket:
        """Dialled, or made by the peer where it cannot be dialled: a try that was in vain is not made again soon."""
        if self.called is None:
            return await self.dial(peer)
        loop = asyncio.get_running_loop()
        if self.is_translated(peer) or self._in_vain.get(peer, 0.0) > loop.time():
            return await self.called.stream(peer)
        try:
            return await self.dial(peer)
        except UnreachableError:
            found = await self.called.stream(peer)
            self._in_vain[peer] = loop.time() + IN_VAIN_S
            if len(self._in_vain) > IN_VAIN_MAX:
                del self._in_vain[next(iter(self._in_vain))]
            return found

    async def dial(self, peer: str) -> socket.socket:
        name = server_name_of(peer)
        loop = asyncio.get_running_loop()
        try:
            found = await self._resolver.resolve(name)
            for number, address in enumerate(found, 1):
                connection = socket.socket(address["family"], socket.SOCK_STREAM)
                connection.setblocking(False)
                if self._pace.is_limited:
                    # What the system takes in for us comes at no pace of ours.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PACED_BUFFER_BYTES)
                try:
                    async with asyncio.timeout(CONNECT_TIMEOUT_S if number == len(found) else DIAL_NEXT_S):
                        await loop.sock_connect(connection, (address["host"], address["port"]))
                    return connection
                except BaseException as error:
                    connection.close()
                    if number == len(found) or not isinstance(error, OSError):
                        raise
        except OSError as error:
            raise UnreachableError(f"peer {peer[:8]} does not answer: {error or type(error).__name__}") from error
        raise UnreachableError(f"peer {peer[:8]} has no address")

    def _stream(self, peer: str) -> RunStream | None:
        """A stream to the peer that rests and can go on."""
        resting = self._resting.pop(peer, [])
        while resting:
            stream, ending = resting.pop()
            ending.cancel()
            if stream.is_usable and self._shown.get(stream) == self.grant:
                if resting:
                    self._resting[peer] = resting
                return stream
            stream.close()
        return None

    def _rest(self, peer: str, stream: RunStream, rest_s: float) -> None:
        """No run is under way on it: end before long, unless another comes."""
        ending = asyncio.get_running_loop().call_later(rest_s, self._end, peer, stream)
        self._resting[peer].append((stream, ending))

    def _end(self, peer: str, stream: RunStream) -> None:
        stream.close()
        others = [other for other in self._resting.pop(peer, []) if other[0] is not stream]
        if others:
            self._resting[peer] = others
        self._forget_buffers()

    def _forget_buffers(self) -> None:
        """Their memory is given back when no stream is left."""
        if not self._resting and not self._under_way:
            self._buffers.forget()

    def close(self) -> None:
        """End every stream."""
        for warming in list(self._warming.values()):
            warming.cancel()
        for stream in self._under_way:
            stream.abort()
        for streams in self._resting.values():
            for stream, ending in streams:
                ending.cancel()
                stream.close()
        self._resting.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

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


class _Inbox:
    """Answers on their way from a thread to the loop, which is woken once for many."""

    def __init__(self, deliver: Callable[[Answer], None]) -> None:
        self._answered = deliver
        self._answers: deque[Answer] = deque()
        self._loop = asyncio.get_running_loop()
        self._is_woken = False

    def put(self, answer: Answer) -> None:
        """From the thread."""
        self._answers.append(answer)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self.deliver)

    def deliver(self) -> None:
        """On the loop: pass on what has come."""
        self._is_woken = False
        while self._answers:
            self._answered(self._answers.popleft())


async def _ended(running: asyncio.Future[None]) -> None:
    """Wait for a thread that ends soon, however often we are told to stop."""
    while not running.done():
        with contextlib.suppress(asyncio.CancelledError, AetherError):
            await asyncio.shield(running)
    if not running.cancelled():
        running.exception()


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for data in response.content.iter_any():
        body += data
        if len(body) > ANSWER_MAX_BYTES:
            raise RemoteProtocolError("an answer is longer than it may be")
    return bytes(body)
