"""Indexes for tests, with blocks that a seed chooses."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from seed import table
from seed.packs import Index, Kept, Location, make_index


def signatures_of(seed: int, count: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(32) for _ in range(count)]


def pack_of(number: int) -> str:
    return f"{number:032x}"


def laid(signatures: Sequence[bytes], pack: int, length: int = 10) -> dict[bytes, Location]:
    """These blocks end to end in a pack."""
    return {one: Location(pack_of(pack), at * length, length) for at, one in enumerate(signatures)}


def index_of(
    places: Mapping[bytes, Location], wall_time: int = 100, versions: Sequence[Kept] = (), size_bytes: int = 100_000
) -> Index:
    return make_index(wall_time, dict.fromkeys((at.pack for at in places.values()), size_bytes), places, versions)


def kept_of(dataset: str, blocks: Sequence[bytes], wall_time: int = 100) -> Kept:
    """A version whose root is the first of its blocks."""
    return Kept(dataset, blocks[0], wall_time, table.packed(blocks))
