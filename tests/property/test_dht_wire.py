"""Whatever comes as a datagram, from outside or from a member: it is dropped and counted, and nothing is raised."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.secret import SecretBox

from swarm import canonical
from swarm.dht import serve
from swarm.dht.batch import Record, SignedBatch, check_record, path_of, sign_batch, tree_of
from swarm.dht.keys import packet_key
from swarm.dht.records import RecordStore
from swarm.dht.requests import Heard, Request, Requests
from swarm.dht.table import Table
from swarm.dht.transport import Peer
from swarm.dht.wire import (
    FORMAT,
    TO_BYTES,
    Body,
    Contact,
    FindNode,
    Found,
    Message,
    Packet,
    Ping,
    Pong,
    Store,
    Stored,
    WhoAreYou,
    open_packet,
    seal_packet,
)
from swarm.errors import RemoteProtocolError
from swarm.records import Address
from swarm.trust import Trust
from tests.property.effort import examples
from tests.unit.dht.samples import CA, NOW, SECRET, contact_of, credential_of, key_of, keys

BOX = SecretBox(packet_key(SECRET))
CONTACTS_KNOWN = [contact_of(number) for number in range(20)]
SHOWN = {number: credential_of(number) for number in (1, 2, 3)}
ATTACKER: Peer = ("192.0.2.200", 6666)


class Wire:
    """Where a node's datagrams go, for nodes without a socket."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []

    @property
    def queued_bytes(self) -> int:
        return sum(map(len, self.datagrams))

    def send(self, datagram: bytes, peer: Peer) -> None:
        self.datagrams.append(datagram)


class Deaf:
    """The receiving side of a node: everything but the socket."""

    def __init__(self) -> None:
        self.records = RecordStore()
        self.heard: list[Heard] = []
        self.wire = Wire()
        self.requests = Requests(
            key=key_of(1),
            credential=SHOWN[1],
            authority=Trust(CA.public),
            epoch=0,
            secret=SECRET,
            client_only=False,
            wall=lambda: NOW,
            serve=self._serve,
            heard=self.heard.append,
            is_proven=lambda id, peer: False,
        )
        self.table = Table(self.requests.id)
        for number in range(20):
            self.table.add(bytes([number * 12]) * 20, CONTACTS_KNOWN[number])
        self.requests.start(self.wire)  # type: ignore[arg-type]

    def _serve(self, request: Request) -> Message:
        return serve.answer(request, self.table, self.records, NOW, random.Random(0))

    def received(self, datagram: bytes) -> bool:
        """Whether it was taken."""
        before = self.requests.refused
        self.requests.received(datagram, ATTACKER)
        assert self.requests.refused - before in (0, 1)
        return self.requests.refused == before


def sealed(plain: bytes) -> bytes:
    return bytes([FORMAT]) + bytes(BOX.encrypt(plain))


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=1400))
def test_any_datagram_is_dropped_and_counted(datagram: bytes) -> None:
    node = Deaf()
    assert not node.received(datagram)
    assert not node.received(bytes([FORMAT]) + datagram)
    assert not node.received(sealed(datagram))
    assert node.wire.datagrams == []
    with pytest.raises(RemoteProtocolError):
        open_packet(BOX, datagram)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=600), st.data())
def test_any_body_that_a_member_signs_is_dropped_and_counted(body: bytes, data: st.DataObject) -> None:
    node = Deaf()
    seal = key_of(2).sign("dht-packet", body)
    assert not node.received(sealed(canonical.encode(Packet(body, seal))))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=9),
    max_leaves=30,
)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_any_structure_that_a_member_signs_is_dropped_and_counted(value: object) -> None:
    node = Deaf()
    body = msgspec.msgpack.encode(value)
    assert not node.received(sealed(canonical.encode(Packet(body, key_of(2).sign("dht-packet", body)))))


ADDRESSES = st.builds(Address, st.sampled_from(["192.0.2.1", "::1", "h" * 253, "x"]), st.integers(1, 65535))
CONTACTS = st.builds(Contact, st.binary(min_size=32, max_size=32), st.text(min_size=2, max_size=45), st.just(1))
SIGNED = st.builds(SignedBatch, st.binary(max_size=300), st.binary(min_size=64, max_size=64))
RECORDS = st.builds(
    Record, SIGNED, st.integers(0, 39), st.lists(st.binary(min_size=16, max_size=16), max_size=6).map(tuple)
)
MESSAGES = st.one_of(
    st.builds(Ping),
    st.builds(Pong),
    st.builds(WhoAreYou),
    st.builds(Stored, st.binary(min_size=1, max_size=40)),
    st.builds(FindNode, st.binary(min_size=20, max_size=20), st.booleans(), st.binary(max_size=200)),
    st.builds(Found, st.lists(CONTACTS, max_size=3).map(tuple), st.lists(RECORDS, max_size=1).map(tuple)),
    st.builds(Store, SIGNED, st.binary(min_size=20, max_size=400)),
)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    MESSAGES,
    st.sampled_from(["us", "", "other"]),
    st.sampled_from([0, 1 << 50, int(NOW * 1000)]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([b"", b"x", SHOWN[2], SHOWN[3]]),
)
def test_any_message_of_a_member_raises_nothing_and_reflects_little(
    message: Message, to: str, wall_ms: int, is_answer: bool, is_node: bool, credential: bytes
) -> None:
    node = Deaf()
    prefix = {"us": node.requests.id[:TO_BYTES], "": b"", "other": b"\xff\xfe\xfd\xfc"}[to]
    body = Body(1, prefix, wall_ms, b"12345678", is_answer, is_node, key_of(2).public, credential, message)
    datagram = seal_packet(BOX, key_of(2), body)
    was_taken = node.received(datagram)
    # A full Store has no room for a credential: whoever does not know its sender says so.
    is_request = isinstance(message, Ping | FindNode) or (isinstance(message, Store) and credential == b"")
    allowed = is_request and to != "other" and not is_answer and wall_ms == int(NOW * 1000)
    assert was_taken <= allowed
    assert node.wire.queued_bytes <= 3 * len(datagram)
    assert node.records.count == 0
    if was_taken:
        assert not node.received(datagram), "the same once more"
    assert not any(heard.is_answer for heard in node.heard)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 40), st.lists(ADDRESSES, min_size=1, max_size=1), st.integers(0, 1 << 40), st.data())
def test_records_prove_their_key_and_a_changed_byte_disproves_it(
    count: int, addresses: list[Address], expires: int, data: st.DataObject
) -> None:
    listed = keys(count)
    signed = sign_batch(key_of(1), tuple(addresses), listed, expires=expires, sequence=1)
    position = data.draw(st.integers(0, count - 1))
    record = Record(signed, position, path_of(tree_of(listed), position))
    assert check_record(record, listed[position]).expires == expires
    encoded = bytearray(canonical.encode(record))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(RemoteProtocolError):
        check_record(canonical.decode(bytes(encoded), Record, limit_bytes=2000), listed[position])
