"""How many neighbours have each block of a version."""

from __future__ import annotations

import random

import pytest

from swarm.peer.explaining import copies_of


@pytest.mark.parametrize("holders", [0, 1, 7, 255, 256, 600])
def test_copies_are_counted_as_one_by_one(holders: int) -> None:
    rng, blocks = random.Random(holders), 61
    sets = [rng.choice([0, (1 << blocks) - 1, rng.getrandbits(blocks)]) for _ in range(holders)]
    assert list(copies_of(sets, blocks)) == [sum(each >> block & 1 for each in sets) for block in range(blocks)]


def test_what_all_of_many_have_is_counted_whole() -> None:
    assert list(copies_of([0b111] * 600, 3)) == [600, 600, 600]
    assert list(copies_of([], 0)) == []
