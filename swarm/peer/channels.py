"""Channels: one WebSocket per pair of peers, for everything that is not block bytes.

Either side may dial; of two dialled at once, the one from the lower peer id stays. The first message each way is a
Hello, checked against the certificate of the connection. A channel that is too slow for its messages, or sends what the
protocol does not allow, is closed, and the peer blamed for the latter. What the messages mean is the exchange's
business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
from aiohttp import web

from swarm import canonical, clock
from swarm.errors import AetherError, NotAllowedError, RemoteProtocolError, UnreachableError
from swarm.http.resolver import PeerResolver
from swarm.http.serve import caller_of
from swarm.identity import public_of, server_name_of
from swarm.limits import CHANNEL_MESSAGE_MAX_BYTES
from swarm.peer.access import Access, Caller
from swarm.peer.addresses import WILDCARDS
from swarm.peer.budget import Budget
from swarm.peer.sites import Sites
from swarm.peer.wire import (
    CHANNEL_PATH,
    OUR_VERSIONS,
    SINCE_2,
    SINCE_3,
    SINCE_4,
    SINCE_5,
    SINCE_6,
    SINCE_7,
    Hello,
    Message,
)
from swarm.records import Address, Credential, Role, open_sealed

HELLO_DEADLINE_S: Final = 10.0
DIAL_DEADLINE_S: Final = 8.0
PART_DEADLINE_S: Final = 2.0
CLOSE_DEADLINE_S: Final = 0.5
HEARTBEAT_S: Final = 10.0
QUEUE_MAX: Final = 4096
# Messages of neighbour exchange that are looked at, of one channel: each costs checks of seals.
TOLD_RATE: Final = 0.5
TOLD_BURST: Final = 8
# Parts of manifests that are looked for, of one channel.
SHOWN_RATE: Final = 20.0
SHOWN_BURST: Final = 64
CHANNELS_MAX: Final = 256
BAN_S: Final = 600.0

# From which version on a channel carries what.
SINCE: Final = {2: SINCE_2, 3: SINCE_3, 4: SINCE_4, 5: SINCE_5, 6: SINCE_6, 7: SINCE_7}

log = logging.getLogger("aetherfs.channel")
WebSocket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class Events(Protocol):
    """Whom channels report to."""

    def opened(self, channel: Channel) -> None: ...
    def closed(self, channel: Channel) -> None: ...
    def heard(self, channel: Channel) -> None: ...
    def received(self, channel: Channel, message: Message) -> None: ...


@dataclass(eq=False, slots=True)
class Channel:
    """An open channel. ``interests`` are the versions that the far end wants news of, with their datasets.

    ``near``: the far end is in our own site, set or seen. ``location``: where it is, by its own seal, to be passed on.
    """

    peer_id: str
    socket: WebSocket
    dialled: bool
    caller: Caller
    role: Role
    interests: dict[bytes, str] = field(default_factory=dict)
    outbox: asyncio.Queue[Message | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_MAX))
    overflowed: bool = False
    near: bool = False
    version: int = OUR_VERSIONS[1]
    location: bytes = b""
    # It came from elsewhere than where it says that it listens: behind address translation nobody can dial it.
    is_translated: bool = False
    # A grant that the far end showed and that proves nothing here: its key may be one that we have not heard of yet.
    unproved: bytes = b""
    told: Budget = field(default_factory=lambda: Budget(TOLD_RATE, TOLD_BURST))
    shown: Budget = field(default_factory=lambda: Budget(SHOWN_RATE, SHOWN_BURST))

    def send(self, message: Message) -> None:
        """Queue a message; a peer that does not read them loses the channel. What an older peer would not know is not
        sent.
        """
        if not any(self.version < since and isinstance(message, kinds) for since, kinds in SINCE.items()):
            self._queue(message)

    def ping(self) -> None:
        """Queue a ping, which WebSocket answers whatever its version: ``None`` in the outbox."""
        self._queue(None)

    def _queue(self, message: Message | None) -> None:
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.overflowed = True

    def may_tell(self, now: float) -> bool:
        """Whether one more message of neighbour exchange is looked at."""
        return self.told.take(now)

    def __repr__(self) -> str:
        return f"<Channel {self.peer_id[:8]} {self.role}>"


class Channels:
    """All channels of this peer. ``hello`` makes our Hello."""

    def __init__(
        self,
        own_id: str,
        hello: Callable[[], Hello],
        access: Access,
        session: aiohttp.ClientSession,
        resolver: PeerResolver,
        events: Events,
        sites: Sites,
    ) -> None:
        self.open: dict[str, Channel] = {}
        self._own_id = own_id
        self._hello = hello
        self._access = access
        self._session = session
        self._resolver = resolver
        self._events = events
        self._sites = sites
        self._dialling: dict[str, asyncio.Task[Channel]] = {}
        self._serving: set[asyncio.Task[Any]] = set()
        self._banned: dict[str, float] = {}
        self._is_closing = False

    def banned(self) -> int:
        """How many are left alone now."""
        return sum(1 for until in self._banned.values() if until > time.monotonic())

    def ban(self, peer_id: str, reason: str) -> None:
        """Have nothing to do with a peer for a while: it sent what no honest peer sends."""
        log.warning("peer %s is left alone for %d s: %s", peer_id[:8], BAN_S, reason)
        self._banned[peer_id] = time.monotonic() + BAN_S
        channel = self.open.get(peer_id)
        if channel is not None:
            self._drop(channel)

    def learn(self, peer_id: str, addresses: tuple[Address, ...], *, said_at: float | None = None) -> None:
        """Where a peer is said to be, by a signed record. What an open channel has shown stands."""
        if peer_id not in self.open:
            self._resolver.learn(peer_id, addresses, said_at)

    def send_to(self, peer_id: str, message: Message) -> bool:
        """Send a peer a message, if there is a channel to it: whether there is."""
        channel = self.open.get(peer_id)
        if channel is not None:
            channel.send(message)
        return channel is not None

    def is_translated(self, peer_id: str) -> bool:
        """Whether a peer was seen to be where nobody can dial it."""
        channel = self.open.get(peer_id)
        return channel is not None and channel.is_translated

    def is_banned(self, peer_id: str) -> bool:
        return self._banned.get(peer_id, 0.0) > time.monotonic()

    def _may_meet(self, peer_id: str) -> bool:
        return not self.is_banned(peer_id) and not self._access.is_removed(peer_id)

    def drop(self, peer_id: str) -> None:
        """Close the channel to a peer, if there is one: it is a member no more."""
        channel = self.open.get(peer_id)
        if channel is not None:
            self._drop(channel)

    async def connect(self, peer_id: str) -> Channel:
        """The channel to a peer, dialled if there is none. UnreachableError, RemoteProtocolError."""
        existing = self.open.get(peer_id)
        if existing is not None:
            return existing
        if peer_id == self._own_id or self._is_closing or not self._may_meet(peer_id):
            raise NotAllowedError(f"peer {peer_id[:8]} is not to be dialled")
        if len(self.open) >= CHANNELS_MAX:
            raise UnreachableError("this peer has as many channels open as it may")
        task = self._dialling.get(peer_id)
        if task is None:
            task = self._dialling[peer_id] = asyncio.create_task(self._dial(peer_id))
            task.add_done_callback(lambda done: self._dialled(peer_id, done))
        return await asyncio.shield(task)

    def _dialled(self, peer_id: str, task: asyncio.Task[Channel]) -> None:
        self._dialling.pop(peer_id, None)
        if not task.cancelled():
            task.exception()  # whoever awaited it has it; a dial that nobody awaits any more may fail unseen

    async def _dial(self, peer_id: str) -> Channel:
        try:
            async with asyncio.timeout(DIAL_DEADLINE_S):
                socket = await self._session.ws_connect(
                    f"https://{server_name_of(peer_id)}{CHANNEL_PATH}",
                    autoping=False,
                    heartbeat=HEARTBEAT_S,
                    max_msg_size=CHANNEL_MESSAGE_MAX_BYTES,
                )
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise UnreachableError(f"peer {peer_id[:8]} cannot be reached: {error or type(error).__name__}") from error
        try:
            channel = await self._greet(peer_id, socket, dialled=True)
        except BaseException:
            await socket.close()
            raise
        if self._admit(channel):
            task = asyncio.create_task(self._pump(channel))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            return channel
        await socket.close()
        return self.open[peer_id]

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """The route of incoming channels."""
        peer_id = caller_of(request)
        if peer_id is None or peer_id == self._own_id or not self._may_meet(peer_id):
            raise NotAllowedError("no channel for this caller")
        if self._is_closing or len(self.open) >= CHANNELS_MAX:
            raise NotAllowedError("no channel for this caller")
        # Not compressed: messages are short, and a little of what a peer sends must not become a lot here.
        socket = web.WebSocketResponse(
            autoping=False, heartbeat=HEARTBEAT_S, max_msg_size=CHANNEL_MESSAGE_MAX_BYTES, compress=False
        )
        await socket.prepare(request)
        try:
            channel = await self._greet(peer_id, socket, dialled=False)
        except AetherError as error:
            log.info("a channel from %s was refused: %s", peer_id[:8], error)
            await socket.close(message=str(error).encode()[:120])
            return socket
        if self._admit(channel):
            await self._pump(channel)
        else:
            await socket.close()
        return socket

    async def _greet(self, peer_id: str, socket: WebSocket, *, dialled: bool) -> Channel:
        await socket.send_bytes(canonical.encode(self._hello()))
        try:
            async with asyncio.timeout(HELLO_DEADLINE_S):
                first = await socket.receive()
        except asyncio.TimeoutError as error:
            raise UnreachableError(f"peer {peer_id[:8]} does not say hello") from error
        if first.type is not aiohttp.WSMsgType.BINARY:
            raise UnreachableError(f"peer {peer_id[:8]} closed the channel")
        hello = _decode(first.data)
        if not isinstance(hello, Hello):
            raise RemoteProtocolError(f"peer {peer_id[:8]} does not begin with hello")
        version = canonical.agree_version((hello.lowest, hello.highest), OUR_VERSIONS)
        wall_now = clock.wall_now()
        credential = open_sealed(hello.credential, Credential, authority=self._access.authority, wall_now=wall_now)
        if credential.public != public_of(peer_id):
            raise RemoteProtocolError(f"peer {peer_id[:8]} shows another member's credential")
        if hello.addresses and not dialled:
            self._resolver.learn(peer_id, _reachable(hello.addresses, socket))
        caller = self._access.caller(peer_id, hello.grant, wall_now)
        channel = Channel(peer_id, socket, dialled, caller, credential.role, version=version)
        said = {address.host for address in hello.addresses} - set(WILDCARDS)
        channel.is_translated = not dialled and bool(said) and _host(socket, "peername") not in said
        channel.near = self._sites.is_near(
            peer_id, credential.site, _host(socket, "peername"), _host(socket, "sockname")
        )
        return channel

    def _admit(self, channel: Channel) -> bool:
        """Make this the channel of its peer, or not: of two, the one that the lower id dialled stays."""
        existing = self.open.get(channel.peer_id)
        if existing is not None:
            ours_wins = self._own_id < channel.peer_id
            if existing.dialled != channel.dialled and existing.dialled == ours_wins:
                return False
            self._drop(existing)
        self.open[channel.peer_id] = channel
        self._events.opened(channel)
        return True

    async def _pump(self, channel: Channel) -> None:
        """Carry messages both ways until the channel ends."""
        writer = asyncio.create_task(self._write(channel))
        try:
            async for data in channel.socket:
                self._events.heard(channel)
                if data.type is aiohttp.WSMsgType.BINARY:
                    self._events.received(channel, _decode(data.data))
                elif data.type is aiohttp.WSMsgType.PING:
                    await self._pong(channel, data.data)
                elif data.type is aiohttp.WSMsgType.ERROR and not isinstance(data.data, aiohttp.WebSocketError):
                    break  # the connection is lost, or a heartbeat was missed: nobody's fault
                elif data.type is not aiohttp.WSMsgType.PONG:
                    raise RemoteProtocolError("a channel carries binary messages only")
                if channel.overflowed:
                    break
        except RemoteProtocolError as error:
            self.ban(channel.peer_id, str(error))
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            self._drop(channel)
            await channel.socket.close()

    async def _pong(self, channel: Channel, data: bytes) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await channel.socket.pong(data)

    async def _write(self, channel: Channel) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            while True:
                message = await channel.outbox.get()
                if message is None:
                    await channel.socket.ping()
                else:
                    await channel.socket.send_bytes(canonical.encode(message))
                channel.outbox.task_done()

    async def part(self, channel: Channel) -> None:
        """Close a channel in friendship: what was queued for it is sent first, if it takes that."""
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(PART_DEADLINE_S):
                await channel.outbox.join()
        self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        if self.open.get(channel.peer_id) is channel:
            del self.open[channel.peer_id]
            self._events.closed(channel)
            task = asyncio.ensure_future(channel.socket.close())
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        """Close every channel, when what was queued is sent, and wait until each is; not for ends that are silent."""
        self._is_closing = True
        for task in list(self._dialling.values()):
            task.cancel()
        flushing = [asyncio.create_task(channel.outbox.join()) for channel in self.open.values()]
        await _within(CLOSE_DEADLINE_S, flushing)
        for channel in list(self.open.values()):
            self._drop(channel)
        await _within(CLOSE_DEADLINE_S, [*self._serving, *self._dialling.values()])


async def _within(seconds: float, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Wait for tasks to end, and cancel those that do not in time."""
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _decode(data: bytes) -> Message:
    message: Message = canonical.decode(data, Message, limit_bytes=CHANNEL_MESSAGE_MAX_BYTES, what="a channel message")  # type: ignore[arg-type]
    return message


def _host(socket: WebSocket, end: str) -> str:
    """The address of an end of the connection, or nothing."""
    found = socket.get_extra_info(end)
    return str(found[0]) if found else ""


def _reachable(addresses: tuple[Address, ...], socket: WebSocket) -> tuple[Address, ...]:
    """A peer that listens on every interface states a wildcard: it is where the connection came from."""
    seen = _host(socket, "peername")
    return tuple(Address(seen, a.port) if a.host in ("0.0.0.0", "::") and seen else a for a in addresses)
