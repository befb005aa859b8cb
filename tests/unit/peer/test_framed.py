"""Blocks as one body of a request: what is written is what is read, and nothing else is."""

from __future__ import annotations

import pytest

from swarm.errors import UsageError
from swarm.limits import ENCODED_MAX_BYTES
from swarm.peer.upload import Framed, unframed

BLOCKS = [(bytes([n]) * 32, bytes([n]) * n) for n in (1, 7, 200)]


def test_what_is_framed_is_read() -> None:
    framed = Framed(BLOCKS)
    assert unframed(bytearray(framed.joined())) == BLOCKS
    assert framed.size == len(framed.joined())
    assert unframed(b"") == []


@pytest.mark.parametrize(
    "body",
    [
        Framed(BLOCKS).joined()[:-1],  # the last block is short
        Framed(BLOCKS).joined() + b"rest",  # which ends within a head
        bytes(32) + (0).to_bytes(4, "big"),  # a block of nothing
        bytes(32) + (ENCODED_MAX_BYTES + 1).to_bytes(4, "big") + bytes(ENCODED_MAX_BYTES + 1),
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError):
        unframed(body)
