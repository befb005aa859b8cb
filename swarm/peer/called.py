"""Streams of runs from peers that cannot be dialled: they are asked, over their channel, to dial us.

Behind address translation a peer reaches others and is reached by nobody. What it holds it gives in a connection
that it makes itself: it offers GIVE_PROTOCOL, and once TLS has shown who is who, all is as on a stream that we dialled.
Nobody is listened to who was not asked: such a connection is closed before its handshake.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from swarm.errors import UnreachableError
from swarm.http.serve import peer_in
from swarm.http.tls import break_off
from swarm.limits import HEADER_DEADLINE_S
from swarm.peer.wire import CallMe

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

# How long a peer has to dial us; as long as dialling one of two addresses in vain.
CALL_DEADLINE_S: Final = 8.0
# Handshakes of those who call, at a time.
HANDSHAKES_MAX: Final = 16

log = logging.getLogger("aetherfs.called")


class Called:
    """Who was asked to dial us. ``ask`` sends a peer the message, and tells whether there is a channel to it."""

    def __init__(self, context: ssl.SSLContext, ask: Callable[[str, CallMe], bool]) -> None:
        self._context = context
        self._ask = ask
        self._awaited: defaultdict[str, deque[asyncio.Future[ssl.SSLSocket]]] = defaultdict(deque)
        self._handshakes: set[asyncio.Future[None]] = set()
        self.counts: Counter[str] = Counter()

    async def stream(self, peer: str) -> ssl.SSLSocket:
        """A connection that the peer has made, on which it gives. UnreachableError when it does not come."""
        coming: asyncio.Future[ssl.SSLSocket] = asyncio.get_running_loop().create_future()
        self._awaited[peer].append(coming)
        try:
            if not self._ask(peer, CallMe()):
                raise UnreachableError(f"peer {peer[:8]} cannot be dialled, and there is no channel to ask it to dial")
            async with asyncio.timeout(CALL_DEADLINE_S):
                found = await coming
        except BaseException as error:
            if coming.done() and not coming.cancelled():
                coming.result().close()  # it came in the very moment in which it was waited for no longer
            if isinstance(error, asyncio.TimeoutError):
                raise UnreachableError(f"peer {peer[:8]} was asked to dial us, and does not") from error
            raise
        finally:
            self._forget(peer, coming)
        self.counts[peer] += 1
        return found

    def _forget(self, peer: str, coming: asyncio.Future[ssl.SSLSocket]) -> None:
        waiting = self._awaited[peer]
        if coming in waiting:
            waiting.remove(coming)
        if not waiting:
            del self._awaited[peer]

    def accept(self, connection: socket.socket, left_s: float = HEADER_DEADLINE_S) -> None:
        """Take over a connection of somebody who wants to give, before its handshake. On the loop."""
        if not self._awaited or len(self._handshakes) >= HANDSHAKES_MAX:
            connection.close()
            return
        shaking = asyncio.ensure_future(self._greet(connection, left_s))
        self._handshakes.add(shaking)
        shaking.add_done_callback(self._handshakes.discard)
        # Of one that was cancelled before it began; what was wrapped is the handshake's.
        shaking.add_done_callback(lambda _: connection.close())

    async def _greet(self, connection: socket.socket, left_s: float) -> None:
        try:
            connection.settimeout(max(0.01, left_s))
            wrapped = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError as error:
            log.debug("somebody who was to give has left: %s", error)
            connection.close()
            return
        shaking = asyncio.get_running_loop().run_in_executor(None, wrapped.do_handshake)
        try:
            await asyncio.shield(shaking)
        except (OSError, asyncio.CancelledError) as error:
            break_off(wrapped)  # the thread ends then, and nobody else holds the connection
            await asyncio.wait([shaking])
            wrapped.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            log.debug("somebody who was to give does not get as far as that: %s", error)
            return
        peer = peer_in(wrapped.getpeercert()) or ""
        waiting = [coming for coming in self._awaited.get(peer, ()) if not coming.done()]
        if waiting:
            waiting[0].set_result(wrapped)
        else:
            wrapped.close()

    async def close(self) -> None:
        for shaking in list(self._handshakes):
            shaking.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)


async def give_to(node: PeerNode, context: ssl.SSLContext, peer: str) -> None:
    """Dial a neighbour that cannot dial us, and give it what it asks for."""
    if not node.runs.has_room(peer):
        return
    try:
        connection = await node.fetcher.dial(peer)
    except UnreachableError as error:
        log.debug("peer %s, who wants to be dialled, is not to be had: %s", peer[:8], error)
        return
    connection.setblocking(True)
    node.runs.give(peer, connection, context)
