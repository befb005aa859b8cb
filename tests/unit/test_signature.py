"""Signatures are BLAKE3-256; in text, 64 lower-case hex digits and nothing else."""

from __future__ import annotations

import pytest

from swarm.errors import UsageError
from swarm.signature import from_hex, keyed, signature_of

# From the reference test vectors of BLAKE3.
EMPTY = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_it_is_blake3() -> None:
    assert signature_of(b"").hex() == EMPTY
    assert signature_of(bytearray(b"abc")) == signature_of(memoryview(b"abc")) == signature_of(b"abc")


def test_keyed_needs_the_key() -> None:
    assert keyed(b"k" * 32, b"data") != keyed(b"l" * 32, b"data") != signature_of(b"data")
    assert keyed(b"k" * 32, b"data", 20) == keyed(b"k" * 32, b"data")[:20]


def test_a_signature_is_written_in_one_way_alone() -> None:
    assert from_hex(EMPTY) == signature_of(b"")
    for text in ("", EMPTY[:-1], EMPTY + "0", EMPTY.upper(), " " + EMPTY[1:], EMPTY + "\n", "g" * 64):
        with pytest.raises(UsageError, match="is not a signature"):
            from_hex(text)
