"""Streams of runs from the giving side: limits, strangers, askers that leave, and the end of the peer."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from swarm import canonical
from swarm.http import doors
from swarm.http.tls import run_client_context
from swarm.identity import server_name_of
from swarm.peer import serve
from swarm.peer.node import PeerNode
from swarm.peer.wire import BLOCK, FRAME, LENGTH, NOT_HERE, REFUSED, RunHead, RunRequest, framed
from tests.integration.swarm_rig import Swarm, contents, make_tree

DEADLINE_S = 20.0


def connect(asker: PeerNode, giver: PeerNode) -> ssl.SSLSocket:
    """A stream, shaken hands, before its head."""
    address = giver.addresses()[0]
    plain = socket.create_connection((address.host, address.port), timeout=DEADLINE_S)
    context = run_client_context(asker.home.tls_files)
    return context.wrap_socket(plain, server_hostname=server_name_of(giver.key.peer_id))


def head(asker: PeerNode) -> bytes:
    return framed(canonical.encode(RunHead(1, asker.papers.grant)))


def frame(stream: ssl.SSLSocket) -> tuple[int, bytes]:
    """Status and payload of the next answer."""
    status, length = FRAME.unpack(exactly(stream, FRAME.size))
    return status, exactly(stream, length)


def exactly(stream: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        assert more, "the stream ended"
        data += more
    return data


def request(giver: PeerNode, run: int, signatures: tuple[bytes, ...], version: bytes) -> bytes:
    entry = giver.ledger.entry_of_version("maps/roads", version) or b""
    return framed(canonical.encode(RunRequest(1, run, "maps/roads", version, entry, False, signatures)))


def swarm_of_two(tmp_path: Path, check: Callable[[Swarm, PeerNode, PeerNode, bytes], None]) -> None:
    """Run ``check`` in a thread on a giver that has published, an asker, and the version."""

    async def main() -> None:
        source = make_tree(tmp_path / "source", 5)
        async with Swarm(tmp_path) as swarm:
            giver, asker = await swarm.peer("giver"), await swarm.peer("asker")
            told = await swarm.publish(giver, source, "maps/roads:latest")
            await asyncio.to_thread(check, swarm, giver, asker, bytes.fromhex(told["version"]))
            # Whatever was done to it, it still gives.
            await swarm.pull(asker, "maps/roads:latest", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(source)

    asyncio.run(main())


def test_a_root_is_given_and_a_block_of_nothing_is_not_here(tmp_path: Path) -> None:
    def check(swarm: Swarm, giver: PeerNode, asker: PeerNode, version: bytes) -> None:
        with closing(connect(asker, giver)) as stream:
            stream.sendall(head(asker) + request(giver, 1, (version, bytes(32)), version))
            status, payload = frame(stream)
            assert (status, bool(payload)) == (BLOCK, True)
            assert frame(stream) == (NOT_HERE, b"")

    swarm_of_two(tmp_path, check)


@pytest.mark.parametrize(
    "garbage",
    [LENGTH.pack(1 << 30), framed(b"\xc1" * 40), framed(b"")],
    ids=["too long", "no message", "empty"],
)
def test_what_is_no_request_ends_the_stream_with_a_reason(garbage: bytes, tmp_path: Path) -> None:
    def check(swarm: Swarm, giver: PeerNode, asker: PeerNode, version: bytes) -> None:
        with closing(connect(asker, giver)) as stream:
            stream.sendall(head(asker) + garbage)
            status, reason = frame(stream)
            assert status == REFUSED
            assert reason
            assert stream.recv(1) == b""

    swarm_of_two(tmp_path, check)


def test_a_stream_too_many_is_refused_and_one_that_ends_makes_room(tmp_path: Path) -> None:
    def check(swarm: Swarm, giver: PeerNode, asker: PeerNode, version: bytes) -> None:
        asked = head(asker) + request(giver, 1, (bytes(32),), version)
        streams = [connect(asker, giver) for _ in range(serve.STREAMS_PER_PEER_MAX + 1)]
        for stream in streams[:-1]:
            stream.sendall(asked)
            assert frame(stream)[0] == NOT_HERE
        streams[-1].sendall(asked)
        assert frame(streams[-1])[0] == REFUSED
        for stream in streams:
            stream.close()
        while giver.runs._per_peer:
            time.sleep(0.01)
        with closing(connect(asker, giver)) as again:
            again.sendall(asked)
            assert frame(again)[0] == NOT_HERE

    swarm_of_two(tmp_path, check)


def test_an_asker_that_leaves_in_the_middle_of_a_block_leaves_nothing_behind(tmp_path: Path) -> None:
    def check(swarm: Swarm, giver: PeerNode, asker: PeerNode, version: bytes) -> None:
        holding = giver.holdings.get("maps/roads", version)
        assert holding is not None
        blocks = tuple(block.signature for block in holding.manifest.unique)[:8]
        for run in range(20):
            stream = connect(asker, giver)
            stream.sendall(head(asker) + request(giver, run, blocks, version))
            stream.recv(1)
            stream.close()
        while giver.runs._streams:
            time.sleep(0.01)
        giver.runs._turns._uploads.check_invariants()
        assert not giver.runs._turns._gates

    swarm_of_two(tmp_path, check)


def test_connections_that_say_nothing_or_nonsense_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "HEADER_DEADLINE_S", 0.3)

    def check(swarm: Swarm, giver: PeerNode, asker: PeerNode, version: bytes) -> None:
        address = giver.addresses()[0]
        rng = random.Random(1)
        for first in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", rng.randbytes(9000)):
            with socket.create_connection((address.host, address.port), timeout=DEADLINE_S) as plain:
                plain.sendall(first)
                try:
                    while plain.recv(4096):
                        pass
                except ConnectionResetError:
                    continue

    swarm_of_two(tmp_path, check)


def test_the_end_of_a_peer_ends_streams_that_wait(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 6)
        async with Swarm(tmp_path) as swarm:
            giver, asker = await swarm.peer("giver"), await swarm.peer("asker")
            await swarm.publish(giver, source, "maps/roads:latest")
            stream = await asyncio.to_thread(connect, asker, giver)
            await asyncio.to_thread(stream.sendall, head(asker))
            await swarm.stop(giver)
            with closing(stream):
                assert await asyncio.to_thread(read_to_end, stream) == b""

    asyncio.run(main())


def read_to_end(stream: ssl.SSLSocket) -> bytes:
    try:
        return stream.recv(1)
    except (ConnectionResetError, ssl.SSLEOFError):
        return b""
