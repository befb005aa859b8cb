"""The port of a peer: connections that say nothing, or nonsense, are let go, and it still serves."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from pathlib import Path

import pytest

from swarm.http import doors, serve
from swarm.http.hello import offered
from swarm.http.patience import USUAL, Deadlines
from swarm.http.visits import Visit, Visits
from tests.integration.swarm_rig import Swarm, contents, make_tree

DEADLINE_S = 20.0


def test_a_hello_that_never_ends_is_looked_at_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []

    def look(data: bytes) -> tuple[bytes, ...]:
        looks.append(data)
        return offered(data)

    monkeypatch.setattr(doors, "offered", look)

    def bother(host: str, port: int) -> None:
        with socket.create_connection((host, port), timeout=DEADLINE_S) as plain:
            plain.sendall(b"\x16\x03\x01")
            with contextlib.suppress(ConnectionResetError):
                assert plain.recv(1) == b""

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            monkeypatch.setattr(serve, "USUAL", Deadlines(head_s=2.0))  # of the peer's listeners alone
            peer = await swarm.peer("peer")
            looks.clear()
            await asyncio.to_thread(bother, peer.addresses()[0].host, peer.addresses()[0].port)

    asyncio.run(main())
    assert 1 <= looks.count(b"\x16\x03\x01") <= 10


def test_connections_that_say_nothing_or_nonsense_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bother(host: str, port: int) -> None:
        for first in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", random.Random(1).randbytes(9000)):
            with socket.create_connection((host, port), timeout=DEADLINE_S) as plain:
                plain.sendall(first)
                with contextlib.suppress(ConnectionResetError):
                    while plain.recv(4096):
                        pass

    async def main() -> None:
        source = make_tree(tmp_path / "source", 5)
        async with Swarm(tmp_path) as swarm:
            asker = await swarm.peer("asker")
            with monkeypatch.context() as patched:
                patched.setattr(serve, "USUAL", Deadlines(head_s=0.3))
                giver = await swarm.peer("giver")
            await swarm.publish(giver, source, "maps/roads:latest")
            address = giver.addresses()[0]
            await asyncio.to_thread(bother, address.host, address.port)
            await swarm.pull(asker, "maps/roads:latest", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(source)

    asyncio.run(main())


def test_who_is_sent_away_before_anybody_has_looked_at_it_is_let_go() -> None:
    async def main() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        door = doors.Doors([listening], Visits(4, USUAL), never, {})
        mine, theirs = socket.socketpair()
        with theirs:
            door._let_in(mine, "127.0.0.1")
            await door.close()  # at once: nothing has begun
            assert mine.fileno() == -1

    async def never(connection: socket.socket, visit: Visit) -> None:
        raise AssertionError(f"{visit} was looked at")

    asyncio.run(main())
