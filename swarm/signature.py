"""Signatures: BLAKE3-256 of plain bytes, 32 bytes in structures, 64 lower-case hex digits in text. One hash, no
agility.
"""

from __future__ import annotations

import re
from typing import Final

from blake3 import blake3

from swarm.errors import UsageError

SIGNATURE_BYTES: Final = 32
_HEX = re.compile(r"[0-9a-f]{64}")


def signature_of(data: bytes | bytearray | memoryview) -> bytes:
    """The 32-byte signature of plain bytes. Releases the GIL for long input."""
    return blake3(data).digest()


def keyed(key: bytes, data: bytes, length: int = SIGNATURE_BYTES) -> bytes:
    """BLAKE3 keyed with a 32-byte key, ``length`` bytes: for ids that tell nothing without the key."""
    return blake3(data, key=key).digest(length=length)


def from_hex(text: str) -> bytes:
    """Parse 64 lower-case hex digits, or raise UsageError."""
    if not _HEX.fullmatch(text):
        raise UsageError(f"{text[:80]!r} is not a signature: expected 64 lower-case hex digits")
    return bytes.fromhex(text)
