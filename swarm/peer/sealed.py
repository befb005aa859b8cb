"""Frames of a stream of runs, sealed one by one with AES-256-GCM instead of in TLS records.

TLS 1.3 tells both ends who the other is and carries the requests, and to the asker a key that the giver made for this
one stream and for this one direction. Frames then go past TLS on the same connection: a block is sealed and opened in
one step, by a library that uses the processor's widest instructions, where records take a step, two reads and a waking
for each 16 KiB. A frame is a sealed head (status and length) and, unless it is empty, a sealed payload. The nonce
counts what was sealed, so nothing can be left out, repeated or moved, and no nonce comes twice under a key.

What does not open was altered or cut on its way: ConnectionAbortedError, and nobody is blamed. No I/O.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from swarm.encoding import Encoded
from swarm.limits import ENCODED_MAX_BYTES
from swarm.peer.wire import FRAME

TAG_BYTES: Final = 16
NONCE_BYTES: Final = 12
HEAD_BYTES: Final = FRAME.size + TAG_BYTES
SEALED_MAX_BYTES: Final = HEAD_BYTES + ENCODED_MAX_BYTES + TAG_BYTES
# What a key may seal: RFC 8446 5.5 has 2**24.5 full records (2**38.5 bytes) for AES-GCM.
SEALED_PER_KEY_MAX_BYTES: Final = 1 << 38


class Sealer:
    """The giving end. ``key`` is used for nothing else."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._sealed = 0
        self._bytes = 0

    def seal(self, status: int, payload: Encoded | memoryview, into: memoryview) -> memoryview:
        """A frame, as the first bytes of ``into``, which holds SEALED_MAX_BYTES and is not where the payload lies."""
        self._step(FRAME.pack(status, len(payload)), into[:HEAD_BYTES])
        end = HEAD_BYTES + sealed_bytes(len(payload))
        if payload:
            self._step(payload, into[HEAD_BYTES:end])
        return into[:end]

    def _step(self, plain: Encoded | memoryview, into: memoryview) -> None:
        self._cipher.encrypt_into(_nonce(self._sealed), plain, None, into)
        self._sealed += 1
        self._bytes += len(plain)

    @property
    def is_spent(self) -> bool:
        """Whether this key has sealed as much as it may."""
        return self._bytes >= SEALED_PER_KEY_MAX_BYTES


class Opener:
    """The taking end."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._opened = 0

    def open(self, sealed: memoryview, into: memoryview) -> memoryview:
        """The next head, or payload, as the first bytes of ``into``. ConnectionAbortedError if it is not that."""
        if not sealed:
            return into[:0]
        plain = into[: len(sealed) - TAG_BYTES]
        try:
            self._cipher.decrypt_into(_nonce(self._opened), sealed, None, plain)
        except InvalidTag as error:
            raise ConnectionAbortedError("what came is not what was sent") from error
        self._opened += 1
        return plain


def sealed_bytes(length: int) -> int:
    """How long a payload of this length is, sealed."""
    return length + TAG_BYTES if length else 0


def _nonce(number: int) -> bytes:
    return number.to_bytes(NONCE_BYTES)
