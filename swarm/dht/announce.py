"""Announcing: what this node's peer provides is kept by the nodes closest to each key, and kept there.

Versions and tags are announced at once; the whole set of blocks follows by a sweep, within a packet budget. Both go by
regions of the key space: one lookup, then signed batches to each node of the region. Everything is said again before
the records run out, and announced keys soon after the network has grown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from swarm.dht.batch import SignedBatch, fitting, sign_batch
from swarm.dht.records import RecordStore
from swarm.dht.requests import Requests
from swarm.dht.search import Search
from swarm.dht.sweep import CROWD, REGION_WIDTH, Pace, Sweep, assign, batches, leading, region_bits
from swarm.dht.table import Table
from swarm.dht.wire import Contact, Ping, Store, Stored, joined, keys_per_packet
from swarm.identity import PeerKey
from swarm.limits import DHT_ANNOUNCED_MAX, DHT_RECORD_LIFETIME_S
from swarm.records import Address

STORES_AT_ONCE: Final = 8
# The budget of a sweep in the background: our packets and their answers.
SWEEP_PACKETS_PER_S: Final = 100.0
SWEEP_BURST_PACKETS: Final = 200.0
# Announced keys are said again this often, and sooner when the table has grown by half.
ANNOUNCE_AGAIN_S: Final = 3600.0
GROWN: Final = 1.5
IDLE_S: Final = 30.0
LONELY_S: Final = 3.0
# A set that was swept into a smaller network is swept again, but not sooner than this.
SWEEP_AGAIN_S: Final = 300.0

log = logging.getLogger("aetherfs.dht")


class Announcer:
    """Says what one peer provides. Runs within ``sweep_forever``, which its owner starts and ends."""

    def __init__(
        self,
        *,
        key: PeerKey,
        addresses: Callable[[], tuple[Address, ...]],
        client_only: bool,
        requests: Requests,
        table: Table,
        records: RecordStore,
        search: Search,
        wall: Callable[[], float],
    ) -> None:
        self._key = key
        self._addresses = addresses
        self._client_only = client_only
        self._requests = requests
        self._table = table
        self._records = records
        self._search = search
        self._wall = wall
        self._sequence = 0
        self._announced: dict[bytes, float] = {}
        self._announced_to = 0
        self._sweep = Sweep()
        # Given, and not taken over yet: the planner belongs to whoever holds the lock.
        self._wanted: tuple[bytes, ...] | None = None
        self._everything = False
        self._swept_at = 0.0
        self._swept_to = 0
        self._sweep_changed = asyncio.Event()
        self._one_sweep = asyncio.Lock()
        self._pace = Pace(SWEEP_PACKETS_PER_S, SWEEP_BURST_PACKETS)

    # ---- at once ----------------------------------------------------------------------------------------------------

    async def announce(self, keys: Iterable[bytes]) -> int:
        """Say at once that this peer provides these keys, and go on saying so: how many other nodes keep a record."""
        wanted = sorted(set(keys))
        now = asyncio.get_running_loop().time()
        for key in wanted:
            self._announced.pop(key, None)
            self._announced[key] = now
        while len(self._announced) > DHT_ANNOUNCED_MAX:
            del self._announced[next(iter(self._announced))]
        self._announced_to = self._announced_to or len(self._table)
        self._keep_own(wanted)
        takers: set[bytes] = set()
        while wanted:
            nodes = dict(await self._search.closest(wanted[0], width=REGION_WIDTH))
            bits = region_bits(wanted[0], [*nodes, self._requests.id])
            region = leading(wanted, bits)
            wanted = wanted[len(region) :]
            for id, counts in await self._store_region(region, nodes, None):
                if any(counts):
                    takers.add(id)
        return len(takers)

    def withdraw(self, keys: Iterable[bytes]) -> None:
        """Do not say these keys again: their records run out."""
        for key in keys:
            self._announced.pop(key, None)

    async def announce_again_if_due(self, now: float) -> None:
        """Before records run out, and when there are many nodes that were not there the last time."""
        has_grown = len(self._table) > GROWN * self._announced_to
        if has_grown:
            self._announced_to = len(self._table)
        due = [key for key, at in self._announced.items() if has_grown or now - at > ANNOUNCE_AGAIN_S]
        if due:
            await self.announce(due)
        if len(self._table) > GROWN * self._swept_to and now - self._swept_at > SWEEP_AGAIN_S:
            self._everything = True
            self._sweep_changed.set()

    # ---- the sweep --------------------------------------------------------------------------------------------------

    def set_sweep(self, keys: Sequence[bytes]) -> None:
        """Keep this whole set announced from now on, in the background."""
        self._wanted = tuple(keys)
        self._sweep_changed.set()

    def swept(self, now: float) -> tuple[int, int, float]:
        """How many keys are kept announced, how many of them are due, and for how long at most (``Sweep.due``)."""
        return len(self._sweep), *self._sweep.due(now)

    async def sweep_forever(self) -> None:
        """Announce what is due, as it becomes due, within the packet budget."""
        while True:
            if len(self._table):
                await self._sweep_due(self._pace)
            now = asyncio.get_running_loop().time()
            wait_s = IDLE_S if self._sweep.next_due() <= now else min(IDLE_S * 10, self._sweep.next_due() - now)
            try:
                async with asyncio.timeout(wait_s if len(self._table) else LONELY_S):
                    await self._sweep_changed.wait()
            except asyncio.TimeoutError:
                log.debug("looking what is due")
            self._sweep_changed.clear()

    async def sweep_all(self) -> int:
        """Announce the whole set now, whatever was announced before: how many records nodes keep."""
        self._everything = True
        return await self._sweep_due(None)

    async def _sweep_due(self, pace: Pace | None) -> int:
        """Announce what is due: how many records nodes keep of it. Without a pace, as fast as they answer."""
        kept = 0
        async with self._one_sweep:
            now = asyncio.get_running_loop().time()
            await self._adopt(now)
            self._sweep.begin()
            while (around := self._sweep.next_key(now)) is not None:
                await _wait(pace, REGION_WIDTH)
                nodes = dict(await self._search.closest(around, width=REGION_WIDTH))
                region = self._sweep.take(region_bits(around, [*nodes, self._requests.id]), now)
                kept += await self._sweep_region(region, nodes, pace)
                if await self._adopt(now):
                    self._sweep.begin()  # what is new is rare, and comes first
        return kept

    async def _adopt(self, now: float) -> bool:
        """Take over a set that was given meanwhile (a large one takes a while: in a thread). Whether there was one."""
        if self._everything:
            self._everything = False
            self._swept_at, self._swept_to = now, len(self._table)
            self._sweep.everything_is_due()
        if self._wanted is None:
            return False
        wanted, self._wanted = self._wanted, None
        if await asyncio.to_thread(self._sweep.replace, wanted):
            self._swept_at, self._swept_to = now, len(self._table)
        return True

    async def _sweep_region(self, region: list[bytes], nodes: dict[bytes, Contact], pace: Pace | None) -> int:
        now = asyncio.get_running_loop().time()
        wanted = []
        for key in region:
            others = self._records.providers(key, self._key.public)
            if others >= CROWD and self._sweep.is_new(key):
                self._sweep.announced(key, others, now)
            else:
                wanted.append(key)
        most: dict[bytes, int] = {}
        kept = 0
        for _, counts in await self._store_region(wanted, nodes, pace):
            for key, providers in counts.items():
                most[key] = max(most.get(key, 0), providers)
                kept += providers > 0
        for key in wanted:
            if most.get(key):
                self._sweep.announced(key, most[key] - 1, now)
            else:
                self._sweep.failed(key, now)
        return kept

    # ---- batches ----------------------------------------------------------------------------------------------------

    async def _store_region(
        self, region: list[bytes], nodes: dict[bytes, Contact], pace: Pace | None
    ) -> list[tuple[bytes, dict[bytes, int]]]:
        """Store each key at its closest nodes: per batch, the node and how many providers it has for each key."""
        addresses = fitting(self._addresses())
        if not region or not addresses:
            return []
        room = asyncio.Semaphore(STORES_AT_ONCE)

        async def store(id: bytes, batch: list[bytes]) -> tuple[bytes, dict[bytes, int]]:
            async with room:
                await _wait(pace, 2)
                return id, await self._store(id, nodes[id], batch)

        work = []
        for id, keys in assign(region, list(nodes) if self._client_only else [*nodes, self._requests.id]).items():
            if id == self._requests.id:
                self._keep_own(keys)
                continue
            work += [store(id, batch) for batch in batches(keys, keys_per_packet(addresses))]
        return await asyncio.gather(*work)

    async def _store(self, id: bytes, contact: Contact, keys: list[bytes]) -> dict[bytes, int]:
        peer = (contact.host, contact.port)
        member = self._requests.members.get(id)
        if member is None or not member.knows_us:
            await self._requests.ask(peer, id, Ping())
        answer = await self._requests.ask(peer, id, Store(self._signed(keys), joined(keys)))
        if not isinstance(answer, Stored):
            self._search.fell_silent(id)
            return {}
        return dict(zip(keys, answer.providers, strict=False))

    def _keep_own(self, keys: list[bytes]) -> None:
        """Keep our own records here too: in a small network this node may be the only one that is asked."""
        addresses = fitting(self._addresses())
        for batch in batches(keys, keys_per_packet(addresses)) if addresses else ():
            self._records.store(self._signed(batch), tuple(batch), self._key.public, self._wall())

    def _signed(self, keys: list[bytes]) -> SignedBatch:
        self._sequence = max(self._sequence + 1, int(self._wall() * 1000))
        expires = int(self._wall()) + DHT_RECORD_LIFETIME_S
        addresses = fitting(self._addresses())
        return sign_batch(self._key, addresses, keys, expires=expires, sequence=self._sequence)


async def _wait(pace: Pace | None, packets: int) -> None:
    if pace is not None:
        await asyncio.sleep(pace.take(packets, asyncio.get_running_loop().time()))
