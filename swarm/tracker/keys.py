"""The swarm's own keys in the object store: the CA at ``swarm/ca``, the DHT secret at ``swarm/secret``.

They are made once, by whichever tracker comes first (put-if-absent), and lie there sealed with the store key, which
only trackers' homes have. A wrong store key, and bytes that somebody changed, are refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from swarm import authority, canonical
from swarm.authority import Authority
from swarm.errors import IntegrityError, NotAllowedError, UsageError
from swarm.identity import PeerKey
from swarm.limits import RECORD_MAX_BYTES
from swarm.objects import ObjectStore
from swarm.signature import keyed

CA_KEY: Final = "swarm/ca"
SECRET_KEY: Final = "swarm/secret"
STORE_KEY_BYTES: Final = 32


class KeptAuthority(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The CA as it lies in the store, inside its seal."""

    format: Literal[1]
    seed: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    certificate: bytes


class KeptSecret(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The DHT secret as it lies in the store, inside its seal."""

    format: Literal[1]
    secret: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


@dataclass(frozen=True, slots=True)
class SwarmKeys:
    """The CA and the 32-byte DHT secret."""

    authority: Authority
    secret: bytes

    def __repr__(self) -> str:
        return f"<SwarmKeys {self.authority.fingerprint.hex()[:8]}>"


def load_or_create(objects: ObjectStore, store_key: bytes, wall_now: float) -> SwarmKeys:
    """The keys of the swarm over this store; made now if there are none. All racing callers get the same.

    Raises NotAllowedError for another store key than the swarm was made with.
    """
    if len(store_key) != STORE_KEY_BYTES:
        raise UsageError(f"a store key has {STORE_KEY_BYTES} bytes, not {len(store_key)}")
    if not objects.list(CA_KEY, limit=1):
        made = authority.create(PeerKey(os.urandom(32)), wall_now)
        objects.put_if_absent(CA_KEY, _close(store_key, CA_KEY, KeptAuthority(1, made.key.seed, made.certificate)))
    if not objects.list(SECRET_KEY, limit=1):
        objects.put_if_absent(SECRET_KEY, _close(store_key, SECRET_KEY, KeptSecret(1, os.urandom(32))))
    kept = canonical.decode(_open(objects, store_key, CA_KEY), KeptAuthority, limit_bytes=RECORD_MAX_BYTES)
    secret = canonical.decode(_open(objects, store_key, SECRET_KEY), KeptSecret, limit_bytes=RECORD_MAX_BYTES)
    key = PeerKey(kept.seed)
    if authority.public_of_root(kept.certificate) != key.public:
        raise IntegrityError(f"{CA_KEY} in the object store holds a root of another key: restore it from a backup")
    return SwarmKeys(Authority(key, kept.certificate), secret.secret)


def _box(store_key: bytes, purpose: str) -> SecretBox:
    return SecretBox(keyed(store_key, b"aetherfs:" + purpose.encode()))


def _close(store_key: bytes, purpose: str, kept: KeptAuthority | KeptSecret) -> bytes:
    return bytes(_box(store_key, purpose).encrypt(canonical.encode(kept)))


def _open(objects: ObjectStore, store_key: bytes, purpose: str) -> bytes:
    try:
        return bytes(_box(store_key, purpose).decrypt(objects.get(purpose)))
    except (CryptoError, ValueError) as error:
        raise NotAllowedError(
            f"the object store holds a swarm that this home's store key does not open ({purpose}): "
            "use the home that made it, join that swarm as a tracker, or choose another --store"
        ) from error
