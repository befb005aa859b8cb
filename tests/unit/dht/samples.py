"""Keys, batches and contacts for tests of the DHT's parts."""

from __future__ import annotations

from swarm import authority
from swarm.authority import Authority
from swarm.dht.batch import SignedBatch, sign_batch
from swarm.dht.wire import Contact
from swarm.identity import PeerKey
from swarm.records import Address

NOW = 1_800_000_000.0
HERE = (Address("192.0.2.1", 7071),)
SECRET = bytes(range(32))
CA: Authority = authority.create(PeerKey(bytes(range(32, 64))), NOW)


def key_of(number: int) -> PeerKey:
    return PeerKey(number.to_bytes(32, "big"))


def keys(count: int, start: int = 0) -> list[bytes]:
    return [number.to_bytes(20, "big") for number in range(start, start + count)]


def batch_of(number: int, listed: list[bytes], *, sequence: int = 1, lives_s: int = 100) -> SignedBatch:
    return sign_batch(key_of(number), HERE, listed, expires=int(NOW) + lives_s, sequence=sequence)


def credential_of(number: int, ca: Authority = CA) -> bytes:
    return ca.admit(key_of(number).public, "peer", "", (), NOW).credential


def contact_of(number: int) -> Contact:
    return Contact(key_of(number).public, f"192.0.2.{number % 250 + 1}", 7071)


def node_at(number: int) -> bytes:
    """A node id at a place of the key space, as a number."""
    return number.to_bytes(20, "big")
