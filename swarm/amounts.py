"""Bytes, times, rates and shares as people write them (UsageError for anything else), and times as they read them."""

from __future__ import annotations

import re
from typing import Final

from swarm.errors import UsageError

SPAN_MAX_S: Final = 36_500 * 86_400
BYTES_MAX: Final = (1 << 42) - 1
_SPANS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_UNITS: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BITS: Final = {"kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
_RATE: Final = re.compile(r"(\d{1,6})(kbit|mbit|gbit)")
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)%")


def span_of(text: str) -> int:
    """A time in seconds, from ``0s`` to ``36500d``."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in _SPANS) or int(number) * _SPANS[unit] > SPAN_MAX_S:
        raise UsageError(f"{text[:40]!r} is not a time: write 0s, 30m, 12h or 30d")
    return int(number) * _SPANS[unit]


def bytes_of(text: str) -> int:
    """A number of bytes: ``500000000``, ``20GB``."""
    number = text.strip().rstrip("bBkKmMgGtT")
    unit = text.strip()[len(number) :].upper()
    try:
        found = float(number) * _UNITS[unit]
    except (KeyError, ValueError):
        raise UsageError(f"{text[:40]!r} is not a number of bytes: write 500000000, 20GB or 1.5TB") from None
    if not 0 <= found <= BYTES_MAX:
        raise UsageError(f"{text[:40]!r} is out of bounds: at most {BYTES_MAX} bytes")
    return int(found)


def rate_of(text: str) -> float:
    """Bytes a second of a link: ``50mbit``."""
    matched = _RATE.fullmatch(text.strip().lower())
    if matched is None or not int(matched[1]):
        raise UsageError(f"{text[:40]!r} is no rate of a link: write 50mbit or 1gbit")
    return int(matched[1]) * _BITS[matched[2]] / 8


def share_of(text: str) -> float:
    """A share from 0 to 1: ``5%``, ``0.5%``."""
    matched = _SHARE.fullmatch(text.strip())
    if matched is None or float(matched[1]) > 100:
        raise UsageError(f"{text[:40]!r} is no share: write 5% or 0.5%")
    return float(matched[1]) / 100
