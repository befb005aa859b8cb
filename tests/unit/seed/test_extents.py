"""Stretches of packs that are read: exact, few, and the same for everybody."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed.extents import EXTENT_BYTES, GAP_BYTES, Extent, extent_with
from seed.packs import Location
from swarm.limits import MIB


def laid_at_random(seed: int, count: int) -> dict[bytes, Location]:
    """Blocks in three packs, some with others between them."""
    rng = random.Random(seed)
    ends = {"a": 0, "b": 0, "c": 0}
    places: dict[bytes, Location] = {}
    for number in range(count):
        pack = rng.choice("aaab" if number % 50 < 40 else "abc")
        offset = ends[pack] + rng.choice([0, 0, 0, 0, 1000, GAP_BYTES, GAP_BYTES + 1, MIB])
        length = rng.randint(1, MIB)
        places[number.to_bytes(32, "big")] = Location(pack, offset, length)
        ends[pack] = offset + length
    return places


@given(st.integers(0, 10_000), st.integers(1, 80))
def test_extents_hold_each_block_once_and_little_else(seed: int, count: int) -> None:
    places = laid_at_random(seed, count)
    extents: set[Extent] = {extent_with(one, places) for one in places}
    blocks = [placed for extent in extents for placed in extent.blocks]
    assert sorted(blocks) == sorted(places.items())
    for extent in extents:
        assert all(extent_with(one, places) == extent for one, _ in extent.blocks)
        assert all(at.pack == extent.pack for _, at in extent.blocks)
        assert extent.start == min(at.offset for _, at in extent.blocks)
        assert extent.start + extent.length == max(at.offset + at.length for _, at in extent.blocks)
        assert extent.length < 2 * EXTENT_BYTES + 2 * MIB
        between = extent.length - sum(at.length for _, at in extent.blocks)
        assert between <= GAP_BYTES * (len(extent.blocks) - 1)


@pytest.mark.parametrize(("blocks", "extents"), [(1, 1), (38, 1), (39, 1), (41, 1), (80, 2), (130, 3)])
def test_a_stretch_is_read_in_parts_that_are_large(blocks: int, extents: int) -> None:
    length = 256 * 1024
    places = {n.to_bytes(32, "big"): Location("a", n * length, length) for n in range(blocks)}
    found = {extent_with(one, places) for one in places}
    assert len(found) == extents
    assert all(extent.length >= EXTENT_BYTES for extent in found) or len(found) == 1


def test_an_extent_is_cut_into_its_blocks() -> None:
    places = {b"x" * 32: Location("a", 5, 3), b"y" * 32: Location("a", 10, 2)}
    extent = extent_with(b"y" * 32, places)
    assert (extent.start, extent.length) == (5, 7)
    assert dict(extent.cut(b"abc..de")) == {b"x" * 32: b"abc", b"y" * 32: b"de"}
