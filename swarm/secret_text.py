"""The swarm secret: one line of text from which a tracker or a seed starts over the swarm's object store.

    aetherfs-secret1.<base64url without padding of: canonical [format, salt, key] + checksum>

It holds the store key, which opens the swarm's own keys in the object store: whoever has it and may write there is a
tracker. With a passphrase the key is sealed (XSalsa20-Poly1305 under argon2id of it); without one, ``salt`` is empty
and the text is as good as the key. The checksum tells a mutilated file from a wrong secret; it protects nothing. The
swarm's root, when it is taken offline, is a line of the same form behind ``aetherfs-root1.``, and always sealed.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import NotAllowedError, RemoteProtocolError, UsageError
from swarm.limits import PASSPHRASE_MAX_BYTES, SECRET_MAX_CHARS
from swarm.signature import signature_of

PASSPHRASE_VARIABLE: Final = "AETHERFS_PASSPHRASE"
CHECKSUM_BYTES: Final = 4
STORE_KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
# RFC 9106, section 4: the second recommended choice, with the one lane that libsodium has. They belong to format 1.
ARGON2_PASSES: Final = 3
ARGON2_MEMORY_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kind:
    """What a text holds: how it begins, what it is called, and which command writes it."""

    prefix: str
    name: str
    command: str
    variable: str


SECRET: Final = Kind("aetherfs-secret1.", "swarm secret", "aetherfs secret export FILE", PASSPHRASE_VARIABLE)
ROOT: Final = Kind("aetherfs-root1.", "swarm's root", "aetherfs root export FILE", "AETHERFS_ROOT_PASSPHRASE")
PREFIX: Final = SECRET.prefix


class SecretBody(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the text holds: ``key`` is the store key itself, or with a salt the sealed one."""

    format: Literal[1]
    salt: Annotated[bytes, msgspec.Meta(max_length=SALT_BYTES)]
    key: Annotated[bytes, msgspec.Meta(min_length=STORE_KEY_BYTES, max_length=128)]

    def __repr__(self) -> str:
        """Without the key: this ends up in logs otherwise."""
        return f"<SecretBody {'sealed' if self.salt else 'open'}>"


def format_secret(store_key: bytes, passphrase: bytes = b"", kind: Kind = SECRET) -> str:
    """The one line of text around a store key; sealed if there is a passphrase, which takes 0.1 s."""
    body = SecretBody(1, b"", store_key)
    if passphrase:
        salt = os.urandom(SALT_BYTES)
        body = SecretBody(1, salt, _seal(store_key, salt, passphrase))
    return _text_of(canonical.encode(body), kind)


def parse_secret(text: str, kind: Kind = SECRET) -> SecretBody:
    """Parse the text (white space around it is dropped), or raise UsageError that says how it is mutilated."""
    text = text.strip()
    if not text.startswith(kind.prefix):
        raise UsageError(
            f"this is not a {kind.name}: it does not start with {kind.prefix!r}; write it anew with "
            f"`{kind.command}` on a tracker's home"
        )
    encoded = text[len(kind.prefix) :]
    try:
        data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        payload = data[:-CHECKSUM_BYTES]
        if len(text) > SECRET_MAX_CHARS or _text_of(payload, kind) != text:
            raise ValueError("its checksum does not match")
        body = canonical.decode(payload, SecretBody, limit_bytes=SECRET_MAX_CHARS)
    except (binascii.Error, ValueError, RemoteProtocolError) as error:
        raise UsageError(f"the {kind.name} is mutilated or cut short ({error}): copy the whole file again") from error
    if len(body.salt) not in (0, SALT_BYTES) or (not body.salt and len(body.key) != STORE_KEY_BYTES):
        raise UsageError("the swarm secret is mutilated: its parts do not fit; copy the whole file again")
    return body


def open_secret(body: SecretBody, passphrase: bytes = b"", kind: Kind = SECRET) -> bytes:
    """The store key. NotAllowedError for a passphrase that is missing or wrong."""
    if not body.salt:
        return body.key
    if not passphrase:
        raise NotAllowedError(
            f"the {kind.name} is sealed with a passphrase: give it with --passphrase-file FILE or in {kind.variable}"
        )
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        key = bytes(SecretBox(_derived(passphrase, body.salt)).decrypt(body.key))
    except (CryptoError, ValueError) as error:
        raise NotAllowedError(f"the passphrase does not open the {kind.name}: give the one that sealed it") from error
    if len(key) != STORE_KEY_BYTES:
        raise UsageError("the swarm secret is mutilated: its parts do not fit; copy the whole file again")
    return key


def check_passphrase(passphrase: bytes) -> bytes:
    """The passphrase, or UsageError for one that is longer than it may be."""
    if len(passphrase) > PASSPHRASE_MAX_BYTES:
        raise UsageError(f"a passphrase has at most {PASSPHRASE_MAX_BYTES} bytes: is that the right file?")
    return passphrase


def _seal(store_key: bytes, salt: bytes, passphrase: bytes) -> bytes:
    from nacl.secret import SecretBox

    return bytes(SecretBox(_derived(passphrase, salt)).encrypt(store_key))


def _derived(passphrase: bytes, salt: bytes) -> bytes:
    from nacl.pwhash import argon2id

    return bytes(
        argon2id.kdf(
            STORE_KEY_BYTES,
            check_passphrase(passphrase),
            salt,
            opslimit=ARGON2_PASSES,
            memlimit=ARGON2_MEMORY_BYTES,
        )
    )


def _text_of(payload: bytes, kind: Kind) -> str:
    checksum = signature_of(payload)[:CHECKSUM_BYTES]
    return kind.prefix + base64.urlsafe_b64encode(payload + checksum).decode().rstrip("=")
