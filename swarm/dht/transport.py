"""The UDP side: datagrams in, bounded and drained; datagrams out, paced.

asyncio-dgram's receive queue has no bound and its ``send`` does not yield, so received datagrams are moved into a
bounded queue at once (what does not fit is dropped and counted) and sends go through a task that gives way to others
between them. Knows nothing of what is in a datagram.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Final, cast

import asyncio_dgram

from swarm.dialable import Dialable, dialable_of
from swarm.http.line import LINE
from swarm.limits import DHT_RECEIVED_MAX, DHT_SENDING_MAX
from swarm.listening import cannot_listen

RECEIVE_BUFFER_BYTES: Final = 2 * 1024 * 1024
# Sends between two yields to the loop; a burst beyond this overflows a receiver's buffer.
SEND_BURST: Final = 16
# asyncio-dgram raises the error of an earlier send instead of sending: how often a datagram is offered again.
SEND_TRIES: Final = 3
MAPPED: Final = "::ffff:"
# Hosts of which it is remembered whether datagrams may go there.
JUDGED_MAX: Final = 4096

log = logging.getLogger("aetherfs.dht")
Peer = tuple[str, int]


class Transport:
    """One bound UDP socket. ``received`` is called for every datagram and must not raise. Nothing is sent to where
    ``dialable`` does not allow, nor to what is no address: asyncio would look up a name, or end the transport.
    """

    def __init__(
        self, stream: asyncio_dgram.DatagramServer, received: Callable[[bytes, Peer], None], dialable: Dialable
    ) -> None:
        self._stream = stream
        self._received = received
        self.may_send_to = lru_cache(JUDGED_MAX)(dialable.allows)
        self._is_v6 = stream.socket.family == socket.AF_INET6
        self._inbox: deque[tuple[bytes, Peer]] = deque()
        self._outbox: deque[tuple[bytes, Peer]] = deque()
        self._in_ready = asyncio.Event()
        self._out_ready = asyncio.Event()
        self.sent = 0
        self.taken = 0
        self.dropped = 0
        # All bytes ever handed to ``send``.
        self.queued_bytes = 0
        self._tasks = [asyncio.create_task(work) for work in (self._drain(), self._handle(), self._send())]

    @classmethod
    async def bind(
        cls,
        host: str,
        port: int,
        received: Callable[[bytes, Peer], None],
        dialable: Dialable | None = None,
        bound: socket.socket | None = None,
    ) -> Transport:
        """Bind a socket, or take over the one that is ``bound``. ConflictError when the port is taken. ``dialable``: by
        default what follows from the host.
        """
        try:
            if bound is None:
                stream = await asyncio_dgram.bind((host, port))
            else:
                stream = cast("asyncio_dgram.DatagramServer", await asyncio_dgram.from_socket(bound))
        except OSError as error:
            raise cannot_listen(host, port, error, over="udp") from error
        with contextlib.suppress(OSError):
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        return cls(stream, received, dialable or dialable_of([str(stream.sockname[0])]))

    @property
    def port(self) -> int:
        return int(self._stream.sockname[1])

    @property
    def host(self) -> str:
        return str(self._stream.sockname[0])

    def send(self, datagram: bytes, peer: Peer) -> None:
        """Queue a datagram; dropped when the queue is full, as a network would, or the address is none."""
        if len(self._outbox) >= DHT_SENDING_MAX or not self._can_be_sent_to(peer):
            self.dropped += 1
            return
        self.queued_bytes += len(datagram)
        self._outbox.append((datagram, peer))
        self._out_ready.set()

    def _can_be_sent_to(self, peer: Peer) -> bool:
        host, port = peer
        return 0 < port <= 65535 and self.may_send_to(host)

    async def _drain(self) -> None:
        while True:
            try:
                datagram, address = cast("tuple[bytes, Peer]", await self._stream.recv())
            except asyncio_dgram.TransportClosed:
                log.error("the DHT's socket was closed by the system: this node is deaf until it starts again")
                return
            except OSError:
                continue  # the error of an earlier send
            LINE.received_datagram(len(datagram), is_v6=_is_v6(address[0]))
            if len(self._inbox) >= DHT_RECEIVED_MAX:
                self.dropped += 1
                continue
            self._inbox.append((datagram, (address[0].removeprefix(MAPPED), address[1])))
            self._in_ready.set()

    async def _handle(self) -> None:
        while True:
            await self._in_ready.wait()
            self._in_ready.clear()
            while self._inbox:
                datagram, peer = self._inbox.popleft()
                self.taken += 1
                self._received(datagram, peer)
                await asyncio.sleep(0)

    async def _send(self) -> None:
        while True:
            await self._out_ready.wait()
            self._out_ready.clear()
            burst = 0
            while self._outbox:
                datagram, (host, port) = self._outbox.popleft()
                await self._send_one(datagram, (MAPPED + host if self._is_v6 and ":" not in host else host, port))
                burst += 1
                if burst % SEND_BURST == 0:
                    await asyncio.sleep(0)

    async def _send_one(self, datagram: bytes, peer: Peer) -> None:
        for _ in range(SEND_TRIES):
            try:
                await self._stream.send(datagram, peer)
            except asyncio_dgram.TransportClosed:
                return
            except (OSError, ValueError, OverflowError) as error:
                log.debug("a datagram to %s: %s", peer, error)
                continue
            self.sent += 1
            LINE.sent_datagram(len(datagram), is_v6=_is_v6(peer[0]))
            return
        self.dropped += 1

    async def close(self) -> None:
        """Send what is queued, then end."""
        if self._outbox:
            await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stream.close()
        await asyncio.sleep(0)


def _is_v6(host: str) -> bool:
    return ":" in host and not host.startswith(MAPPED)
