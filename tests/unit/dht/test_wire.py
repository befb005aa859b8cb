"""Packets: their bytes, what is refused, and that the longest of each kind fits."""

from __future__ import annotations

import pytest
from nacl.secret import SecretBox

from swarm.dht.batch import Record, path_of, sign_batch, tree_of
from swarm.dht.keys import block_key, node_id, packet_key, tag_key, trackers_key, version_key
from swarm.dht.serve import CONTACTS_RESERVED_BYTES
from swarm.dht.wire import (
    ANSWER_FIXED_BYTES,
    FORMAT,
    PADDING_BYTES,
    STORE_FIXED_BYTES,
    Body,
    Contact,
    FindNode,
    Found,
    Message,
    Ping,
    Pong,
    Store,
    Stored,
    WhoAreYou,
    check_packet,
    joined,
    keys_per_packet,
    open_packet,
    seal_packet,
    split,
)
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.limits import DHT_CREDENTIAL_MAX_BYTES, DHT_PACKET_MAX_BYTES
from swarm.records import Address
from tests.unit.dht.samples import HERE, SECRET, batch_of, contact_of, credential_of, key_of, keys

BOX = SecretBox(packet_key(SECRET))
NONCE = bytes(24)


def body_of(message: Message, credential: bytes = b"", **changed: object) -> Body:
    given = {
        "format": 1,
        "to": b"abcd",
        "wall_ms": 1_800_000_000_000,
        "id": b"12345678",
        "is_answer": False,
        "is_node": True,
        "public": key_of(1).public,
        "credential": credential,
        "message": message,
    }
    return Body(**(given | changed))  # type: ignore[arg-type]


MESSAGES: dict[str, Message] = {
    "ping": Ping(),
    "pong": Pong(),
    "find": FindNode(keys(1)[0], True, b""),
    "found": Found((contact_of(2),), (Record(batch_of(2, keys(3)), 1, path_of(tree_of(keys(3)), 1)),)),
    "store": Store(batch_of(1, keys(2)), joined(keys(2))),
    "stored": Stored(b"\1\0"),
    "who": WhoAreYou(),
}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_packet_is_read_as_it_was_made(name: str) -> None:
    body = body_of(MESSAGES[name], credential_of(1) if name != "store" else b"")
    packet, read = open_packet(BOX, seal_packet(BOX, key_of(1), body))
    check_packet(packet, read)
    assert read == body


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_packet_signed_by_another_than_it_names_is_refused(name: str) -> None:
    packet, read = open_packet(BOX, seal_packet(BOX, key_of(2), body_of(MESSAGES[name])))
    with pytest.raises(RemoteProtocolError, match="not signed"):
        check_packet(packet, read)


def test_without_the_swarms_key_nothing_is_made_or_read() -> None:
    datagram = seal_packet(BOX, key_of(1), body_of(Ping()))
    other = SecretBox(packet_key(b"o" * 32))
    with pytest.raises(RemoteProtocolError, match="not sealed"):
        open_packet(other, datagram)
    with pytest.raises(RemoteProtocolError, match="not sealed"):
        open_packet(BOX, seal_packet(other, key_of(1), body_of(Ping())))


@pytest.mark.parametrize("position", range(0, 260, 7))
def test_a_changed_byte_is_noticed(position: int) -> None:
    datagram = bytearray(seal_packet(BOX, key_of(1), body_of(FindNode(keys(1)[0], True, bytes(60)))))
    datagram[position] ^= 1
    with pytest.raises(RemoteProtocolError):
        open_packet(BOX, bytes(datagram))


def test_equal_bodies_make_packets_that_differ() -> None:
    body = body_of(Ping())
    assert seal_packet(BOX, key_of(1), body) != seal_packet(BOX, key_of(1), body)


def test_the_longest_of_each_kind_fits() -> None:
    credential = b"c" * DHT_CREDENTIAL_MAX_BYTES
    for message in (Ping(), Pong(), WhoAreYou(), Stored(bytes(40)), FindNode(keys(1)[0], True, b"")):
        assert len(seal_packet(BOX, key_of(1), body_of(message, credential))) <= DHT_PACKET_MAX_BYTES
    for addresses in (HERE, (Address("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535),) * 6, (Address("h" * 250, 1),)):
        listed = keys(keys_per_packet(addresses))
        signed = sign_batch(key_of(1), addresses, listed, expires=1 << 40, sequence=1 << 62)
        store = body_of(Store(signed, joined(listed)), wall_ms=1 << 50)
        assert len(seal_packet(BOX, key_of(1), store)) <= DHT_PACKET_MAX_BYTES
        assert len(listed) >= 20
    assert keys_per_packet(HERE) == 40


def test_the_bytes_that_are_reckoned_with_are_enough() -> None:
    answer = body_of(Found((), ()), wall_ms=1 << 50, is_answer=True)
    assert len(seal_packet(BOX, key_of(1), answer)) <= ANSWER_FIXED_BYTES
    signed = sign_batch(key_of(1), (), [keys(1)[0]], expires=1 << 40, sequence=1 << 62)
    store = body_of(Store(signed, keys(1)[0]), wall_ms=1 << 50)
    assert len(seal_packet(BOX, key_of(1), store)) <= STORE_FIXED_BYTES + 20
    assert CONTACTS_RESERVED_BYTES >= 4 * 48


def test_a_padded_request_is_at_least_a_third_of_the_longest_answer() -> None:
    bare = body_of(FindNode(keys(1)[0], True, bytes(PADDING_BYTES)))
    shown = body_of(FindNode(keys(1)[0], True, bytes(PADDING_BYTES)), b"c" * DHT_CREDENTIAL_MAX_BYTES)
    for body in (bare, shown):
        assert 3 * len(seal_packet(BOX, key_of(1), body)) >= DHT_PACKET_MAX_BYTES


def test_a_packet_of_ours_that_is_too_long_is_a_defect() -> None:
    with pytest.raises(LocalProtocolError):
        seal_packet(
            BOX, key_of(1), body_of(Found(tuple(contact_of(n) for n in range(16)), ()), b"c" * 450, id=b"8" * 8)
        )


def test_keys_of_a_store_are_whole() -> None:
    assert split(joined(keys(3))) == tuple(keys(3))
    with pytest.raises(RemoteProtocolError, match="20 bytes each"):
        split(bytes(41))


def test_contacts_are_numeric_in_length() -> None:
    named = Found((Contact(key_of(1).public, "h" * 46, 1),), ())
    with pytest.raises(RemoteProtocolError, match="malformed"):
        open_packet(BOX, seal_packet(BOX, key_of(1), body_of(named)))


def test_ids_and_keys_are_apart_and_keyed() -> None:
    public = key_of(1).public
    made = [
        node_id(SECRET, public),
        block_key(SECRET, public),
        version_key(SECRET, "s/a", public),
        tag_key(SECRET, "s/a", "latest"),
        trackers_key(SECRET),
        node_id(b"o" * 32, public),
    ]
    assert len(set(made)) == len(made)
    assert all(len(key) == 20 for key in made)
    assert version_key(SECRET, "s/a", b"b" * 32) != version_key(SECRET, "s/ab", b"b" * 31 + b"\0")


def test_the_format_byte() -> None:
    assert seal_packet(BOX, key_of(1), body_of(Ping()), NONCE)[0] == FORMAT
