"""Which missing block to ask a neighbour for: rarest first, ties at random.

Sets of blocks are integers, bit ``i`` for block ``i``; how many neighbours hold each is kept as a counter per block
whose binary digits are such integers too, one per place. Adding a neighbour's million blocks, or finding the rarest
among a million candidates, is then a handful of operations on integers, and a small dataset costs next to nothing.
Pure: no I/O, no clock, the randomness is given. It does not know what is in flight or why.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Final

from swarm.limits import RUN_MAX_BLOCKS

# Of the blocks that readers wait for, so many are looked at for one choice.
WANTED_SCAN: Final = 256


def bits_of(indices: Iterable[int], count: int) -> int:
    """The set of these indices, those of ``count`` or more left out."""
    found = bytearray((count + 7) // 8)
    for index in indices:
        if index < count:
            found[index >> 3] |= 1 << (index & 7)
    return int.from_bytes(found, "little")


def indices_down(bits: int) -> Iterator[int]:
    """The members of a set, highest first."""
    while bits:
        highest = bits.bit_length() - 1
        yield highest
        bits ^= 1 << highest


def indices_of(bits: int) -> Iterator[int]:
    """The members of a set, lowest first."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


class Picker:
    """The missing blocks of one version, as the set ``missing``, and how many neighbours hold each.

    ``sizes`` are bytes per block. ``held_by_any`` is the set of blocks that at least one counted neighbour holds.
    """

    def __init__(self, missing: int, sizes: Sequence[int], rng: random.Random) -> None:
        self.missing = missing
        self._sizes = sizes
        self._rng = rng
        self._places: list[int] = []
        self._wanted: dict[int, None] = {}

    @property
    def held_by_any(self) -> int:
        held = 0
        for place in self._places:
            held |= place
        return held

    def copies(self, index: int) -> int:
        """How many counted neighbours hold a block."""
        return sum((place >> index & 1) << power for power, place in enumerate(self._places))

    def count(self, blocks: int) -> None:
        """One more neighbour holds these."""
        for power, place in enumerate(self._places):
            if not blocks:
                return
            self._places[power] = place ^ blocks
            blocks &= place
        if blocks:
            self._places.append(blocks)

    def uncount(self, blocks: int) -> None:
        """One neighbour fewer holds these, each of which was counted."""
        for power, place in enumerate(self._places):
            if not blocks:
                return
            self._places[power] = place ^ blocks
            blocks &= ~place

    def rarest(self, candidates: int) -> int:
        """Those of the candidates that the fewest neighbours hold."""
        for place in reversed(self._places):
            candidates = candidates & ~place or candidates
        return candidates

    def want(self, indices: Iterable[int]) -> None:
        """A reader waits for these, in this order: they go before all others."""
        self._wanted = dict.fromkeys(indices) | self._wanted

    def pick(self, candidates: int, room_bytes: int) -> list[int]:
        """Blocks of the candidates for one run of about ``room_bytes``, at least one if there is any, best first."""
        return self._fill(self._best_first(candidates), room_bytes)

    def pick_upwards(self, candidates: int, room_bytes: int, start: int) -> list[int]:
        """The same, but in order from ``start`` on, and around."""
        above = candidates >> start << start
        return self._fill(chain(indices_of(above), indices_of(above ^ candidates)), room_bytes)

    def pick_downwards(self, candidates: int, room_bytes: int, start: int) -> list[int]:
        """The same in the reverse order: what ``pick_upwards`` comes to last."""
        above = candidates >> start << start
        return self._fill(chain(indices_down(above ^ candidates), indices_down(above)), room_bytes)

    def _fill(self, order: Iterator[int], room_bytes: int) -> list[int]:
        found: list[int] = []
        for index in order:
            room_bytes -= self._sizes[index]
            if found and (room_bytes < 0 or len(found) == RUN_MAX_BLOCKS):
                break
            found.append(index)
        return found

    def _best_first(self, candidates: int) -> Iterator[int]:
        for index in self._wanted_of(candidates):
            candidates ^= 1 << index
            yield index
        while candidates:
            level = self.rarest(candidates)
            candidates ^= level
            start = self._rng.randrange(len(self._sizes))
            above = level >> start << start
            yield from indices_of(above)
            yield from indices_of(above ^ level)

    def _wanted_of(self, candidates: int) -> Iterator[int]:
        for index in list(islice(self._wanted, WANTED_SCAN)):
            if candidates >> index & 1:
                yield index
            elif not self.missing >> index & 1:
                del self._wanted[index]
