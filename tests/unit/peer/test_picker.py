"""Rarest first on sets of blocks as integers, held against counting by hand."""

from __future__ import annotations

import random

import pytest

from swarm.limits import RUN_MAX_BLOCKS
from swarm.peer.picker import Picker, bits_of, indices_of

COUNT = 90


def picker(seed: int = 0, size: int = 1000) -> Picker:
    return Picker((1 << COUNT) - 1, [size] * COUNT, random.Random(seed))


@pytest.mark.parametrize("seed", range(10))
def test_counts_are_those_of_counting_by_hand(seed: int) -> None:
    rng = random.Random(seed)
    found = picker()
    held = [rng.getrandbits(COUNT) for _ in range(40)]
    for blocks in held:
        found.count(blocks)
    for blocks in held[:15]:
        found.uncount(blocks)
    expected = [sum(blocks >> index & 1 for blocks in held[15:]) for index in range(COUNT)]
    assert [found.copies(index) for index in range(COUNT)] == expected
    assert found.held_by_any == bits_of((i for i, number in enumerate(expected) if number), COUNT)
    candidates = rng.getrandbits(COUNT)
    fewest = min(expected[index] for index in indices_of(candidates))
    assert found.rarest(candidates) == bits_of(
        (index for index in indices_of(candidates) if expected[index] == fewest), COUNT
    )


@pytest.mark.parametrize("seed", range(10))
def test_a_pick_is_in_order_of_rarity_and_within_its_room(seed: int) -> None:
    rng = random.Random(seed)
    found = picker(seed)
    for _ in range(6):
        found.count(rng.getrandbits(COUNT))
    candidates = rng.getrandbits(COUNT)
    chosen = found.pick(candidates, 12_000)
    assert len(chosen) == len(set(chosen)) == 12
    assert all(candidates >> index & 1 for index in chosen)
    copies = [found.copies(index) for index in chosen]
    assert copies == sorted(copies)
    left = candidates & ~bits_of(chosen, COUNT)
    assert max(copies) <= min(found.copies(index) for index in indices_of(left))


def test_one_block_is_picked_however_little_room_there_is_and_a_run_has_a_limit() -> None:
    assert len(picker().pick(0b1100, 1)) == 1
    assert picker().pick(0, 1000) == []
    assert len(picker().pick((1 << COUNT) - 1, 10**9)) == RUN_MAX_BLOCKS


def test_ties_are_broken_differently_by_different_peers() -> None:
    first = {picker(seed).pick((1 << COUNT) - 1, 1000)[0] for seed in range(30)}
    assert len(first) > 10


def test_what_a_reader_waits_for_goes_first_and_in_its_order() -> None:
    found = picker()
    found.count(bits_of([50, 3, 77], COUNT))
    found.want([50, 3, 77])
    assert found.pick((1 << COUNT) - 1, 5000)[:3] == [50, 3, 77]
    found.missing &= ~(1 << 50)
    assert found.pick(found.missing, 5000)[:2] == [3, 77]


def test_upwards_and_downwards_meet_at_the_end() -> None:
    found = picker()
    candidates = bits_of(range(10, 20), COUNT)
    up = found.pick_upwards(candidates, 10_000, 15)
    assert up == [15, 16, 17, 18, 19, 10, 11, 12, 13, 14]
    assert found.pick_downwards(candidates, 10_000, 15) == up[::-1]
