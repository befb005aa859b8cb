"""Blocks as one body of a request: what is written is what is read, and nothing else is."""

from __future__ import annotations

import pytest

from swarm.encoding import encode_raw
from swarm.errors import UsageError
from swarm.limits import BLOCK_MAX_BYTES, ENCODED_MAX_BYTES
from swarm.peer.upload import BATCH_BYTES, BATCH_MAX_BLOCKS, BRING_MAX_BYTES, Framed, batched, unframed

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


SMALL = (BATCH_BYTES - 1) // (BATCH_MAX_BLOCKS - 1)


@pytest.mark.parametrize("sizes", [[SMALL] * (BATCH_MAX_BLOCKS - 1) + [BLOCK_MAX_BYTES], [BLOCK_MAX_BYTES] * 8])
def test_a_request_is_never_more_than_a_seed_takes(sizes: list[int]) -> None:
    """As many blocks as a request may have, the last of them large, and none of them compressed."""
    size_of = {number.to_bytes(32): size for number, size in enumerate(sizes)}
    batches = list(batched(list(size_of), size_of))
    assert [one for batch in batches for one in batch] == list(size_of)
    bodies = [len(Framed((one, encode_raw(bytes(size_of[one]))) for one in batch).joined()) for batch in batches]
    assert max(bodies) <= BRING_MAX_BYTES
    assert bodies[0] > BRING_MAX_BYTES - BLOCK_MAX_BYTES
