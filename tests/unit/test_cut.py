"""Cuts by content: bounds, what decides them, and a second implementation that agrees."""

from __future__ import annotations

import pytest
from pyfastcdc.py import FastCDC

from swarm.cut import LOOKAHEAD_BYTES, cut, first_cut, is_fast
from swarm.limits import BLOCK_MAX_BYTES, BLOCK_MIN_BYTES, BLOCK_TARGET_BYTES
from tests.datasets import seeded

DATA = seeded("cut", 12 << 20)


def test_lengths_are_within_the_bounds_and_cover_everything() -> None:
    lengths = list(cut(DATA))
    assert sum(lengths) == len(DATA)
    assert all(BLOCK_MIN_BYTES <= length <= BLOCK_MAX_BYTES for length in lengths[:-1])
    assert BLOCK_TARGET_BYTES < sum(lengths) / len(lengths) < 1.6 * BLOCK_TARGET_BYTES


@pytest.mark.parametrize("size", [0, 1, BLOCK_MIN_BYTES - 1, BLOCK_MIN_BYTES])
def test_what_is_short_is_one_block(size: int) -> None:
    assert list(cut(DATA[:size])) == ([size] if size else [])


def test_what_never_cuts_ends_at_the_maximum() -> None:
    assert list(cut(bytes(3 * BLOCK_MAX_BYTES + 5))) == [BLOCK_MAX_BYTES] * 3 + [5]


def test_the_pure_implementation_cuts_the_same() -> None:
    pure = FastCDC(avg_size=BLOCK_TARGET_BYTES, min_size=BLOCK_MIN_BYTES, max_size=BLOCK_MAX_BYTES)
    part = DATA[: 2 << 20]
    assert [block.length for block in pure.cut_buf(part)] == list(cut(part))


def test_a_cut_is_decided_by_the_block_and_the_bytes_just_behind() -> None:
    """What runs take over unread depends on this: nothing behind the lookahead may move a cut."""
    at = 0
    for length in list(cut(DATA))[:-1]:
        needed = DATA[at : at + length + LOOKAHEAD_BYTES]
        assert first_cut(needed) == length
        assert first_cut((needed + bytes(BLOCK_MAX_BYTES))[:BLOCK_MAX_BYTES]) == length
        at += length


def test_the_lookahead_is_needed() -> None:
    """One byte less, and some cuts are not seen: LOOKAHEAD_BYTES is not generosity."""
    at = unseen = 0
    for length in list(cut(DATA))[:-1]:
        needed = DATA[at : at + length + LOOKAHEAD_BYTES]
        moved = needed[:length] + bytes([needed[length] ^ 0x55]) + needed[length + 1 :]
        unseen += first_cut(moved + bytes(BLOCK_MAX_BYTES - len(moved))) != length
        at += length
    assert unseen > 0


def test_an_insertion_moves_cuts_near_it_only() -> None:
    before = set(cut_points(DATA))
    after = {point - 1 for point in cut_points(DATA[:1_000_000] + b"!" + DATA[1_000_000:])}
    assert len(before - after) <= 3


def cut_points(data: bytes) -> list[int]:
    points = [0]
    for length in cut(data):
        points.append(points[-1] + length)
    return points


def test_the_compiled_cutter_is_in_use() -> None:
    assert is_fast()
