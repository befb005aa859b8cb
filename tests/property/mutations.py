"""Bytes near good ones: what a stranger sends who knows the format. Pure; the same seed makes the same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, Final

import msgpack  # type: ignore[import-untyped, unused-ignore]

CHANGES_MAX: Final = 3
# Heads of msgpack's types and lengths, and ends of ranges.
BYTES: Final = bytes([0x00, 0x01, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, *range(0xC0, 0xE0), 0xFF])
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2, 127, 128, 1 << 31, (1 << 32) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
    *(-(1 << 63), 0.5, float("nan"), float("inf"), b"", b"\0", bytes(31), bytes(32), bytes(64), bytes(65_536)),
    *("", "a", "\0", "..", "/", "a/b", "a:b", "é", "e\u0301", "\U0001f30d", "x" * 300, [], {}, [[]], [None] * 65),
)


def mutated(good: bytes, seed: int) -> bytes:
    """A few changes of bytes, or of the structure where it is msgpack."""
    rng = random.Random(seed)
    data = good
    for _ in range(rng.randint(1, CHANGES_MAX)):
        data = rng.choice((*_CHANGES, _structure, _structure, _structure))(data, rng)
    return data


def _place(data: bytes, rng: random.Random) -> int:
    return rng.randint(0, len(data))


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _set(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([rng.choice(BYTES)]) + data[at + 1 :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.choice((bytes([rng.choice(BYTES)]), rng.randbytes(rng.randint(1, 9)))) + data[at:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 8, len(data))) :]


def _double(data: bytes, rng: random.Random) -> bytes:
    at, length = _place(data, rng), rng.choice((1, 2, 8, 32))
    return data[: at + length] + data[at:]


def _structure(data: bytes, rng: random.Random) -> bytes:
    """One value of the structure is another, is there twice, or is not there."""
    if data[:1] == b"{":
        return _json_structure(data, rng)
    try:
        top = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except Exception:  # whatever msgpack thinks of what is none
        return _set(data, rng)
    inside = _lists(top)
    if not inside:
        return _set(data, rng)
    values = rng.choice(inside)
    at = rng.randrange(len(values) + 1)
    values[at : at + rng.randrange(2)] = rng.choice(([rng.choice(VALUES)], values[:1], list(reversed(values)), []))
    try:
        return bytes(msgpack.packb(top))
    except (ValueError, TypeError, OverflowError, RecursionError, UnicodeError):
        return _set(data, rng)


def _json_structure(data: bytes, rng: random.Random) -> bytes:
    """The same where it is JSON: a field has another value, or a field is there that nobody knows, or one is not."""
    try:
        top = json.loads(data)
    except (ValueError, RecursionError):
        return _set(data, rng)
    inside = _objects(top)
    if not inside:
        return _set(data, rng)
    fields = rng.choice(inside)
    name = rng.choice([*fields, "another"])
    if rng.random() < 0.2:
        fields.pop(name, None)
    else:
        fields[name] = rng.choice([value for value in VALUES if not isinstance(value, bytes)] + [fields, "=" * 9])
    try:
        return json.dumps(top).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return b"[" * 2000 + data


def _objects(value: Any) -> list[dict[str, Any]]:
    """Every object in a structure."""
    if isinstance(value, list):
        return [found for inner in value for found in _objects(inner)]
    if not isinstance(value, dict):
        return []
    return [value, *(found for inner in value.values() for found in _objects(inner))]


def _lists(value: Any) -> list[list[Any]]:
    """Every list in a structure."""
    if not isinstance(value, list):
        return []
    return [value, *(found for inner in value for found in _lists(inner))]


_CHANGES: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (_flip, _set, _insert, _cut, _double)
