"""What lies in the object store sealed with the store key: keys. A box opens only at the place that it was made for."""

from __future__ import annotations

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from swarm import canonical
from swarm.errors import NotAllowedError
from swarm.objects import ObjectStore
from swarm.signature import keyed


def close_box(store_key: bytes, key: str, kept: msgspec.Struct) -> bytes:
    """The bytes to be written at ``key``."""
    return bytes(_box(store_key, key).encrypt(canonical.encode(kept)))


def open_box(objects: ObjectStore, store_key: bytes, key: str) -> bytes:
    """What the box at ``key`` holds. NotAllowedError for another store key, NotFoundError."""
    try:
        return bytes(_box(store_key, key).decrypt(objects.get(key)))
    except (CryptoError, ValueError) as error:
        raise NotAllowedError(
            f"the object store holds a swarm that this secret does not open ({key}): use the home or the secret "
            "file of that swarm, join it with a token of role tracker, or choose another --store"
        ) from error


def _box(store_key: bytes, purpose: str) -> SecretBox:
    return SecretBox(keyed(store_key, b"aetherfs:" + purpose.encode()))
