"""Bytes that once broke a decoder: its name in ``decoders``, and the bytes in hex. Each is read at every test."""

from __future__ import annotations

from typing import Final

KEPT: Final[tuple[tuple[str, str], ...]] = ()
