"""Sealing what lies on a disk with a local key, so that a disk that is stolen or sold tells nothing. No I/O.

    sealed bytes: magic (4) | salt (24, random) | AES-256-GCM of the plain bytes, and its tag (16)

Each sealing has a key of its own, BLAKE3 keyed with the seal key over the salt, so the nonce can be fixed and no number
of blocks wears a key out (a nonce drawn at random would: NIST SP 800-38D allows 2^32 of them). What it is sealed as, a
block's signature or a file's name, is authenticated with it, so that nothing can be put in another's place. Names of
files are sealed deterministically (AES-SIV, RFC 5297): the same block has the same name, which tells nothing of it.
"""

from __future__ import annotations

import os
from typing import Final

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV

from swarm.errors import RemoteProtocolError, UsageError

KEY_BYTES: Final = 32
MAGIC: Final = b"AFS\x01"
SALT_BYTES: Final = 24
OVERHEAD_BYTES: Final = len(MAGIC) + SALT_BYTES + 16
NONCE: Final = bytes(12)


class SealKey:
    """A seal key of 32 bytes. ``id`` names it, and ``password`` is what the TLS key's own format is sealed with."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise UsageError(f"a seal key has {KEY_BYTES} bytes, not {len(key)}")
        self.id = _derived(key, "id", 8).hex()
        self.password = _derived(key, "tls key", KEY_BYTES).hex()
        self._files = _derived(key, "files", KEY_BYTES)
        self._names = AESSIV(_derived(key, "names", 2 * KEY_BYTES))

    def seal(self, what: bytes, plain: bytes | bytearray, salt: bytes | None = None) -> bytes:
        """Seal bytes as ``what``. Without a salt a random one is taken, as it must be but for tests."""
        salt = salt or os.urandom(SALT_BYTES)
        return b"".join((MAGIC, salt, self._of(salt).encrypt(NONCE, plain, MAGIC + what)))

    def open(self, what: bytes, sealed: bytes) -> bytes:
        """The bytes that were sealed as ``what``. RemoteProtocolError for anything else, also one bit of it."""
        begin = len(MAGIC) + SALT_BYTES
        if len(sealed) < OVERHEAD_BYTES or not is_sealed(sealed):
            raise RemoteProtocolError("a file is not sealed, as all of this home are")
        try:
            return self._of(sealed[len(MAGIC) : begin]).decrypt(NONCE, memoryview(sealed)[begin:], MAGIC + what)
        except InvalidTag as error:
            raise RemoteProtocolError("a sealed file was altered, or sealed as something else") from error

    def name_of(self, signature: bytes) -> str:
        """The name that a block's file has."""
        return self._names.encrypt(signature, None).hex()

    def signature_of(self, name: str) -> bytes | None:
        """The signature behind a file's name; None for a name that is none of this key's."""
        try:
            return self._names.decrypt(bytes.fromhex(name), None)
        except (ValueError, InvalidTag):
            return None

    def _of(self, salt: bytes) -> AESGCM:
        return AESGCM(blake3(salt, key=self._files).digest())


def is_sealed(data: bytes) -> bool:
    """Whether bytes begin as sealed ones do."""
    return data.startswith(MAGIC)


def _derived(key: bytes, purpose: str, size: int) -> bytes:
    return blake3(key, derive_key_context=f"AetherFS 2026-11-26 at rest: {purpose}").digest(size)


def parse_seal_key(text: str) -> SealKey:
    """The key in a file, an environment variable or a credential: 64 hexadecimal digits. UsageError."""
    digits = text.strip()
    if len(digits) != 2 * KEY_BYTES or digits.strip("0123456789abcdefABCDEF"):
        raise UsageError("a seal key is 64 hexadecimal digits: `aetherfs seal new FILE` makes one")
    return SealKey(bytes.fromhex(digits))
