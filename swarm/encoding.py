"""Encoded blocks: how plain bytes travel and lie in stores.

One codec byte and a payload: ``raw``, or ``zstd`` when that saves 5% or more. The signature is over the plain bytes, so
two holders may encode one block differently. A frame that does not state its size, or states another than is expected,
is refused before a byte of it is decoded (the decoder's own limit is ignored when the frame states its size).
"""

from __future__ import annotations

import threading
import time
from typing import Final

import zstandard

from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.limits import BLOCK_MAX_BYTES, ENCODED_MAX_BYTES, ENCODING_MIN_SAVING
from swarm.signature import signature_of

RAW: Final = 0
ZSTD: Final = 1
ZSTD_LEVEL: Final = 3

# A block as it travels and lies in stores. Whoever is given one does not change it.
Encoded = bytes | bytearray

_local = threading.local()  # zstd contexts may not be shared by threads


def encode_block(plain: bytes | bytearray | memoryview) -> bytes:
    """Encode up to BLOCK_MAX_BYTES of plain bytes. LocalProtocolError for more."""
    if len(plain) > BLOCK_MAX_BYTES:
        raise LocalProtocolError(f"a block of {len(plain)} bytes was about to be made, the limit is {BLOCK_MAX_BYTES}")
    return _compressed(plain) or encode_raw(plain)


def encode_raw(plain: bytes | bytearray | memoryview) -> bytes:
    """Encode without compression."""
    return b"".join((b"\x00", plain))


def smaller(raw: Encoded) -> Encoded:
    """A raw encoded block as ``encode_block`` would have it: the same object when compression saves too little."""
    began = time.perf_counter()
    packed = _compressed(memoryview(raw)[1:])
    compressed.add(time.perf_counter() - began, len(raw))
    return packed or raw


class Spent:
    """Time and bytes that went through something in this process, in all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = 0.0
        self._bytes = 0

    def add(self, seconds: float, size_bytes: int) -> None:
        with self._lock:
            self._seconds += seconds
            self._bytes += size_bytes

    def read(self) -> tuple[float, int]:
        """Seconds, and bytes."""
        with self._lock:
            return self._seconds, self._bytes


# Of blocks that are published: so a publish can tell what it spent there.
compressed: Final = Spent()


def _compressed(plain: bytes | bytearray | memoryview) -> bytes | None:
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_content_size=True)
    packed = compressor.compress(plain)
    return b"\x01" + packed if len(packed) <= len(plain) * (1 - ENCODING_MIN_SAVING) else None


def decode_block(encoded: bytes | bytearray | memoryview, size: int | None) -> bytes | memoryview:
    """The plain bytes of an encoded block of ``size`` plain bytes (None: any up to the limit), or RemoteProtocolError.

    A raw block comes back as a view of the input.
    """
    if not 1 <= len(encoded) <= ENCODED_MAX_BYTES:
        raise RemoteProtocolError(f"an encoded block has {len(encoded)} bytes, the limit is {ENCODED_MAX_BYTES}")
    payload = memoryview(encoded)[1:]
    if encoded[0] == RAW:
        if size is not None and len(payload) != size:
            raise RemoteProtocolError(f"a block has {len(payload)} bytes where {size} are due")
        return payload
    if encoded[0] != ZSTD:
        raise RemoteProtocolError(f"codec {encoded[0]} is unknown")
    return _decompress(payload, size)


def _decompress(payload: memoryview, size: int | None) -> bytes:
    try:
        stated = zstandard.frame_content_size(payload)
    except zstandard.ZstdError as error:
        raise RemoteProtocolError(f"a zstd block is malformed: {error}") from error
    if stated < 0 or stated > BLOCK_MAX_BYTES or (size is not None and stated != size):
        raise RemoteProtocolError(f"a zstd block states {stated} bytes where {size or BLOCK_MAX_BYTES} are due")
    decompressor: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if decompressor is None:
        decompressor = _local.decompressor = zstandard.ZstdDecompressor()
    try:
        plain = decompressor.decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise RemoteProtocolError(f"a zstd block is malformed: {error}") from error
    if len(plain) != stated:
        raise RemoteProtocolError(f"a zstd block holds {len(plain)} bytes and states {stated}")
    return plain


def open_block(
    encoded: bytes | bytearray | memoryview, signature: bytes, size: int | None = None
) -> bytes | memoryview:
    """Decode and verify a block. RemoteProtocolError if it is not the one that the signature names."""
    plain = decode_block(encoded, size)
    if signature_of(plain) != signature:
        raise RemoteProtocolError(f"a block is not {signature.hex()[:16]}: its bytes have another signature")
    return plain
