"""The socket of a DHT node: bounded queues, bad addresses, and errors that do not cost the next datagram."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from swarm.dht.transport import Peer, Transport
from swarm.limits import DHT_RECEIVED_MAX
from tests.integration.dht_rig import until


@asynccontextmanager
async def bound(received: Callable[[bytes, Peer], None]) -> AsyncIterator[Transport]:
    transport = await Transport.bind("127.0.0.1", 0, received)
    try:
        yield transport
    finally:
        await transport.close()


def test_what_comes_faster_than_it_is_taken_is_dropped_and_counted() -> None:
    async def main() -> None:
        got: list[bytes] = []
        async with bound(lambda datagram, peer: got.append(datagram)) as transport:
            queue = transport._stream._recvq  # type: ignore[attr-defined]
            for number in range(DHT_RECEIVED_MAX + 1000):
                queue.put_nowait((b"%d" % number, ("127.0.0.1", 1)))
            await until(lambda: transport.taken + transport.dropped == DHT_RECEIVED_MAX + 1000)
            assert transport.dropped == 1000
            assert got[0] == b"0"

    asyncio.run(main())


@pytest.mark.parametrize(
    "peer", [("256.1.1.1", 1), ("127.0.0.1", 0), ("127.0.0.1", 70000), ("fe80::1", 9), ("x", 1), ("fe80::1%a\0", 9)]
)
def test_a_datagram_that_cannot_be_sent_does_not_stop_the_next(peer: Peer) -> None:
    async def main() -> None:
        got: list[bytes] = []
        async with bound(lambda datagram, _: got.append(datagram)) as one, bound(lambda *_: None) as two:
            for _ in range(3):
                two.send(b"lost", peer)
            two.send(b"arrives", ("127.0.0.1", one.port))
            await until(lambda: got == [b"arrives"])

    asyncio.run(main())


def test_a_closed_transport_takes_what_is_sent_and_does_nothing() -> None:
    async def main() -> None:
        async with bound(lambda *_: None) as transport:
            pass
        transport.send(b"x", ("127.0.0.1", 9))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
