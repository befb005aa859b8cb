"""The giving side as a stranger meets it: its bounds, and askers that leave, cancel, or say what they should not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from swarm import canonical
from swarm.errors import NotAllowedError, UnreachableError
from swarm.http import serve as http_serve
from swarm.http.past_tls import limit_waits
from swarm.http.patience import Deadlines
from swarm.http.tls import RUN_PROTOCOL
from swarm.identity import server_name_of
from swarm.peer import giving, serve
from swarm.peer.buffers import Buffers
from swarm.peer.giving import HEAD_MAX_BYTES, GivenStream
from swarm.peer.holdings import Holding
from swarm.peer.node import PeerNode
from swarm.peer.sealed import HEAD_BYTES, SEALED_MAX_BYTES
from swarm.peer.stream import RunStream
from swarm.peer.wire import BLOCK, LENGTH, NOT_HERE, REFUSED, RunHead, RunRequest, framed
from tests.integration.raw_streams import DEADLINE_S, RawStream
from tests.integration.swarm_rig import Swarm, contents, make_tree


@contextlib.asynccontextmanager
async def _pair(tmp_path: Path) -> AsyncIterator[tuple[Swarm, PeerNode, PeerNode, Holding]]:
    """A giver that holds some version, and an asker that knows where it is."""
    source = make_tree(tmp_path / "source", 1, large_bytes=6_000_000)
    async with Swarm(tmp_path) as swarm:
        giver, asker = await swarm.peer("giver"), await swarm.peer("asker")
        await swarm.publish(giver, source, "maps/roads:latest")
        asker.resolver.learn(giver.key.peer_id, giver.addresses())
        yield swarm, giver, asker, next(iter(giver.holdings))


def _request(holding: Holding, run: int, count: int) -> RunRequest:
    wanted = tuple(block.signature for block in holding.manifest.unique[:count])
    return RunRequest(1, run, "maps/roads", holding.version, holding.entry, False, wanted)


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():
            await asyncio.sleep(0.02)


def test_a_peer_has_so_many_streams_and_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, holding):
            head = framed(canonical.encode(RunHead(1, asker.papers.grant)))

            def ask(run: int) -> tuple[RawStream, int, bytes]:
                stream = RawStream(giver, asker)
                stream.say(head + framed(canonical.encode(_request(holding, run, 1))))
                return stream, *stream.frame()

            asked = [await asyncio.to_thread(ask, run) for run in range(serve.STREAMS_PER_PEER_MAX + 1)]
            assert [status for _, status, _ in asked] == [BLOCK] * serve.STREAMS_PER_PEER_MAX + [REFUSED]
            assert b"as many streams" in asked[-1][2]
            assert await asyncio.to_thread(asked[-1][0].read, 1) == b""
            for stream, _, _ in asked:
                stream.close()
            await _until(lambda: not giver.runs._streams)
            again, status, _ = await asyncio.to_thread(ask, 99)
            again.close()
            assert status == BLOCK

    asyncio.run(main())


def test_far_too_many_streams_of_a_peer_are_closed_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "STREAMS_PER_PEER_MAX", 1)
    monkeypatch.setattr(serve, "REFUSED_PER_PEER_MAX", 2)

    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, _holding):
            head = framed(canonical.encode(RunHead(1, asker.papers.grant)))

            def come() -> RawStream:
                stream = RawStream(giver, asker)
                stream.say(head)
                return stream

            streams = [await asyncio.to_thread(come) for _ in range(3)]
            await _until(lambda: giver.runs._per_peer[asker.key.peer_id] == 3)
            streams.append(await asyncio.to_thread(come))
            assert await asyncio.to_thread(streams[-1].key)
            assert await asyncio.to_thread(streams[-1].read, 1) == b""
            assert giver.runs._per_peer[asker.key.peer_id] == 3
            for stream in streams:
                stream.close()

    asyncio.run(main())


def test_strangers_that_do_not_shake_hands_keep_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "STRANGERS_MAX", 2)
    monkeypatch.setattr(http_serve, "USUAL", Deadlines(head_s=3600.0))

    async def main() -> None:
        async with _pair(tmp_path) as (swarm, giver, asker, _holding):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.set_alpn_protocols([RUN_PROTOCOL])
            hello = ssl.MemoryBIO()
            client = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="a.example")
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            first = hello.read()

            def bother() -> socket.socket:
                connection = socket.create_connection(("127.0.0.1", giver.listener.port), timeout=DEADLINE_S)
                connection.sendall(first)
                connection.recv(1)
                return connection

            strangers = [await asyncio.to_thread(bother) for _ in range(3)]
            await asyncio.to_thread(_drained, strangers[0])
            await swarm.pull(asker, "maps/roads:latest", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(tmp_path / "source")
            assert len(giver.runs._strangers) <= 2
            for connection in strangers:
                connection.close()

    asyncio.run(main())


def _drained(connection: socket.socket) -> None:
    """Read to the end that the far side makes. TimeoutError when it makes none."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(4096):
            pass


def test_a_refusal_comes_to_the_caller_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "STREAMS_PER_PEER_MAX", 0)

    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, holding):
            with pytest.raises(NotAllowedError, match="as many streams"):
                _ = [answer async for answer in asker.fetcher.run(giver.key.peer_id, _request(holding, 1, 1))]
            assert not asker.channels.is_banned(giver.key.peer_id)

    asyncio.run(main())


def test_connections_beyond_the_threads_are_closed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, holding):
            monkeypatch.setattr(serve, "THREADS_MAX", 0)
            with pytest.raises(UnreachableError):
                _ = [answer async for answer in asker.fetcher.run(giver.key.peer_id, _request(holding, 1, 1))]

    asyncio.run(main())


@pytest.mark.parametrize(
    "words",
    [
        LENGTH.pack(HEAD_MAX_BYTES + 1),  # a head longer than any
        framed(b"\xc1"),  # a head that is none
        framed(canonical.encode(RunHead(1, b""))) + LENGTH.pack(1 << 31),
        framed(canonical.encode(RunHead(1, b""))) + framed(b"garbage"),
    ],
)
def test_what_no_honest_asker_says_is_refused_and_ends(words: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, _holding):

            def say() -> tuple[int, bytes]:
                with RawStream(giver, asker) as stream:
                    stream.say(words)
                    status, _ = stream.frame()
                    return status, stream.read(1)

            assert await asyncio.to_thread(say) == (REFUSED, b"")
            await _until(lambda: not giver.runs._streams)

    asyncio.run(main())


def test_a_stream_shows_its_certificate(tmp_path: Path) -> None:
    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, holding):

            def ask() -> bytes:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(asker.home.tls_files.root)
                context.set_alpn_protocols([RUN_PROTOCOL])
                connection = socket.create_connection(("127.0.0.1", giver.listener.port), timeout=DEADLINE_S)
                with context.wrap_socket(connection, server_hostname=server_name_of(giver.key.peer_id)) as stream:
                    stream.sendall(framed(canonical.encode(RunHead(1, asker.papers.grant))))
                    stream.sendall(framed(canonical.encode(_request(holding, 1, 1))))
                    return stream.recv(1)

            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.to_thread(ask)

    asyncio.run(main())


def test_a_taker_that_leaves_midway_frees_its_thread_and_its_turn(tmp_path: Path) -> None:
    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, holding):
            count = len(holding.manifest.unique)

            def begin_and_leave(run: int) -> None:
                with RawStream(giver, asker) as stream:
                    stream.say(framed(canonical.encode(RunHead(1, asker.papers.grant))))
                    stream.say(framed(canonical.encode(_request(holding, run, count))))
                    assert stream.frame()[0] == BLOCK

            for run in range(4):
                await asyncio.to_thread(begin_and_leave, run)
            await _until(lambda: not giver.runs._streams)
            assert not giver.runs._turns._gates
            giver.runs._turns._uploads.check_invariants()
            assert not giver.runs._turns._uploads.runs_of(asker.key.peer_id)

    asyncio.run(main())


def test_a_taker_that_leaves_while_it_waits_frees_its_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "LOOK_S", 0.05)

    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, holding):
            monkeypatch.setattr(giver.runs._turns, "_go_on", lambda: None)  # nobody's turn comes

            def ask() -> RawStream:
                stream = RawStream(giver, asker)
                stream.say(framed(canonical.encode(RunHead(1, asker.papers.grant))))
                stream.say(framed(canonical.encode(_request(holding, 1, 2))))
                return stream

            stream = await asyncio.to_thread(ask)
            await _until(lambda: bool(giver.runs._turns._gates))
            stream.close()
            await _until(lambda: not giver.runs._streams)

    asyncio.run(main())


def test_a_run_cancelled_midway_sends_no_more_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, holding):
            count = len(holding.manifest.unique)
            begun, go_on = threading.Event(), threading.Event()
            write = giver.runs._write

            def wait_and_write(stream: GivenStream, encoded: bytes | None) -> None:
                begun.set()
                assert go_on.wait(DEADLINE_S)
                write(stream, encoded)

            monkeypatch.setattr(giver.runs, "_write", wait_and_write)
            request = _request(holding, 7, count)

            async def ask() -> list[int]:
                return [status async for status, _ in asker.fetcher.run(giver.key.peer_id, request)]

            asking = asyncio.create_task(ask())
            assert await asyncio.to_thread(begun.wait, DEADLINE_S)
            giver.runs.cancel(asker.key.peer_id, 7, ())
            go_on.set()
            assert await asking == [BLOCK] + [NOT_HERE] * (count - 1)
            monkeypatch.undo()
            again = [s async for s, _ in asker.fetcher.run(giver.key.peer_id, _request(holding, 8, 2))]
            assert again == [BLOCK] * 2, "the stream can go on"

    asyncio.run(main())


def test_closing_ends_a_stream_in_the_middle_and_nobody_is_blamed(tmp_path: Path) -> None:
    async def main() -> None:
        async with _pair(tmp_path) as (swarm, giver, asker, holding):
            held, go_on = threading.Event(), threading.Event()
            ended: list[BaseException] = []

            def stall(at: int, encoded: memoryview) -> None:
                held.set()
                go_on.wait(DEADLINE_S)

            async def ask() -> None:
                try:
                    request = _request(holding, 1, len(holding.manifest.unique))
                    await asker.fetcher.take(giver.key.peer_id, request, stall, lambda answer: None)
                except Exception as error:
                    ended.append(error)

            asking = asyncio.create_task(ask())
            assert await asyncio.to_thread(held.wait, DEADLINE_S)
            async with asyncio.timeout(DEADLINE_S):
                await swarm.stop(giver)
            assert not giver.runs._streams
            assert not [thread for thread in giver.runs._threads._threads if thread.is_alive()]
            go_on.set()
            await asking
            assert [type(error) for error in ended] == [UnreachableError]

    asyncio.run(main())


def test_a_stream_with_bytes_after_its_run_is_not_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not asked for would be taken for the answer to the next run."""

    async def main() -> None:
        async with _pair(tmp_path) as (_, giver, asker, holding):

            def write_more(stream: GivenStream, encoded: bytes | None) -> None:
                assert stream._sealer is not None
                into = memoryview(bytearray(SEALED_MAX_BYTES + HEAD_BYTES))
                end = len(stream._sealer.seal(BLOCK, encoded or b"", into))
                stream._write(into[: end + len(stream._sealer.seal(NOT_HERE, b"", into[end:]))])

            monkeypatch.setattr(giver.runs, "_write", write_more)
            usable: list[bool] = []
            close = RunStream.close

            def see(stream: RunStream) -> None:
                usable.append(stream.is_usable)
                close(stream)

            monkeypatch.setattr(RunStream, "close", see)
            for run in (1, 2):
                answers = [a async for a in asker.fetcher.run(giver.key.peer_id, _request(holding, run, 1))]
                assert [status for status, _ in answers] == [BLOCK]
            assert usable == [False], "the first stream was closed for it"

    asyncio.run(main())


def test_http_and_streams_share_the_port(tmp_path: Path) -> None:
    async def main() -> None:
        async with _pair(tmp_path) as (swarm, giver, asker, holding):
            await asker.channels.connect(giver.key.peer_id)
            answers = [s async for s, _ in asker.fetcher.run(giver.key.peer_id, _request(holding, 1, 1))]
            assert answers == [BLOCK]
            await swarm.pull(asker, "maps/roads:latest", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(tmp_path / "source")

    asyncio.run(main())


def test_an_asker_that_takes_a_trickle_does_not_hold_a_slot_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving, "STALL_TIMEOUT_S", 0.2)
    monkeypatch.setattr(giving, "LEAST_RATE_BYTES_PER_S", 1 << 23)
    ended = threading.Event()
    # TCP, which alone counts the time limit over the whole of a call; with small buffers, so that it waits for us.
    with socket.socket() as listening, socket.socket() as theirs:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        theirs.connect(listening.getsockname())
        with listening.accept()[0] as ours:

            def trickle() -> None:
                while not ended.wait(0.02):
                    theirs.recv(1 << 14)

            taking = threading.Thread(target=trickle)
            taking.start()
            try:
                # Long enough that the other thread has taken something of it, on a busy machine too.
                limit_waits(ours, socket.SO_SNDTIMEO, 1.5)
                stream = GivenStream(ours, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Buffers(1))
                with pytest.raises(TimeoutError, match="next to nothing"):
                    stream._write(memoryview(bytes(4 << 20)))
            finally:
                ended.set()
                taking.join()


def test_an_asker_has_one_deadline_to_shake_hands_and_say_who_it_is() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as theirs,
        listening.accept()[0] as ours,
    ):
        stream = GivenStream(ours, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Buffers(1), opening_s=0.05)
        theirs.sendall(b"\x16\x03\x01")
        with pytest.raises(TimeoutError):
            stream.open()
        stream.close()


@pytest.mark.parametrize("begun", [b"\0", LENGTH.pack(100), LENGTH.pack(100) + bytes(99)])
def test_a_request_that_has_begun_is_whole_soon(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between requests a stream may rest for a minute; a trickle of one holds nobody's thread so long."""
    monkeypatch.setattr(giving, "HEADER_DEADLINE_S", 0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = GivenStream(ours, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Buffers(1))
        theirs.sendall(begun)
        assert stream.next_run(timeout_s=3600.0) is None
