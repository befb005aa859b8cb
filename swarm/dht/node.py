"""A DHT node: the parts put together, joining, and the upkeep of what is known.

A node enters the routing table when it answered a request of ours from its address: whoever speaks to us first is asked
back. What other nodes say of third ones are candidates to be asked, nothing more. A client-only node asks and announces
but is in nobody's table.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from swarm.dht import serve
from swarm.dht.announce import Announcer
from swarm.dht.records import RecordStore
from swarm.dht.requests import Heard, Request, Requests
from swarm.dht.resolve import resolve
from swarm.dht.search import Findings, Search
from swarm.dht.state import load_contacts, save_contacts
from swarm.dht.table import K, Table
from swarm.dht.transport import Peer, Transport
from swarm.dht.wire import Contact, Message, Ping
from swarm.dialable import Dialable
from swarm.identity import PeerKey, peer_id_of
from swarm.records import Address
from swarm.trust import Trust

MAINTENANCE_S: Final = 60.0
# While nobody is known.
LONELY_S: Final = 3.0
PINGS_AT_ONCE: Final = 32
JOIN_TRIES: Final = 3
BUCKETS_AT_JOIN: Final = 16
# Nodes in the table that were not heard of for this long are asked whether they are there, a few at a time.
UNHEARD_S: Final = 120.0
UNHEARD_PINGS: Final = 8
# Strangers that spoke to us and are being asked back; more are left for the next time that they speak.
VERIFIED_AT_ONCE: Final = 64

log = logging.getLogger("aetherfs.dht")


@dataclass(frozen=True, slots=True)
class Provider:
    """Who says, under its own signature, that it has what a key stands for."""

    peer_id: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class DhtStatus:
    """Nodes in the routing table, records kept, packets since the start; dropped are also those that were refused."""

    nodes: int
    records: int
    packets_sent: int
    packets_received: int
    dropped: int


class DhtNode:
    """One node. Use ``start``."""

    def __init__(
        self,
        *,
        key: PeerKey,
        credential: bytes,
        authority: Trust,
        secret: bytes,
        epoch: int,
        addresses: Callable[[], tuple[Address, ...]],
        state_path: Path | None,
        client_only: bool,
        rng: random.Random,
        wall: Callable[[], float],
    ) -> None:
        self.key = key
        self.records = RecordStore()
        self.requests = Requests(
            key=key,
            credential=credential,
            authority=authority,
            secret=secret,
            epoch=epoch,
            client_only=client_only,
            wall=wall,
            serve=self._serve,
            heard=self._heard,
            is_proven=self._is_proven,
        )
        self.id = self.requests.id
        self.table = Table(self.id)
        self._search = Search(self.requests, self.table, secret)
        self._announcer = Announcer(
            key=key,
            addresses=addresses,
            client_only=client_only,
            requests=self.requests,
            table=self.table,
            records=self.records,
            search=self._search,
            wall=wall,
        )
        self._addresses = addresses
        self._state_path = state_path
        self._rng = rng
        self._wall = wall
        self._seeds: tuple[str, ...] = ()
        self._verifying: set[bytes] = set()
        self._refused_records = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._transport: Transport
        self._is_shared = False

    @classmethod
    async def start(
        cls,
        *,
        host: str = "",
        port: int = 0,
        transport: Transport | None = None,
        dialable: Dialable | None = None,
        key: PeerKey,
        credential: bytes,
        authority: Trust,
        secret: bytes,
        epoch: int = 0,
        addresses: Callable[[], tuple[Address, ...]],
        state_path: Path | None = None,
        client_only: bool = False,
        rng: random.Random,
        wall: Callable[[], float] = time.time,
    ) -> DhtNode:
        """Bind host:port and begin; or use a ``transport``, whose owner hands on what comes for this epoch, and
        closes it.

        ``dialable`` is where datagrams may go, by default what follows from the host. ``addresses`` are what its
        records say; ``credential`` is its sealed one.
        """
        node = cls(
            key=key,
            credential=credential,
            authority=authority,
            secret=secret,
            epoch=epoch,
            addresses=addresses,
            state_path=state_path,
            client_only=client_only,
            rng=rng,
            wall=wall,
        )
        node._is_shared = transport is not None
        node._transport = transport or await Transport.bind(host, port, node.requests.received, dialable)
        node.requests.start(node._transport)
        node._start(node._maintain())
        node._start(node._announcer.sweep_forever())
        return node

    def __repr__(self) -> str:
        return f"<DhtNode {self.id.hex()[:8]} of {self.key.peer_id[:8]}, {len(self.table)} nodes known>"

    @property
    def port(self) -> int:
        return self._transport.port

    def status(self) -> DhtStatus:
        transport = self._transport
        return DhtStatus(
            nodes=len(self.table),
            records=self.records.count,
            packets_sent=transport.sent,
            packets_received=transport.taken,
            dropped=transport.dropped + self.requests.refused + self._refused_records,
        )

    def renew(self, credential: bytes) -> None:
        """Show a fresh credential from now on."""
        self.requests.renew(credential)

    async def close(self) -> None:
        """Save what is known, end everything."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.requests.close()
        if not self._is_shared:
            await self._transport.close()
        await self._save()

    # ---- finding and announcing -------------------------------------------------------------------------------------

    async def find_providers(self, key: bytes, *, limit: int = 16, timeout_s: float = 3.0) -> list[Provider]:
        """Providers of a key whose own signed records are in force, up to ``limit``, but not this node's own peer."""
        findings = Findings(key, limit + 1, self._wall)
        findings.take(self.records.find(key, self._wall(), self._rng, limit))
        try:
            async with asyncio.timeout(timeout_s):
                await self._search.closest(key, findings=findings)
        except asyncio.TimeoutError:
            log.debug("a lookup ran out of time with %d providers", len(findings))
        self._refused_records += findings.refused
        others = [batch for public, batch in findings.batches.items() if public != self.key.public]
        return [Provider(peer_id_of(batch.public), batch.addresses) for batch in others[:limit]]

    def contacts(self) -> list[Contact]:
        """Nodes that answered from where they are said to be."""
        return [contact for _, contact in self.table.contacts()]

    async def announce(self, keys: Iterable[bytes]) -> int:
        """Say at once that this node's peer provides these keys, and again before that runs out.

        Returns how many other nodes took at least one. This node itself keeps its records too.
        """
        return await self._announcer.announce(keys)

    def withdraw(self, keys: Iterable[bytes]) -> None:
        """Do not announce these keys again; what nodes keep of them runs out."""
        self._announcer.withdraw(keys)

    def set_sweep(self, keys: Sequence[bytes]) -> None:
        """Keep the whole set announced from now on, in the background, within the packet budget."""
        self._announcer.set_sweep(keys)

    def swept(self, now: float) -> tuple[int, int, float]:
        """How many keys are kept announced, how many of them are due, and for how many seconds at most."""
        return self._announcer.swept(now)

    async def sweep_now(self) -> int:
        """Announce the whole sweep set at once: how many records other nodes keep for it now."""
        return await self._announcer.sweep_all()

    # ---- joining ----------------------------------------------------------------------------------------------------

    async def bootstrap(self, seeds: Sequence[str]) -> int:
        """Get to know the network from ``host:port`` texts and what was saved. The number of nodes known."""
        self._seeds = tuple(seeds)
        return await self._join()

    def set_seeds(self, seeds: Sequence[str]) -> None:
        """Begin from these when nobody is known any more, or yet."""
        self._seeds = tuple(seeds)

    async def _join(self) -> int:
        resolved = await asyncio.gather(*map(resolve, self._seeds))
        peers = dict.fromkeys(peer for found in resolved for peer in found)
        if self._state_path is not None:
            saved = await asyncio.to_thread(load_contacts, self._state_path)
            peers |= dict.fromkeys((contact.host, contact.port) for contact in saved)
        own = {(address.host, address.port) for address in self._addresses()} | {("127.0.0.1", self.port)}
        room = asyncio.Semaphore(PINGS_AT_ONCE)

        async def ping(peer: Peer) -> bool:
            async with room:
                return await self.requests.ask(peer, b"", Ping(), tries=JOIN_TRIES) is not None

        pings = [self._start(ping(peer)) for peer in peers if peer not in own]
        # The first that answers is enough to begin with; the others answer, or do not, meanwhile.
        for first in asyncio.as_completed(pings):
            if await first:
                break
        await self._search.closest(self.id)
        far = [_key_in(low, high, self._rng) for low, high in self.table.stale_ranges(float("inf"))]
        await asyncio.gather(*(self._search.closest(key) for key in far[:BUCKETS_AT_JOIN]))
        return len(self.table)

    # ---- what comes in ----------------------------------------------------------------------------------------------

    def _serve(self, request: Request) -> Message:
        return serve.answer(request, self.table, self.records, self._wall(), self._rng)

    def _is_proven(self, id: bytes, peer: Peer) -> bool:
        contact = self.table.get(id)
        return contact is not None and (contact.host, contact.port) == peer

    def _heard(self, heard: Heard) -> None:
        if not heard.is_node:
            self.table.remove(heard.id)
        elif heard.is_answer:
            self._met(heard)
        elif not self._is_proven(heard.id, heard.peer) and heard.spare_bytes >= self.requests.ping_bytes:
            self._verify(heard)

    def _met(self, heard: Heard) -> None:
        """A member answered from its address: it belongs into the table."""
        contact = Contact(heard.public, heard.peer[0], heard.peer[1])
        unheard = self.table.add(heard.id, contact)
        if unheard is not None:
            self._check(unheard)

    def _verify(self, heard: Heard) -> None:
        """A member spoke from an address where it has not answered yet: ask it back, once."""
        if heard.id in self._verifying or len(self._verifying) >= VERIFIED_AT_ONCE:
            return
        self._verifying.add(heard.id)
        task = self._start(self.requests.ask(heard.peer, heard.id, Ping(), tries=1))
        task.add_done_callback(lambda _: self._verifying.discard(heard.id))

    def _check(self, id: bytes) -> None:
        """Ask a node of the table whether it is there."""
        contact = self.table.get(id)
        member = self.requests.members.get(id)
        now = asyncio.get_running_loop().time()
        if contact is None or id in self._verifying or (member is not None and member.heard_at > now - UNHEARD_S):
            return
        self._verifying.add(id)

        async def ping() -> None:
            if await self.requests.ask((contact.host, contact.port), id, Ping()) is None:
                self._search.fell_silent(id)

        self._start(ping()).add_done_callback(lambda _: self._verifying.discard(id))

    # ---- upkeep -----------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a part of the DHT node ended: %s", error, exc_info=error)

    async def _maintain(self) -> None:
        while True:
            wait_s = MAINTENANCE_S if len(self.table) else LONELY_S
            await asyncio.sleep(wait_s * self._rng.uniform(0.8, 1.2))
            await self.maintain()

    async def maintain(self) -> None:
        """One round: forget what has run out, ask after the unheard, look into stale buckets, join again if lonely."""
        now = asyncio.get_running_loop().time()
        self.records.expire(self._wall())
        unheard = sorted(self.table.contacts(), key=lambda entry: self._heard_at(entry[0]))[:UNHEARD_PINGS]
        for id, _ in unheard:
            self._check(id)
        for low, high in self.table.stale_ranges(now)[:2]:
            await self._search.closest(_key_in(low, high, self._rng))
        if len(self.table) < K and self._seeds:
            await self._join()
        await self._announcer.announce_again_if_due(now)
        await self._save()

    def _heard_at(self, id: bytes) -> float:
        member = self.requests.members.get(id)
        return 0.0 if member is None else member.heard_at

    async def _save(self) -> None:
        if self._state_path is not None:
            contacts = [contact for _, contact in self.table.closest(self.id, len(self.table))]
            await asyncio.to_thread(save_contacts, self._state_path, contacts)


def _key_in(low: int, high: int, rng: random.Random) -> bytes:
    """A random key in a range of the key space."""
    return rng.randint(low, min(high, (1 << 160) - 1)).to_bytes(20, "big")
