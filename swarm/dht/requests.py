"""Requests and answers: what stands between the socket and the rest of a node.

A datagram is opened, and only if it is for this node, timely, not a replay, signed, and from a member, is it acted on;
everything else is dropped and counted. A request is repeated when its answer is late (adaptive, per node) and given up
after that. What a request means is not known here: ``serve`` answers those of others.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nacl.secret import SecretBox

from swarm.dht.keys import node_id, packet_key
from swarm.dht.members import Member, Members
from swarm.dht.seen import Seen, is_timely
from swarm.dht.transport import Peer, Transport
from swarm.dht.wire import (
    ANSWER_FIXED_BYTES,
    ANSWERS,
    ID_BYTES,
    TO_BYTES,
    Body,
    Message,
    Ping,
    Pong,
    Store,
    WhoAreYou,
    check_packet,
    open_packet,
    seal_packet,
)
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import DHT_PACKET_MAX_BYTES
from swarm.trust import Trust

TRIES: Final = 2
# Requests that wait for an answer at one time; more wait to be sent, so that a burst of ours is not taken for loss.
IN_FLIGHT_MAX: Final = 64
# What may go to an address that is not proven, per byte that came from it; a Ping to prove it is counted in.
AMPLIFICATION_MAX: Final = 3

log = logging.getLogger("aetherfs.dht")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that came in. Its answer may have ``limit`` bytes; a credential takes ``credential_bytes`` of them."""

    message: Message
    public: bytes
    sender: bytes
    limit: int
    credential_bytes: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A member was heard: in an answer (which proves its address) or in a request (which does not)."""

    id: bytes
    public: bytes
    peer: Peer
    is_answer: bool
    is_node: bool
    spare_bytes: int


@dataclass(slots=True)
class _Waiting:
    answer: asyncio.Future[Message]
    peer: Peer
    to: bytes
    request: type
    sent_at: float


class Requests:
    """Speaks for one key. ``serve`` answers a request; ``heard`` is told of members; ``is_proven`` knows addresses."""

    def __init__(
        self,
        *,
        key: PeerKey,
        credential: bytes,
        authority: Trust,
        secret: bytes,
        epoch: int,
        client_only: bool,
        wall: Callable[[], float],
        serve: Callable[[Request], Message],
        heard: Callable[[Heard], None],
        is_proven: Callable[[bytes, Peer], bool],
    ) -> None:
        self.id = node_id(secret, key.public)
        self.members = Members(authority)
        self.refused = 0
        self.transport: Transport
        self._key = key
        self._credential = credential
        self._secret = secret
        self._epoch = epoch
        self._box = SecretBox(packet_key(secret))
        self._client_only = client_only
        self._wall = wall
        self._serve = serve
        self._heard = heard
        self._is_proven = is_proven
        self._seen = Seen()
        self._has_warned = False
        self._waiting: dict[bytes, _Waiting] = {}
        self._room = asyncio.Semaphore(IN_FLIGHT_MAX)

    def renew(self, credential: bytes) -> None:
        """Show this credential from now on."""
        self._credential = credential
        self.members.know_us_no_more()

    @property
    def ping_bytes(self) -> int:
        """The length of a Ping with our credential, rounded up."""
        return ANSWER_FIXED_BYTES + 50 + len(self._credential)

    def close(self) -> None:
        for waiting in self._waiting.values():
            waiting.answer.cancel()
        self._waiting.clear()

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def ask(
        self, peer: Peer, to: bytes, message: Message, *, tries: int = TRIES, slow: Callable[[], None] | None = None
    ) -> Message | None:
        """The answer to a request, None if there is none in time. ``to`` is the node's id, empty when it is not known.

        ``slow`` is called when the answer is late, before the request is repeated.
        """
        async with self._room:
            return await self._ask_known(peer, to, message, tries, slow)

    async def _ask_known(
        self, peer: Peer, to: bytes, message: Message, tries: int, slow: Callable[[], None] | None
    ) -> Message | None:
        """Ask; if it has forgotten us, show our credential and ask again."""
        answer = await self._ask(peer, to, message, tries, slow)
        if isinstance(answer, WhoAreYou):
            # A Store has no room for a credential: show that first.
            if isinstance(message, Store) and not isinstance(await self._ask(peer, to, Ping(), 1, None), Pong):
                return None
            answer = await self._ask(peer, to, message, 1, slow)
        return None if isinstance(answer, WhoAreYou) else answer

    async def _ask(
        self, peer: Peer, to: bytes, message: Message, tries: int, slow: Callable[[], None] | None
    ) -> Message | None:
        loop = asyncio.get_running_loop()
        # A full Store leaves no room for a credential: whoever does not know us says so, and is shown it by a Ping.
        has_room = not isinstance(message, Store)
        answer: asyncio.Future[Message] = loop.create_future()
        ids: list[bytes] = []
        try:
            for timeout_s in self.members.timeouts_s(to, tries):
                id = secrets.token_bytes(ID_BYTES)
                ids.append(id)
                self._waiting[id] = _Waiting(answer, peer, to, type(message), loop.time())
                self._send(peer, to, id, message, is_answer=False, with_credential=has_room and not self._knows_us(to))
                await asyncio.wait([answer], timeout=timeout_s)
                if answer.done() and not answer.cancelled():
                    return answer.result()
                if slow is not None:
                    slow()
        finally:
            for id in ids:
                self._waiting.pop(id, None)
        return None

    def _knows_us(self, id: bytes) -> bool:
        member = self.members.get(id) if id else None
        return member is not None and member.knows_us

    def _send(
        self, peer: Peer, to: bytes, id: bytes, message: Message, *, is_answer: bool, with_credential: bool
    ) -> None:
        body = Body(
            format=1,
            to=to[:TO_BYTES],
            wall_ms=max(0, int(self._wall() * 1000)),
            id=id,
            is_answer=is_answer,
            is_node=not self._client_only,
            public=self._key.public,
            credential=self._credential if with_credential else b"",
            message=message,
        )
        self.transport.send(seal_packet(self._box, self._key, body, epoch=self._epoch), peer)

    # ---- what comes in ----------------------------------------------------------------------------------------------

    def received(self, datagram: bytes, peer: Peer) -> None:
        """Open and act on a datagram. Whatever is wrong with it, it is dropped and counted."""
        try:
            packet, body = open_packet(self._box, datagram, epoch=self._epoch)
            sender = node_id(self._secret, body.public)
            wall_now = self._wall()
            self._check_address(body, sender, wall_now)
            waiting = self._waiting_for(body, sender, peer) if body.is_answer else None
            if waiting is None and not self._seen.is_new(body.public, body.id, wall_now):
                raise RemoteProtocolError("a request was taken before")
            check_packet(packet, body)
            if waiting is None:
                self._seen.remember(body.public, body.id, wall_now)
            member = self.members.admit(sender, body.public, body.credential, wall_now)
            if waiting is not None:
                self._answered(body, sender, peer, member, waiting)
            elif member is None:
                self._ask_who(body, sender, peer, len(datagram))
            else:
                self._requested(body, sender, peer, member, len(datagram))
        except RemoteProtocolError as error:
            self.refused += 1
            log.debug("a datagram from %s is dropped: %s", peer, error)
        except LocalProtocolError:
            self.refused += 1
            log.exception("a datagram from %s cannot be answered", peer)

    def _check_address(self, body: Body, sender: bytes, wall_now: float) -> None:
        """To us, now, and not from ourselves. Only a Ping may be to whom it concerns."""
        if body.to != self.id[:TO_BYTES] and (body.to or not isinstance(body.message, Ping) or body.is_answer):
            raise RemoteProtocolError("a packet is for somebody else")
        if sender == self.id:
            raise RemoteProtocolError("a packet of our own came back")
        if not is_timely(body.wall_ms, wall_now):
            if not self._has_warned:
                self._has_warned = True
                off_s = body.wall_ms / 1000 - wall_now
                log.warning(
                    "the clock of %s is %.0f s off ours: with wrong clocks the DHT does not work",
                    sender.hex()[:8],
                    off_s,
                )
            raise RemoteProtocolError("a packet is old, or from the future: check the clocks")
        if not body.is_answer and type(body.message) not in ANSWERS:
            raise RemoteProtocolError("an answer is sent as a request")

    def _waiting_for(self, body: Body, sender: bytes, peer: Peer) -> _Waiting:
        waiting = self._waiting.get(body.id)
        if waiting is None or waiting.peer != peer or (waiting.to and waiting.to != sender):
            raise RemoteProtocolError("an answer to nothing that was asked of its sender")
        if type(body.message) not in ANSWERS[waiting.request]:
            raise RemoteProtocolError("an answer of the wrong kind")
        return waiting

    def _answered(self, body: Body, sender: bytes, peer: Peer, member: Member | None, waiting: _Waiting) -> None:
        if member is None:
            raise RemoteProtocolError("an answer from somebody who does not show to be a member")
        if isinstance(body.message, WhoAreYou):
            member.knows_us = False
        else:
            now = asyncio.get_running_loop().time()
            self.members.answered(sender, member, now - waiting.sent_at, now)
            self._heard(Heard(sender, body.public, peer, True, body.is_node, 0))
        if not waiting.answer.done():
            waiting.answer.set_result(body.message)

    def _ask_who(self, body: Body, sender: bytes, peer: Peer, request_bytes: int) -> None:
        """A request of somebody who is not known to be a member: let it show its credential, if it has not tried to."""
        if body.credential:
            raise RemoteProtocolError("a request from somebody who is not a member")
        if ANSWER_FIXED_BYTES + len(self._credential) <= request_bytes * AMPLIFICATION_MAX:
            self._send(peer, sender, body.id, WhoAreYou(), is_answer=True, with_credential=True)

    def _requested(self, body: Body, sender: bytes, peer: Peer, member: Member, request_bytes: int) -> None:
        if body.credential:
            # It thinks that we do not know it: perhaps it started anew, and does not know us either.
            member.knows_us = False
        allowed = request_bytes * AMPLIFICATION_MAX
        is_proven = self._is_proven(sender, peer)
        shown = 0 if member.knows_us else len(self._credential)
        limit = DHT_PACKET_MAX_BYTES if is_proven else min(DHT_PACKET_MAX_BYTES, allowed)
        answer = self._serve(Request(body.message, body.public, sender, limit, shown))
        before = self.transport.queued_bytes
        self._send(peer, sender, body.id, answer, is_answer=True, with_credential=bool(shown))
        spent = self.transport.queued_bytes - before
        self._heard(Heard(sender, body.public, peer, False, body.is_node, 0 if is_proven else allowed - spent))

    def start(self, transport: Transport) -> None:
        """Use this transport, whose datagrams come to ``received``."""
        self.transport = transport
