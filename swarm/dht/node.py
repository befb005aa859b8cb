"""A DHT node: requests and answers over the transport, the routing table, lookups, announces.

Every packet is opened, checked for freshness and membership, and only then acted on; a node enters the routing table
when a packet of its own came from its address. What other nodes say of third ones are candidates to be asked, nothing
more.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kademlia.node import Node
from kademlia.routing import RoutingTable
from nacl.secret import SecretBox

from swarm.dht.batch import Record, check_record, sign_batch
from swarm.dht.keys import node_id, packet_key
from swarm.dht.lookup import Lookup
from swarm.dht.members import Members, RoundTrip, Seen
from swarm.dht.records import LIFETIME_MAX_S, RecordStore
from swarm.dht.state import load_contacts, save_contacts
from swarm.dht.sweep import REGION_WIDTH, REPLICAS, assign, batches, in_region, region_bits
from swarm.dht.transport import Peer, Transport
from swarm.dht.wire import (
    CONTACTS_MAX,
    PACKET_MAX_BYTES,
    PADDED_BYTES,
    REQUESTS,
    TO_BYTES,
    Body,
    Contact,
    FindNode,
    Found,
    Message,
    Ping,
    Pong,
    Store,
    WhoAreYou,
    keys_per_packet,
    open_packet,
    seal_packet,
)
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey, peer_id_of
from swarm.records import Address

K: Final = 8
TRIES: Final = 2
FAILURES_MAX: Final = 2
SWEEP_INTERVAL_S: Final = 1800.0
MAINTENANCE_S: Final = 60.0
STORES_AT_ONCE: Final = 8
RECORDS_PER_ANSWER: Final = 3

log = logging.getLogger("aetherfs.dht")


@dataclass(frozen=True, slots=True)
class Provider:
    """Who says, under its own signature, that it has what a key stands for."""

    peer_id: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class DhtStatus:
    """Nodes in the routing table, records kept for others, packets since the start."""

    nodes: int
    records: int
    packets_sent: int
    packets_received: int
    dropped: int


@dataclass(slots=True)
class _Pending:
    answer: asyncio.Future[Message]
    peer: Peer
    id: bytes
    sent_at: float
    message: Message


class DhtNode:
    """One node. Use ``start``."""

    def __init__(
        self,
        *,
        key: PeerKey,
        credential: bytes,
        authority: bytes,
        secret: bytes,
        addresses: Callable[[], tuple[Address, ...]],
        state_path: Path | None,
        client_only: bool,
        rng: random.Random,
        wall: Callable[[], float],
    ) -> None:
        self.id = node_id(secret, key.public)
        self.key = key
        self.records = RecordStore()
        self._credential = credential
        self._secret = secret
        self._box = SecretBox(packet_key(secret))
        self._addresses = addresses
        self._state_path = state_path
        self._client_only = client_only
        self._rng = rng
        self._wall = wall
        self._members = Members(authority)
        self._seen = Seen()
        self._table = RoutingTable(self, K, Node(self.id))
        self._contacts: dict[bytes, Contact] = {}
        self._round_trips: dict[bytes, RoundTrip] = {}
        self._knows_us: set[bytes] = set()
        self._pending: dict[bytes, _Pending] = {}
        self._sequence = 0
        self._sweep: tuple[bytes, ...] = ()
        self._sweep_changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.refused = 0

    @classmethod
    async def start(
        cls,
        *,
        host: str,
        port: int,
        key: PeerKey,
        credential: bytes,
        authority: bytes,
        secret: bytes,
        addresses: Callable[[], tuple[Address, ...]],
        state_path: Path | None = None,
        client_only: bool = False,
        rng: random.Random,
        wall: Callable[[], float] = time.time,
    ) -> DhtNode:
        """Bind host:port and begin. ``addresses`` are what this node's own records say; ``credential`` is its
        sealed one.
        """
        node = cls(
            key=key,
            credential=credential,
            authority=authority,
            secret=secret,
            addresses=addresses,
            state_path=state_path,
            client_only=client_only,
            rng=rng,
            wall=wall,
        )
        node._transport = await Transport.bind(host, port, node._received)
        node._start(node._maintain())
        node._start(node._keep_swept())
        return node

    _transport: Transport

    @property
    def port(self) -> int:
        return self._transport.port

    def status(self) -> DhtStatus:
        transport = self._transport
        return DhtStatus(
            nodes=len(self._contacts),
            records=self.records.count,
            packets_sent=transport.sent,
            packets_received=transport.taken,
            dropped=transport.dropped + self.refused,
        )

    def renew(self, credential: bytes) -> None:
        """Show a fresh credential from now on."""
        self._credential = credential
        self._knows_us.clear()

    async def close(self) -> None:
        """Save what is known, end everything."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pending in self._pending.values():
            pending.answer.cancel()
        await self._transport.close()
        if self._state_path is not None:
            await asyncio.to_thread(save_contacts, self._state_path, list(self._contacts.values()))

    # ---- finding and announcing ---------------------------------------------------------------------------------

    async def bootstrap(self, seeds: Sequence[str]) -> int:
        """Get to know the network from ``host:port`` texts and what was saved. The number of nodes known."""
        resolved = await asyncio.gather(*map(_resolve, seeds))
        peers = dict.fromkeys(peer for found in resolved for peer in found)
        if self._state_path is not None:
            saved = await asyncio.to_thread(load_contacts, self._state_path)
            peers |= dict.fromkeys((contact.host, contact.port) for contact in saved)
        own = {(address.host, address.port) for address in self._addresses()}
        await asyncio.gather(*(self._ask(peer, b"", Ping()) for peer in peers if peer not in own))
        await self._lookup(self.id)
        return len(self._contacts)

    async def find_providers(self, key: bytes, *, limit: int = 16, timeout_s: float = 3.0) -> list[Provider]:
        """Providers of a key whose own signed records are in force, up to ``limit``."""
        found: dict[bytes, Record] = {}
        self._collect(key, self.records.find(key, self._wall(), self._rng), found)
        try:
            async with asyncio.timeout(timeout_s):
                await self._lookup(key, found, limit)
        except asyncio.TimeoutError:
            log.debug("a lookup ran out of time with %d providers", len(found))
        providers = []
        for public, record in found.items():
            if public != self.key.public:
                providers.append(Provider(peer_id_of(public), check_record(record, key).addresses))
        return providers[:limit]

    async def announce(self, keys: Iterable[bytes]) -> int:
        """Say at once that this node's peer provides these keys. The number of nodes that keep a record of the
        first.
        """
        kept = 0
        for position, key in enumerate(dict.fromkeys(keys)):
            self._keep_own([key])
            nodes = await self._lookup(key)
            answers = await asyncio.gather(*(self._store(id, contact, [key]) for id, contact in nodes[:REPLICAS]))
            if position == 0:
                kept = sum(answers)
        return kept

    def set_sweep(self, keys: Sequence[bytes]) -> None:
        """Keep the whole set announced from now on, in the background."""
        swept = tuple(sorted(set(keys)))
        if swept != self._sweep:
            self._sweep = swept
            self._sweep_changed.set()

    async def sweep_now(self) -> int:
        """Announce the set once, region by region: how many records nodes keep for it now."""
        kept = 0
        keys = list(self._sweep)
        while keys:
            around = int.from_bytes(keys[0], "big")
            nodes = dict(await self._lookup(keys[0], width=REGION_WIDTH))
            numbers = [int.from_bytes(id, "big") for id in (*nodes, self.id)]
            bits = region_bits(around, numbers)
            region = [key for key in keys if in_region(int.from_bytes(key, "big"), around, bits)]
            keys = keys[len(region) :]
            kept += await self._store_region(region, nodes)
        return kept

    async def _store_region(self, region: list[bytes], nodes: dict[bytes, Contact]) -> int:
        size = keys_per_packet(self._addresses())
        takers = list(nodes) if self._client_only else [*nodes, self.id]
        room = asyncio.Semaphore(STORES_AT_ONCE)

        async def store(id: bytes, batch: list[bytes]) -> int:
            async with room:
                return await self._store(id, nodes[id], batch)

        work = []
        for id, keys in assign(region, takers).items():
            for batch in batches(keys, size):
                if id == self.id:
                    self._keep_own(batch)
                else:
                    work.append(store(id, batch))
        return sum(await asyncio.gather(*work))

    def _signed(self, keys: list[bytes]) -> Store:
        self._sequence = max(self._sequence + 1, int(self._wall() * 1000))
        expires = int(self._wall()) + LIFETIME_MAX_S
        batch = sign_batch(self.key, self._addresses(), keys, expires=expires, sequence=self._sequence)
        return Store(batch, tuple(keys))

    def _keep_own(self, keys: list[bytes]) -> None:
        for batch in batches(keys, keys_per_packet(self._addresses())):
            signed = self._signed(batch)
            self.records.store(signed.batch, signed.keys, self.key.public, self._wall())

    async def _store(self, id: bytes, contact: Contact, keys: list[bytes]) -> int:
        if id not in self._knows_us:
            await self._ask((contact.host, contact.port), id, Ping())
        answer = await self._ask((contact.host, contact.port), id, self._signed(keys))
        return answer.kept if isinstance(answer, Pong) else 0

    async def _lookup(
        self, key: bytes, found: dict[bytes, Record] | None = None, limit: int = 0, width: int = K
    ) -> list[tuple[bytes, Contact]]:
        """The closest nodes that answer; records of the key are gathered into ``found`` until there are ``limit``."""
        lookup = Lookup(int.from_bytes(key, "big"), width)
        for node in self._table.find_neighbors(Node(key), max(width, K)):
            if node.id in self._contacts:
                lookup.learn(node.id, self._contacts[node.id])
        waiting: set[asyncio.Task[None]] = set()
        try:
            while True:
                for id, contact in lookup.next():
                    waiting.add(asyncio.create_task(self._step(lookup, key, id, contact, found)))
                if lookup.is_done or not waiting or (found is not None and len(found) >= limit):
                    return lookup.closest()
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _step(
        self, lookup: Lookup, key: bytes, id: bytes, contact: Contact, found: dict[bytes, Record] | None
    ) -> None:
        """Ask one node of a lookup."""
        message = FindNode(key, found is not None, bytes(PADDED_BYTES - 200))
        answer = await self._ask((contact.host, contact.port), id, message, tries=1)
        if not isinstance(answer, Found):
            lookup.failed(id)
            return
        lookup.answered(id)
        for named in answer.contacts:
            named_id = node_id(self._secret, named.public)
            if named_id != self.id:
                lookup.learn(named_id, self._contacts.get(named_id, named))
        if found is not None:
            self._collect(key, answer.records, found)

    def _collect(self, key: bytes, records: Iterable[Record], found: dict[bytes, Record]) -> None:
        """Take records whose providers signed them over this key, and which are in force."""
        for record in records:
            try:
                batch = check_record(record, key)
            except RemoteProtocolError:
                self.refused += 1
                continue
            if self._wall() < batch.expires <= self._wall() + 2 * LIFETIME_MAX_S:
                found[batch.public] = record

    # ---- requests -----------------------------------------------------------------------------------------------

    async def _ask(self, peer: Peer, to: bytes, message: Message, tries: int = TRIES) -> Message | None:
        """The answer to a request, None if there is none in time. ``to`` is the node's id, empty when it is not
        known.
        """
        round_trip = self._round_trips.get(to) or RoundTrip()
        for _ in range(tries):
            loop = asyncio.get_running_loop()
            id = os.urandom(8)
            pending = _Pending(loop.create_future(), peer, to, loop.time(), message)
            self._pending[id] = pending
            try:
                self._send(peer, to, id, message, is_answer=False)
                async with asyncio.timeout(round_trip.timeout_s):
                    return await pending.answer
            except asyncio.TimeoutError:
                round_trip.failures += 1
            finally:
                self._pending.pop(id, None)
        if to:
            self._failed(to, round_trip)
        return None

    def _failed(self, id: bytes, round_trip: RoundTrip) -> None:
        """A node did not answer; after some times in a row it is out of the table."""
        self._round_trips[id] = round_trip
        if round_trip.failures >= FAILURES_MAX:
            self._contacts.pop(id, None)
            self._round_trips.pop(id, None)
            self._knows_us.discard(id)
            self._table.remove_contact(Node(id))

    def _send(self, peer: Peer, to: bytes, id: bytes, message: Message, *, is_answer: bool) -> None:
        body = Body(
            format=1,
            to=to[:TO_BYTES],
            wall_ms=int(self._wall() * 1000),
            id=id,
            is_answer=is_answer,
            is_node=not self._client_only,
            public=self.key.public,
            credential=b"" if to in self._knows_us else self._credential,
            message=message,
        )
        self._transport.send(seal_packet(self._box, self.key, body), peer)

    # ---- packets that come in -----------------------------------------------------------------------------------

    def _received(self, datagram: bytes, peer: Peer) -> None:
        """Open and act on a datagram. Whatever is wrong with it, it is dropped and counted."""
        try:
            body = open_packet(self._box, datagram)
        except RemoteProtocolError:
            self.refused += 1
            return
        sender = node_id(self._secret, body.public)
        wall_now = self._wall()
        is_ours = body.to == self.id[:TO_BYTES] or not body.to
        freshness = body.id + body.public + (b"a" if body.is_answer else b"r")
        if not is_ours or sender == self.id or not self._seen.is_fresh(freshness, body.wall_ms, wall_now):
            self.refused += 1
            return
        if not self._members.is_member(body.public, body.credential, wall_now):
            if not body.is_answer and not body.credential:
                self._send(peer, sender, body.id, WhoAreYou(), is_answer=True)
            else:
                self.refused += 1
            return
        if body.is_answer:
            self._answered(body, sender, peer)
        elif isinstance(body.message, REQUESTS):
            self._serve(body, sender, peer, len(datagram))

    def _answered(self, body: Body, sender: bytes, peer: Peer) -> None:
        pending = self._pending.get(body.id)
        if pending is None or pending.peer != peer or (pending.id and pending.id != sender):
            self.refused += 1
            return
        if isinstance(body.message, WhoAreYou):
            self._knows_us.discard(sender)
            fresh = os.urandom(8)
            self._pending[fresh] = self._pending.pop(body.id)
            self._start_once(pending, fresh)
            self._send(peer, sender, fresh, pending.message, is_answer=False)
            return
        self._knows_us.add(sender)
        self._met(body, sender, peer)
        self._round_trips.setdefault(sender, RoundTrip()).measure(asyncio.get_running_loop().time() - pending.sent_at)
        if not pending.answer.done():
            pending.answer.set_result(body.message)

    def _start_once(self, pending: _Pending, fresh: bytes) -> None:
        """A request sent again under another id is forgotten with its answer."""
        pending.answer.add_done_callback(lambda _: self._pending.pop(fresh, None))

    def _serve(self, body: Body, sender: bytes, peer: Peer, request_bytes: int) -> None:
        self._met(body, sender, peer)
        match body.message:
            case Ping():
                self._send(peer, sender, body.id, Pong(0), is_answer=True)
            case FindNode():
                self._send_found(body.message, body.id, sender, peer, min(PACKET_MAX_BYTES, 3 * request_bytes))
            case Store():
                try:
                    kept = self.records.store(body.message.batch, body.message.keys, body.public, self._wall())
                except RemoteProtocolError:
                    self.refused += 1
                    return
                self._send(peer, sender, body.id, Pong(kept), is_answer=True)

    def _send_found(self, asked: FindNode, id: bytes, sender: bytes, peer: Peer, limit: int) -> None:
        """Answer with as much as fits: records first, then the closest contacts."""
        near = [
            self._contacts[node.id]
            for node in self._table.find_neighbors(Node(asked.key), CONTACTS_MAX)
            if node.id in self._contacts and node.id != sender
        ]
        near.sort(
            key=lambda c: int.from_bytes(node_id(self._secret, c.public), "big") ^ int.from_bytes(asked.key, "big")
        )
        records = self.records.find(asked.key, self._wall(), self._rng)[:RECORDS_PER_ANSWER] if asked.records else []
        room = limit - 170 - (0 if sender in self._knows_us else len(self._credential))
        kept: list[Record] = []
        for record in records:
            size = len(record.batch.body) + 80 + 18 * len(record.path)
            if size <= room:
                kept.append(record)
                room -= size
        contacts = near[: max(0, min(K, room // 60))]
        self._send(peer, sender, id, Found(tuple(contacts), tuple(kept)), is_answer=True)

    def _met(self, body: Body, sender: bytes, peer: Peer) -> None:
        """A member spoke from this address: it belongs into the table, if it takes requests."""
        if not body.is_node:
            return
        known = self._contacts.get(sender)
        if known is not None and (known.host, known.port) != peer and not body.is_answer:
            return  # a request alone does not move a node that is known elsewhere
        self._contacts[sender] = Contact(body.public, peer[0], peer[1])
        if known is None:
            self._table.add_contact(Node(sender, peer[0], peer[1]))

    async def call_ping(self, node: Node) -> None:
        """The routing table's hook: its bucket is full; the one seen longest ago goes if it does not answer."""
        contact = self._contacts.get(node.id)
        if contact is None:
            self._table.remove_contact(node)
        else:
            await self._ask((contact.host, contact.port), node.id, Ping())

    # ---- time ---------------------------------------------------------------------------------------------------

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(MAINTENANCE_S)
            self.records.expire(self._wall())
            await self._lookup(self._rng.randbytes(20))
            if self._state_path is not None:
                await asyncio.to_thread(save_contacts, self._state_path, list(self._contacts.values()))

    async def _keep_swept(self) -> None:
        """Sweep when the set changes, and again before records expire."""
        while True:
            try:
                async with asyncio.timeout(SWEEP_INTERVAL_S):
                    await self._sweep_changed.wait()
            except asyncio.TimeoutError:
                log.debug("sweeping again")
            self._sweep_changed.clear()
            await self.sweep_now()


async def _resolve(text: str) -> list[Peer]:
    """The numeric addresses of ``host:port``; none for a name that does not resolve."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isdigit():
        return []
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
        except OSError:
            return []
        return [(str(info[4][0]), int(port)) for info in infos]
    return [(host, int(port))]
