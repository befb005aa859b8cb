"""Provider batches: one signature over a provider, its addresses and up to 40 keys.

The keys go into the signature through a hash tree, so that a node can pass on one key's record with a short path
instead of all 40 keys, and whoever gets it checks the provider's own signature. A record therefore cannot be invented,
altered or moved to another key by the nodes that keep it. Pure; time is for the caller to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from blake3 import blake3

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey, check_signed
from swarm.limits import (
    ADDRESSES_MAX,
    DHT_BATCH_ADDRESSES_MAX_BYTES,
    DHT_BATCH_MAX_BYTES,
    DHT_KEYS_PER_BATCH_MAX,
)
from swarm.records import Address, Key, Seal

CONTEXT: Final = "provider-batch"
KEY_BYTES: Final = 20
TREE_HASH_BYTES: Final = 16
PATH_MAX: Final = 6  # 2**6 >= DHT_KEYS_PER_BATCH_MAX

DhtKey = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
TreeHash = Annotated[bytes, msgspec.Meta(min_length=TREE_HASH_BYTES, max_length=TREE_HASH_BYTES)]


class Batch(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Until ``expires`` (wall seconds), ``public`` provides the keys under ``tree``. A higher sequence is newer."""

    format: Literal[1]
    public: Key
    addresses: Annotated[tuple[Address, ...], msgspec.Meta(min_length=1, max_length=ADDRESSES_MAX)]
    expires: Annotated[int, msgspec.Meta(ge=0, le=(1 << 40))]
    sequence: Annotated[int, msgspec.Meta(ge=0, le=(1 << 62))]
    count: Annotated[int, msgspec.Meta(ge=1, le=DHT_KEYS_PER_BATCH_MAX)]
    tree: TreeHash


class SignedBatch(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The batch's bytes and the provider's seal, as they travel."""

    body: Annotated[bytes, msgspec.Meta(max_length=DHT_BATCH_MAX_BYTES)]
    seal: Seal


class Record(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One key of a batch, as it is passed on: the signed batch, the key's position and the path to the tree's top."""

    batch: SignedBatch
    position: Annotated[int, msgspec.Meta(ge=0, lt=DHT_KEYS_PER_BATCH_MAX)]
    path: Annotated[tuple[TreeHash, ...], msgspec.Meta(max_length=PATH_MAX)]


def sign_batch(
    key: PeerKey, addresses: tuple[Address, ...], keys: Sequence[bytes], *, expires: int, sequence: int
) -> SignedBatch:
    """One signature for up to DHT_KEYS_PER_BATCH_MAX keys, in this order."""
    batch = Batch(1, key.public, addresses, expires, sequence, len(keys), tree_of(keys)[-1][0])
    body = canonical.encode(batch)
    return SignedBatch(body, key.sign(CONTEXT, body))


def open_batch(signed: SignedBatch) -> Batch:
    """The batch, if its provider signed it. RemoteProtocolError."""
    batch = canonical.decode(signed.body, Batch, limit_bytes=DHT_BATCH_MAX_BYTES)
    check_signed(batch.public, CONTEXT, signed.body, signed.seal)
    return batch


def fitting(addresses: Sequence[Address]) -> tuple[Address, ...]:
    """As many of the first addresses as a batch has room for."""
    kept: list[Address] = []
    room = DHT_BATCH_ADDRESSES_MAX_BYTES
    for address in addresses[:ADDRESSES_MAX]:
        room -= len(canonical.encode(address))
        if room >= 0:
            kept.append(address)
    return tuple(kept)


def tree_of(keys: Sequence[bytes]) -> list[list[bytes]]:
    """The levels of the hash tree, leaves first. An odd one out rises as it is."""
    level = [_hash(b"\0" + key) for key in keys]
    levels = [level]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [_hash(b"\1" + pair[0] + pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]
        levels.append(level)
    return levels


def path_of(levels: list[list[bytes]], position: int) -> tuple[bytes, ...]:
    """The hashes beside the way from a leaf to the top."""
    path: list[bytes] = []
    for level in levels[:-1]:
        beside = position ^ 1
        if beside < len(level):
            path.append(level[beside])
        position >>= 1
    return tuple(path)


def check_record(record: Record, key: bytes) -> Batch:
    """The batch, if its provider signed it over this very key. RemoteProtocolError."""
    batch = canonical.decode(record.batch.body, Batch, limit_bytes=DHT_BATCH_MAX_BYTES)
    if record.position >= batch.count:
        raise RemoteProtocolError("a provider record has a position outside its batch")
    at = _hash(b"\0" + key)
    position, width, path = record.position, batch.count, list(record.path)
    while width > 1:
        if position ^ 1 < width:
            if not path:
                raise RemoteProtocolError("a provider record has a short path")
            beside = path.pop(0)
            at = _hash(b"\1" + (beside + at if position & 1 else at + beside))
        position, width = position >> 1, (width + 1) >> 1
    if path or at != batch.tree:
        raise RemoteProtocolError("a provider record is for another key than its provider signed")
    check_signed(batch.public, CONTEXT, record.batch.body, record.batch.seal)
    return batch


def _hash(data: bytes) -> bytes:
    return blake3(data).digest(length=TREE_HASH_BYTES)
