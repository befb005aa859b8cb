"""Walking the network: the nodes closest to a key, and the records that they keep for it.

Performs what ``lookup`` decides. What other nodes say of third ones is asked before it counts, and a record is believed
only when its provider's own signature over this key is good and it is in force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from swarm.dht.batch import Batch, Record, check_record
from swarm.dht.keys import node_id
from swarm.dht.lookup import WIDE, Lookup
from swarm.dht.requests import Requests
from swarm.dht.table import K, Table
from swarm.dht.wire import PADDING_BYTES, Contact, FindNode, Found
from swarm.errors import RemoteProtocolError
from swarm.limits import CLOCK_SKEW_S, DHT_RECORD_LIFETIME_S

# Checking a record's signature takes 70 microseconds; hostile nodes may not make us check more than this in one lookup.
RECORDS_CHECKED_MAX: Final = 256

log = logging.getLogger("aetherfs.dht")


class Findings:
    """Batches found for one key, by provider: the newest that each signed."""

    def __init__(self, key: bytes, limit: int, wall: Callable[[], float]) -> None:
        self.key = key
        self.limit = limit
        self.refused = 0
        self.batches: dict[bytes, Batch] = {}
        self._wall = wall
        self._seals: set[bytes] = set()
        self._checked = 0

    def take(self, records: Iterable[Record]) -> None:
        """Take records whose providers signed them over this key, and which are in force."""
        for record in records:
            if record.batch.seal in self._seals or self._checked >= RECORDS_CHECKED_MAX:
                continue
            self._checked += 1
            try:
                batch = check_record(record, self.key)
            except RemoteProtocolError as error:
                self.refused += 1
                log.debug("a provider record is refused: %s", error)
                continue
            self._seals.add(record.batch.seal)
            wall_now = self._wall()
            if not wall_now < batch.expires <= wall_now + DHT_RECORD_LIFETIME_S + 2 * CLOCK_SKEW_S:
                self.refused += 1
                continue
            known = self.batches.get(batch.public)
            if known is None or known.sequence < batch.sequence:
                self.batches[batch.public] = batch

    def __len__(self) -> int:
        return len(self.batches)


class Search:
    """Lookups of one node."""

    def __init__(self, requests: Requests, table: Table, secret: bytes) -> None:
        self._requests = requests
        self._table = table
        self._secret = secret

    async def closest(
        self, key: bytes, *, width: int = K, findings: Findings | None = None
    ) -> list[tuple[bytes, Contact]]:
        """The closest nodes that answer, also those that are late.

        Who looks for ``findings`` is in a hurry: it ends when there are as many providers as it wants, and late nodes
        are not waited for.
        """
        lookup = Lookup(key, width, width) if findings is None else Lookup(key, width)
        self._table.looked_for(key)
        for id, contact in self._table.closest(key, max(width, K), doubtful=True):
            self._learn(lookup, id, contact)
        steps: set[asyncio.Task[None]] = set()
        late = asyncio.Event()
        try:
            while True:
                for id, contact in lookup.next():
                    steps.add(asyncio.create_task(self._step(lookup, id, contact, findings, late)))
                if findings is not None and len(findings) >= findings.limit:
                    return lookup.closest()
                if lookup.is_done or not steps:
                    is_enough = lookup.closest() if findings is None else len(findings)
                    if is_enough or not self._insist(lookup):
                        return lookup.closest()
                    continue
                steps = await _first(steps, late)
        finally:
            for step in steps:
                step.cancel()
            await asyncio.gather(*steps, return_exceptions=True)

    async def _step(
        self, lookup: Lookup, id: bytes, contact: Contact, findings: Findings | None, late: asyncio.Event
    ) -> None:
        """Ask one node of a lookup."""

        def slow() -> None:
            lookup.slow(id)
            late.set()

        message = FindNode(lookup.target, findings is not None, bytes(PADDING_BYTES))
        answer = await self._requests.ask((contact.host, contact.port), id, message, slow=slow)
        if not isinstance(answer, Found):
            lookup.failed(id)
            self.fell_silent(id)
            return
        lookup.answered(id)
        for named in answer.contacts:
            named_id = node_id(self._secret, named.public)
            if named_id != self._requests.id and self._requests.transport.may_send_to(named.host):
                self._learn(lookup, named_id, self._table.get(named_id) or named)
        if findings is not None:
            findings.take(answer.records)

    def _insist(self, lookup: Lookup) -> bool:
        """Nothing was found: those near may be in league, so go on from others that we know. Whether there are any."""
        for id, contact in self._table.closest(lookup.target, WIDE, doubtful=True):
            self._learn(lookup, id, contact)
        return lookup.insist()

    def _learn(self, lookup: Lookup, id: bytes, contact: Contact) -> None:
        now = asyncio.get_running_loop().time()
        lookup.learn(id, contact, is_silent=self._requests.members.is_silent(id, now))

    def fell_silent(self, id: bytes) -> None:
        """A node did not answer, nor when asked again. If it comes back, others will name it."""
        self._requests.members.silent(id, asyncio.get_running_loop().time())
        self._table.doubt(id)


async def _first(steps: set[asyncio.Task[None]], late: asyncio.Event) -> set[asyncio.Task[None]]:
    """Wait until a step has ended or one is late: the steps that go on. What a step raises is raised here."""
    lateness = asyncio.ensure_future(late.wait())
    try:
        done, _ = await asyncio.wait({*steps, lateness}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        lateness.cancel()
    late.clear()
    for step in done & steps:
        step.result()
    return steps - done
