"""Bytes, rates, times and numbers with their nouns as people read them: in decimal units, as the program takes them
(``swarm.amounts``). Pure.

The dashboard's ``web/lib/format.js`` says the same to the letter, by the same arithmetic: what one page and one command
tell of one figure agrees.
"""

from __future__ import annotations

import math
from typing import Final

UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """Bytes: ``17 B``, ``1.2 MB``, ``123 GB``. Halves are rounded up."""
    amount, unit = abs(float(count)), 0
    while amount >= 999.5 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    sign = "-" if count < 0 else ""
    if unit == 0 or amount >= 99.95:
        return f"{sign}{math.floor(amount + 0.5)} {UNITS[unit]}"
    tenths = math.floor(10 * amount + 0.5)
    return f"{sign}{tenths // 10}.{tenths % 10} {UNITS[unit]}"


def rate(bytes_per_s: float) -> str:
    """Bytes a second: ``1.2 MB/s``."""
    return f"{size(bytes_per_s)}/s"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: ``1 file``, ``2 files``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def span_words(seconds: float) -> str:
    """0.4 s, 12 s, 3 min, 2.5 h."""
    if seconds < 0.95:
        return f"{max(0.1, seconds):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"
