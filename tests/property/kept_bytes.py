"""Bytes that once broke a decoder: its name in ``decoders``, and the bytes in hex. Each is read at every test."""

from __future__ import annotations

from typing import Final

KEPT: Final[tuple[tuple[str, str], ...]] = (
    # A block of no bytes: how fast it came was taken for the rate of the next.
    ("frame", "0000000000"),
)
