"""What a node answers: who is near a key, what is kept for it, and that a batch is kept. Pure."""

from __future__ import annotations

import random
from typing import Final

from swarm import canonical
from swarm.dht.batch import Record
from swarm.dht.records import RecordStore
from swarm.dht.requests import Request
from swarm.dht.table import K, Table
from swarm.dht.wire import ANSWER_FIXED_BYTES, Contact, FindNode, Found, Message, Ping, Pong, Store, Stored, split
from swarm.errors import RemoteProtocolError
from swarm.limits import DHT_RECORDS_PER_ANSWER_MAX

# Room that records leave for contacts: there may be more records at the next nodes.
CONTACTS_RESERVED_BYTES: Final = 200


def answer(request: Request, table: Table, records: RecordStore, wall_now: float, rng: random.Random) -> Message:
    """The answer to a member's request, no longer than it allows. RemoteProtocolError for what is not a request."""
    message = request.message
    if isinstance(message, Ping):
        return Pong()
    if isinstance(message, FindNode):
        return _find(message, request, table, records, wall_now, rng)
    if isinstance(message, Store):
        return Stored(records.store(message.batch, split(message.keys), request.public, wall_now))
    raise RemoteProtocolError("not a request")


def _find(
    asked: FindNode, request: Request, table: Table, records: RecordStore, wall_now: float, rng: random.Random
) -> Found:
    """Records first: they are what is looked for. Then contacts, as many as fit, closest first."""
    room = request.limit - ANSWER_FIXED_BYTES - request.credential_bytes - CONTACTS_RESERVED_BYTES
    kept: list[Record] = []
    if asked.records:
        for record in records.find(asked.key, wall_now, rng, DHT_RECORDS_PER_ANSWER_MAX):
            size = len(canonical.encode(record))
            if size <= room:
                kept.append(record)
                room -= size
    room += CONTACTS_RESERVED_BYTES
    contacts: list[Contact] = []
    for id, contact in table.closest(asked.key, K + 1):
        size = len(canonical.encode(contact))
        if id != request.sender and size <= room and len(contacts) < K:
            contacts.append(contact)
            room -= size
    return Found(tuple(contacts), tuple(kept))
