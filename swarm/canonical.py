"""Canonical bytes: every structure has exactly one encoding.

msgpack of fixed arrays (msgspec structs with ``array_like=True``), whose first element is the format version. msgspec
accepts over-long integers, extra items and duplicate keys, so after decoding we encode again and refuse a difference of
one byte. Bytes can therefore be hashed and signed as they came. Pure.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from swarm.errors import LocalProtocolError, RemoteProtocolError

T = TypeVar("T")

REASON_MAX_CHARS: Final = 200

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
# msgspec crashes when two threads look at a struct for the first time at once.
_making = threading.Lock()


def encode(value: object) -> bytes:
    """The canonical bytes of a struct or plain value. Raises LocalProtocolError for what msgpack cannot say."""
    try:
        return _encoder.encode(value)
    except (TypeError, OverflowError, ValueError, UnicodeEncodeError) as error:
        raise LocalProtocolError(f"cannot encode {type(value).__name__}: {error}") from error


def encode_joined(values: Sequence[object]) -> bytes:
    """The canonical bytes of fewer than 65,536 values, one behind the other, in one call. Raises as ``encode``."""
    # They are those of the array but for its header: one byte up to 15 values, else three.
    return encode(values)[1 if len(values) < 16 else 3 :]


def decode(data: bytes | bytearray | memoryview, kind: type[T], *, limit_bytes: int, what: str = "") -> T:
    """Decode canonical bytes as ``kind``, or raise RemoteProtocolError.

    ``limit_bytes`` bounds the input; ``what`` names the structure in the message (default: the type's name).
    """
    label = what or kind.__name__
    if len(data) > limit_bytes:
        raise RemoteProtocolError(f"{label} has {len(data)} bytes, the limit is {limit_bytes}")
    try:
        value: T = _decoder(kind).decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as error:
        raise RemoteProtocolError(f"{label} is malformed: {_reason(error)}") from error
    if encode(value) != data:
        raise RemoteProtocolError(f"{label} is not in canonical form")
    return value


def _reason(error: Exception) -> str:
    """Why, in a line for people: it may show what came, which may be long and hold anything."""
    text = str(error)[:REASON_MAX_CHARS]
    return text if text.isprintable() else ascii(text)[1:-1]


def _decoder(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    found = _decoders.get(kind)
    if found is None:
        with _making:
            found = _decoders.get(kind)
            if found is None:
                found = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    return found


def try_decode(data: bytes | memoryview, kind: type[T], *, limit_bytes: int) -> T | None:
    """As ``decode``, with None for what is malformed: for caches of ours, where a damaged one is simply absent."""
    with contextlib.suppress(RemoteProtocolError):
        return decode(data, kind, limit_bytes=limit_bytes)
    return None


def agree_version(theirs: tuple[int, int], ours: tuple[int, int]) -> int:
    """The highest protocol version that both (lowest, highest) ranges hold, or RemoteProtocolError."""
    version = min(theirs[1], ours[1])
    if theirs[0] > theirs[1] or version < max(theirs[0], ours[0]):
        raise RemoteProtocolError(
            f"no common protocol version: they speak {theirs[0]} to {theirs[1]}, we {ours[0]} to {ours[1]}; "
            "update the older side"
        )
    return version
