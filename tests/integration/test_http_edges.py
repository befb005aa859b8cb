"""Listeners as strangers meet them: trickles, floods, endless bodies, requests that two readers read in two ways.

Deadlines are shortened, and nothing here measures time: a test waits until the other end has closed, however long.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from aiohttp import http_parser, web

from swarm.http.patience import Deadlines
from swarm.http.serve import Listener, make_app, start_listener

WAIT_S: Final = 20.0
SHORT: Final = Deadlines(head_s=0.2, idle_s=0.2, taking_s=0.2)
LONG: Final = Deadlines(head_s=3600.0, idle_s=3600.0, taking_s=3600.0)
LARGE: Final = bytes(1 << 20)
STATUS: Final = re.compile(rb"HTTP/\d\.\d (\d{3}) ")
GET: Final = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Site:
    """A listener that notes which requests come to a handler."""

    def __init__(self, listener: Listener, seen: list[str]) -> None:
        self.listener = listener
        self.seen = seen

    async def connect(self, source: str = "127.0.0.1") -> tuple[Reader, Writer]:
        return await asyncio.open_connection("127.0.0.1", self.listener.port, local_addr=(source, 0))

    async def say(self, data: bytes) -> bytes:
        """All that is answered, until the far end closes."""
        reader, writer = await self.connect()
        writer.write(data)
        try:
            return await ended(reader)
        finally:
            writer.close()


async def ended(reader: Reader) -> bytes:
    """What comes until the other end closes."""
    answer = b""
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                answer += data
    return answer


@contextlib.asynccontextmanager
async def site(**settings: Any) -> AsyncIterator[Site]:
    seen: list[str] = []
    app = make_app()

    async def handle(request: web.Request) -> web.Response:
        seen.append(f"{request.method} {request.path}")
        body = await request.read()
        return web.Response(body=LARGE if request.path == "/large" else str(len(body)).encode())

    app.router.add_route("*", "/{path:.*}", handle)
    listener = await start_listener(app, "127.0.0.1", 0, None, **settings)
    try:
        yield Site(listener, seen)
    finally:
        await listener.close()


def run(act: Callable[[Site], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        async with site(**settings) as here:
            await act(here)

    asyncio.run(main())


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET /good HT",
        b"GET /good HTTP/1.1\r\nHost: a\r\nX-",
        b"POST /good HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
        b"POST /good HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        GET,
        GET + b"GET",
    ],
)
def test_who_says_too_little_is_sent_away(first: bytes) -> None:
    async def act(here: Site) -> None:
        reader, writer = await here.connect()
        writer.write(first)
        trickle = asyncio.create_task(_trickle(writer, b"x" if first not in (b"", GET) else b""))
        await ended(reader)
        trickle.cancel()
        writer.close()
        assert len(here.listener.visits) == 0

    run(act, deadlines=SHORT)


async def _trickle(writer: Writer, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.02)


def test_who_takes_no_answers_is_sent_away_and_asks_for_few_meanwhile() -> None:
    async def act(here: Site) -> None:
        _reader, writer = await here.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(GET.replace(b"good", b"large") * 5000)
        async with asyncio.timeout(WAIT_S):
            while not here.seen or len(here.listener.visits):
                await asyncio.sleep(0.02)
        assert len(here.seen) <= 64, "pipelined requests wait in the far end's socket"
        writer.transport.abort()

    run(act, deadlines=Deadlines(head_s=3600.0, idle_s=3600.0, taking_s=0.2))


def test_an_endless_body_is_refused_at_its_limit() -> None:
    async def act(here: Site) -> None:
        reader, writer = await here.connect()
        answer = asyncio.create_task(reader.read(100))
        writer.write(b"POST /good HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 28 and not answer.done():
                writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0)  # the other end is in this loop too
                sent += 65536
        assert b" 413 " in await answer
        assert sent <= 1 << 24
        writer.transport.abort()

    run(act, deadlines=LONG)


def test_a_flood_of_silent_connections_keeps_nobody_out_and_stays_bounded() -> None:
    async def act(here: Site) -> None:
        silent = [await here.connect() for _ in range(40)]
        elsewhere = [await here.connect("127.0.0.2") for _ in range(40)]
        async with asyncio.timeout(WAIT_S):
            while here.listener.visits.ended < 64:
                await asyncio.sleep(0.01)
        assert len(here.listener.visits) <= 16
        reader, writer = await here.connect()
        writer.write(GET)
        assert b" 200 " in await reader.readuntil(b"\r\n")
        for _, other in [*silent, *elsewhere, (reader, writer)]:
            other.close()

    run(act, deadlines=LONG, most=16)


def test_an_address_that_has_its_part_pushes_out_only_its_own() -> None:
    async def act(here: Site) -> None:
        honest = await here.connect("127.0.0.2")
        honest[1].write(GET)
        assert b" 200 " in await honest[0].readuntil(b"\r\n")
        flood = [await here.connect() for _ in range(64)]
        async with asyncio.timeout(WAIT_S):
            while here.listener.visits.ended < 56:
                await asyncio.sleep(0.01)
        honest[1].write(GET)
        assert b" 200 " in await honest[0].readuntil(b"HTTP/1.1 200 OK\r\n")
        for _, writer in [*flood, honest]:
            writer.close()

    run(act, deadlines=LONG, most=16)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /?" + b"a=b&" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /good HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /good HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n",
        b"GET /good HTTP/1.1\r\nHost: a\r\n" + b"a" * 9000,
    ],
)
def test_a_head_has_bounds(head: bytes) -> None:
    async def act(here: Site) -> None:
        answer = await here.say(head)
        assert STATUS.findall(answer) == [b"400"], answer[:100]
        assert here.seen == []

    run(act, deadlines=LONG)


def test_what_is_compressed_is_not_unpacked() -> None:
    async def act(here: Site) -> None:
        head = b"POST /good HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n"
        head += b"Content-Encoding: %b\r\n\r\nabcd"
        for encoding in (b"gzip", b"deflate", b"br", b"zstd"):
            assert b" 415 " in (await here.say(head % encoding)).partition(b"\r\n")[0]
        assert here.seen == []
        assert b" 200 " in await here.say(head % b"identity")

    run(act, deadlines=LONG)


SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def body(headers: bytes, rest: bytes = b"0\r\n\r\n" + SMUGGLED) -> bytes:
    return b"POST /good HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n" + rest


def sized(headers: bytes) -> bytes:
    """What a reader that overlooks the length takes for another request."""
    return body(headers % len(SMUGGLED), SMUGGLED)


CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
BODIES: Final[dict[str, bytes]] = {
    "a size with a sign": body(CHUNKED, b"+5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a size in C": body(CHUNKED, b"0x5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a size with an underscore": body(CHUNKED, b"0_5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a size after a space": body(CHUNKED, b" 5\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "no size": body(CHUNKED, b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "a size too long": body(CHUNKED, b"f" * 20 + b"\r\n" + SMUGGLED),
    "a part longer than it says": body(CHUNKED, b"3\r\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "an extension over a line": body(CHUNKED, b"5;a\nhello\r\n0\r\n\r\n" + SMUGGLED),
    "parts without return": body(CHUNKED, b"5\nhello\n0\n\n" + SMUGGLED),
}
# Messages of which two readers in a row may see other ends: RFC 9112 11.2, and the lists of James Kettle's "HTTP Desync
# Attacks" (2019), of the h2c and "TE.0" attacks since, and of llhttp's and aiohttp's advisories.
AMBIGUOUS: Final[dict[str, bytes]] = {
    "length and transfer": body(b"Content-Length: 4\r\n" + CHUNKED),
    "transfer and length": body(CHUNKED + b"Content-Length: 4\r\n"),
    "two lengths": body(b"Content-Length: 0\r\nContent-Length: 5\r\n"),
    "two equal lengths": body(b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    "a list of lengths": body(b"Content-Length: 5, 5\r\n"),
    "a length with a sign": body(b"Content-Length: +5\r\n"),
    "a negative length": body(b"Content-Length: -1\r\n"),
    "a hexadecimal length": body(b"Content-Length: 0x5\r\n"),
    "a length in other digits": body("Content-Length: \u0665\r\n".encode()),
    "a length with an underscore": body(b"Content-Length: 1_0\r\n"),
    "an empty length": body(b"Content-Length: \r\n"),
    "a length with a space inside": body(b"Content-Length: 5 5\r\n"),
    "a space before the colon": sized(b"Content-Length : %d\r\n"),
    "a tab before the colon": sized(b"Content-Length\t: %d\r\n"),
    "transfer with a space before the colon": body(b"Transfer-Encoding : chunked\r\n"),
    "another transfer": body(b"Transfer-Encoding: x-chunked\r\n"),
    "identity": body(b"Transfer-Encoding: identity\r\n"),
    "not the last": body(b"Transfer-Encoding: chunked, identity\r\n"),
    "twice": body(b"Transfer-Encoding: chunked, chunked\r\n"),
    "two transfers": body(CHUNKED + b"Transfer-Encoding: identity\r\n"),
    "two equal transfers": body(CHUNKED + CHUNKED),
    "with gzip": body(b"Transfer-Encoding: gzip, chunked\r\n"),
    "in quotes": body(b'Transfer-Encoding: "chunked"\r\n'),
    "after a vertical tab": body(b"Transfer-Encoding: \v chunked\r\n"),
    "a folded line": body(b"Transfer-Encoding:\r\n chunked\r\n"),
    "a folded length": sized(b"X: a\r\n Content-Length: %d\r\n"),
    "a header without a colon": body(b"Content-Length 5\r\n"),
    "a header without a name": body(b": a\r\n"),
    "a nul in a header": body(b"X: a\0b\r\n" + CHUNKED),
    "a bare return in a header": body(b"X: a\rTransfer-Encoding: chunked\r\n"),
    "a name with other characters": body("Content-L\u00e9ngth: 5\r\n".encode("latin-1")),
    "ends of line without return": b"POST /good HTTP/1.1\nHost: a\nContent-Length: 5\n\n" + SMUGGLED,
    "old and chunked": b"POST /good HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "a version with two digits": b"GET /good HTTP/1.10\r\nHost: a\r\n\r\n" + SMUGGLED,
    "a version of tomorrow": b"GET /good HTTP/3.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "no version": b"GET /good\r\nHost: a\r\n\r\n" + SMUGGLED,
    "two hosts": b"GET /good HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + SMUGGLED,
    "no host": b"GET /good HTTP/1.1\r\n\r\n" + SMUGGLED,
    "a whole address of another host": b"GET http://b/good HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
    "an upgrade to http 2": body(b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    **BODIES,
    "connect": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED,
}


@pytest.fixture(params=["C", "Python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both of aiohttp's parsers: where its extension cannot be built the other is in use."""
    if request.param == "Python":
        monkeypatch.setattr("aiohttp.web_protocol.HttpRequestParser", http_parser.HttpRequestParserPy)
    else:
        assert http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy
    return str(request.param)


def test_no_request_is_smuggled_past_a_reader_before_us(parser: str) -> None:
    """Each is refused, and nothing behind it is read: the connection is closed."""
    odd: dict[str, Any] = {}

    async def act(here: Site) -> None:
        for name, data in AMBIGUOUS.items():
            here.seen.clear()
            statuses = STATUS.findall(await here.say(data))
            # One that was sent away before anybody looked at it, as this machine stopped for a moment, shows nothing.
            while not statuses and not here.seen:
                statuses = STATUS.findall(await here.say(data))
            # A body may turn out to be ambiguous when its request is being answered already.
            may_begin = ["POST /good"] if name in BODIES else []
            is_refused = [status[:1] for status in statuses] == [b"4"] or (name in BODIES and not statuses)
            if here.seen not in ([], may_begin) or not is_refused:
                odd[name] = (list(here.seen), statuses)

    run(act, deadlines=SHORT)
    assert odd == {}


def test_the_corpus_would_smuggle_where_nothing_is_ambiguous(parser: str) -> None:
    """What comes behind an honest request is read, so that its absence above tells something."""

    async def act(here: Site) -> None:
        for headers, rest in ((b"Content-Length: 5\r\n", b"hello"), (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")):
            here.seen.clear()
            last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            answer = await here.say(body(headers, rest + last))
            assert here.seen == ["POST /good", "GET /smuggled"]
            assert answer.count(b"HTTP/1.1 200 OK") == 2

    run(act, deadlines=LONG)


def test_half_a_connection_is_no_leak() -> None:
    """Whoever closes its half, or all, at any time leaves nothing behind."""

    async def act(here: Site) -> None:
        for data in (b"", GET[:10], GET, body(CHUNKED, b"5\r\nab")):
            for how in (socket.SHUT_WR, None):
                reader, writer = await here.connect()
                writer.write(data)
                await writer.drain()
                if how is None:
                    writer.transport.abort()
                else:
                    writer.write_eof()
                    await ended(reader)
                    writer.close()
        async with asyncio.timeout(WAIT_S):
            while len(here.listener.visits):
                await asyncio.sleep(0.01)

    run(act, deadlines=SHORT)
