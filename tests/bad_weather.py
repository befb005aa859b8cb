"""Bad weather for an S3 server: a proxy in front of it that does to each request what a seed says.

What befalls request number n follows from the seed and n alone (``fault_of``): a delay, an answer that is an error
(before the server had the request, or after it), a connection that breaks before or in the midst of an answer, a body
cut short, a bit changed on the way there or back, no answer at all. Bits change in objects' bytes only: S3 protects no
headers and no lists, https does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

HEAD_MAX_BYTES: Final = 64 * 1024
BODY_MAX_BYTES: Final = 64 * 1024 * 1024
DELAY_MAX_S: Final = 0.05
ERRORS: Final = (
    ("503 Slow Down", "SlowDown"),
    ("500 Internal Server Error", "InternalError"),
    ("429 Too Many Requests", "TooManyRequests"),
    ("408 Request Timeout", "RequestTimeout"),
)
# How often each befalls, of all faults.
FAULTS: Final = {
    "delay": 3,
    "error": 4,
    "error behind": 2,
    "reset": 2,
    "reset behind": 1,
    "reset in body": 3,
    "cut": 3,
    "flip there": 2,
    "flip back": 3,
    "hang": 1,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request. ``at`` (from 0 to 1) is where in the body, how long, or which error."""

    kind: str
    at: float


CALM: Final = Fault("", 0.0)


def fault_of(seed: int, number: int, rate: float, only: frozenset[str] = frozenset(FAULTS)) -> Fault:
    """Pure: the weather of one request."""
    rng = random.Random(f"{seed} {number}")
    if rng.random() >= rate:
        return CALM
    kinds = [kind for kind in FAULTS if kind in only]
    return Fault(rng.choices(kinds, [FAULTS[kind] for kind in kinds])[0], rng.random())


@dataclass(frozen=True, slots=True)
class _Message:
    """A request or an answer: its first line and headers, and its body."""

    head: bytes
    body: bytes

    @property
    def first(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    def header(self, name: str) -> str:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return ""

    def without(self, *names: str) -> _Message:
        lines = self.head.decode("latin-1").rstrip("\r\n").split("\r\n")
        kept = [line for line in lines if line.partition(":")[0].lower() not in names]
        return _Message("\r\n".join(kept).encode("latin-1") + b"\r\n\r\n", self.body)

    def flipped(self, at: float) -> _Message:
        if not self.body:
            return self
        place = int(at * len(self.body))
        changed = bytes([self.body[place] ^ (1 << int(at * 8e6) % 8)])
        return _Message(self.head, self.body[:place] + changed + self.body[place + 1 :])


class BadWeather:
    """``with BadWeather(endpoint, seed) as weather``: calm until ``rate`` is set. ``befell`` counts faults by kind.

    ``is_away``: connections are refused, as of a server that was stopped. ``only``: no other faults than these.
    """

    def __init__(self, endpoint: str, seed: int = 0, *, rate: float = 0.0) -> None:
        self._target = urlsplit(endpoint)
        self.seed = seed
        self.rate = rate
        self.only = frozenset(FAULTS)
        self.is_away = False
        self.requests = 0
        self.befell: Counter[str] = Counter()
        self.endpoint = ""

    def __enter__(self) -> BadWeather:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), name="bad-weather")
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_MAX_BYTES)
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await self._ended.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not self.is_away and await self._one(reader, writer):
                    continue
        finally:
            self._tasks.discard(task)
            # At the end nobody is left who would send what waits, and an open connection is found when it is collected.
            writer.transport.abort() if self.is_away or self._ended.is_set() else writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and what befalls it; whether the connection stays."""
        request = await _request(reader, writer)
        if self.is_away:
            return False
        number, self.requests = self.requests, self.requests + 1
        fault = fault_of(self.seed, number, self.rate, self.only)
        is_object = "list-type=" not in request.first
        if fault.kind:
            self.befell[fault.kind] += 1
        if fault.kind == "delay":
            await asyncio.sleep(fault.at * DELAY_MAX_S)
        elif fault.kind == "hang":
            await self._ended.wait()
        elif fault.kind == "reset":
            writer.transport.abort()
            return False
        elif fault.kind == "error":
            return await _send(writer, _error(fault), request)
        elif fault.kind == "flip there":
            request = request.flipped(fault.at)
        answer = await self._asked(request)
        if fault.kind == "error behind":
            return await _send(writer, _error(fault), request)
        if fault.kind == "flip back" and is_object and not answer.header("transfer-encoding"):
            answer = answer.flipped(fault.at)
        if fault.kind in ("reset behind", "reset in body", "cut"):
            whole = answer.head + answer.body
            kept = 0 if fault.kind == "reset behind" else len(answer.head) + int(fault.at * len(answer.body))
            writer.write(whole[:kept])
            if fault.kind != "cut":
                await writer.drain()
                writer.transport.abort()
            return False
        return await _send(writer, answer, request)

    async def _asked(self, request: _Message) -> _Message:
        """The server's answer, whole."""
        reader, writer = await asyncio.open_connection(self._target.hostname, self._target.port, limit=HEAD_MAX_BYTES)
        try:
            lines = request.without("expect", "connection").head[:-2] + b"Connection: close\r\n\r\n"
            writer.write(lines + request.body)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            return _Message(head, await reader.read(-1)).without("connection")
        finally:
            writer.transport.abort()


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Message:
    request = _Message(await reader.readuntil(b"\r\n\r\n"), b"")
    if request.header("expect"):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = int(request.header("content-length") or 0)
    assert length <= BODY_MAX_BYTES
    return _Message(request.head, await reader.readexactly(length))


async def _send(writer: asyncio.StreamWriter, answer: _Message, request: _Message) -> bool:
    is_head = request.first.startswith("HEAD")
    writer.write(answer.head if is_head else answer.head + answer.body)
    await writer.drain()
    return bool(answer.header("content-length")) or is_head or " 204 " in answer.first


def _error(fault: Fault) -> _Message:
    status, code = ERRORS[int(fault.at * len(ERRORS))]
    body = f"<Error><Code>{code}</Code><Message>bad weather</Message></Error>".encode()
    return _Message(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body)
