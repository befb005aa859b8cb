"""A peer that nobody can dial gives what it holds: it is asked over its channel, and dials. What strangers do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from pathlib import Path

import pytest

from swarm.errors import UnreachableError
from swarm.http.tls import GIVE_PROTOCOL, run_client_context
from swarm.identity import server_name_of
from swarm.peer.called import Called
from swarm.peer.node import PeerNode
from swarm.records import Address
from tests.integration.swarm_rig import Swarm, contents, make_tree, run

# Where nobody listens: refused at once.
NOWHERE = (Address("127.0.0.1", 9),)
DEADLINE_S = 20.0


async def _behind_translation(swarm: Swarm, name: str) -> PeerNode:
    """A peer that says that it is where nobody can dial it, and where it is nobody can either."""
    node = await swarm.peer(name)
    node.addresses = lambda: NOWHERE  # type: ignore[method-assign]
    await node.listener.close()
    return node


def test_a_peer_that_cannot_be_dialled_gives_and_takes(tmp_path: Path) -> None:
    source = make_tree(tmp_path / "source", 3, large_bytes=4_000_000)

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            hidden = await _behind_translation(swarm, "hidden")
            await swarm.publish(hidden, source, "maps/roads:latest")
            taker = await swarm.peer("taker")
            for seed in (swarm.seed, swarm.tracker):
                await swarm.stop(seed)
            hidden.resolver.learn(taker.key.peer_id, taker.addresses())
            await hidden.channels.connect(taker.key.peer_id)
            async with asyncio.timeout(DEADLINE_S):
                result = await run(taker, "pull", ref="maps/roads:latest", directory=str(tmp_path / "taken"))
            assert contents(tmp_path / "taken") == contents(source)
            assert result["from"]["origin"] + result["from"]["peers"] == sum(map(len, contents(source).values()))
            assert taker.called.counts[hidden.key.peer_id] >= 1
            assert hidden.traffic.sent[taker.key.peer_id] > 0
            async with asyncio.timeout(DEADLINE_S):  # one may have been asked for that was not needed in the end
                while taker.called._awaited:
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_whoever_was_not_asked_is_not_listened_to(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            taker, other, silent = await swarm.peer("taker"), await swarm.peer("other"), await swarm.peer("silent")
            context = run_client_context(other.home.tls_files, GIVE_PROTOCOL)

            def call() -> bytes:
                address = taker.addresses()[0]
                with socket.create_connection((address.host, address.port), timeout=DEADLINE_S) as plain:
                    name = server_name_of(taker.key.peer_id)
                    with context.wrap_socket(plain, server_hostname=name) as connection:
                        return connection.recv(1)

            # Nobody was asked: it is closed before the handshake.
            with pytest.raises((ssl.SSLError, OSError)):
                await asyncio.to_thread(call)
            # Another was asked: a member that proves to be somebody else is closed after it.
            asked = asyncio.create_task(Called.stream(taker.called, silent.key.peer_id))
            taker.called._ask = lambda peer, message: True
            await asyncio.sleep(0)
            assert await asyncio.to_thread(call) == b""
            assert not asked.done()
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            taker.called._ask = lambda peer, message: False
            with pytest.raises(UnreachableError, match="no channel"):
                await taker.called.stream(silent.key.peer_id)
            assert not taker.called._awaited

    asyncio.run(main())


def test_what_comes_when_nobody_waits_any_more_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            called = (await swarm.peer("taker")).called
            called._ask = lambda peer, message: True
            asking = asyncio.create_task(called.stream("somebody"))
            await asyncio.sleep(0)
            came, far_end = socket.socketpair()
            called._awaited["somebody"][0].set_result(came)  # type: ignore[arg-type]
            asking.cancel()  # before it has heard of it
            await asyncio.gather(asking, return_exceptions=True)
            assert came.fileno() == -1
            far_end.close()

    asyncio.run(main())


@pytest.mark.parametrize("turns", [0, 1], ids=["not begun", "under way"])
def test_a_handshake_that_is_left_when_all_ends_is_broken_off(tmp_path: Path, turns: int) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            called = (await swarm.peer("taker")).called
            called._awaited["somebody"].append(asyncio.get_running_loop().create_future())
            came, silent = socket.socketpair()
            name = os.readlink(f"/proc/self/fd/{came.fileno()}")
            called.accept(came, 3600.0)
            assert called._handshakes
            for _ in range(turns):
                await asyncio.sleep(0)
            await called.close()
            assert name not in open_files()
            silent.close()

    asyncio.run(main())


def open_files() -> set[str]:
    """What this process has open."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


def test_nobody_is_dialled_for_who_has_no_interest_in_anything(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            giver, asker = await swarm.peer("giver"), await swarm.peer("asker")
            giver.resolver.learn(asker.key.peer_id, asker.addresses())
            channel = await giver.channels.connect(asker.key.peer_id)
            called: list[str] = []

            async def note(peer: str) -> None:
                called.append(peer)

            giver.exchange.on_called = note
            giver.exchange._called(channel)
            await asyncio.sleep(0)
            assert called == []
            channel.interests[bytes(32)] = "maps/roads"
            for _ in range(1000):
                giver.exchange._called(channel)
            await asyncio.sleep(0.01)
            assert 1 <= len(called) < 100

    asyncio.run(main())
