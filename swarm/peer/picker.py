"""Which missing block to ask a neighbour for: rarest first, ties at random.

Missing blocks are kept in a random order of this peer's own, so that peers that start together ask for different
blocks. Of the first blocks in that order which the neighbour has, the rarest are taken; the sample bounds the work for
datasets of a million blocks. Pure: no I/O, no clock, the randomness is given. It does not know what is in flight or
why.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final

# Blocks looked at for one choice: beyond the number asked for, so that rare ones among them come first.
SAMPLE: Final = 192
# Entries of the random order that are passed over for one choice before giving up on a neighbour that has little.
SCAN: Final = 8192


class Picker:
    """The missing blocks of one version and how many neighbours hold each."""

    def __init__(self, missing: Collection[int], count: int, rng: random.Random) -> None:
        order = list(missing)
        rng.shuffle(order)
        # A dict is a set that remembers its order.
        self._missing: dict[int, None] = dict.fromkeys(order)
        self._built = len(order)
        self._wanted: dict[int, None] = {}
        self.copies: list[int] = [0] * count

    def __len__(self) -> int:
        return len(self._missing)

    def __contains__(self, index: int) -> bool:
        return index in self._missing

    def __iter__(self) -> Iterator[int]:
        return iter(self._missing)

    def want(self, indices: Iterable[int]) -> None:
        """A reader waits for these, in this order: they go before all others."""
        self._wanted = dict.fromkeys(i for i in indices if i in self._missing) | self._wanted

    def remove(self, index: int) -> None:
        """The block is no longer missing."""
        self._missing.pop(index, None)
        self._wanted.pop(index, None)
        # Deleted entries in front of a dict are passed over at every iteration: build it anew when half are gone.
        if len(self._missing) * 2 < self._built:
            self._missing = dict(self._missing)
            self._built = len(self._missing)

    def add(self, index: int) -> None:
        """The block is missing again."""
        self._missing[index] = None
        self._built = max(self._built, len(self._missing))

    def pick(self, number: int, fresh: Iterable[int], has: Callable[[int], bool]) -> list[int]:
        """Up to ``number`` missing blocks for which ``has`` holds, best first. ``fresh`` are looked at before the
        sample.
        """
        found: dict[int, None] = {}
        for index in self._wanted:
            if has(index):
                found[index] = None
                if len(found) == number:
                    return list(found)
        wanted = len(found)
        for index in fresh:
            if index in self._missing and has(index):
                found[index] = None
        for scanned, index in enumerate(self._missing):
            if len(found) >= number + SAMPLE or scanned >= SCAN:
                break
            if has(index):
                found[index] = None
        chosen = list(found)
        rest = sorted(chosen[wanted:], key=self.copies.__getitem__)
        return (chosen[:wanted] + rest)[:number]
