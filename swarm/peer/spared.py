"""Which blocks origins are not asked for at the moment, and which have waited long enough.

Pure. A block that an origin has just given away, or that a neighbour has, comes from there before long. When nobody
whom we know has it by then, it is overdue and the origin is asked with insistence. When neighbours have it but do not
bring it, it is late, and an origin is asked, as it is for what only slow neighbours have: it gives what it did not give
yet, and sends us elsewhere for the rest. So sparing the origin never starves anybody, and is hardly slower than going
to it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from statistics import median
from typing import Final

from swarm.peer.neighbour import Neighbour
from swarm.peer.picker import bits_of

# How long a redirect, or others that have a block but are busy, may keep it from the origin: at least this, and this
# share of the time that the download has taken so far.
PATIENCE_S: Final = 3.0
PATIENCE_SHARE: Final = 0.1
# What neighbours have and were not asked for in this time, for they are busy with other blocks, is late.
LATE_S: Final = 0.5
# A block that somebody has who is no neighbour comes by way of others.
FAR_FACTOR: Final = 3.0
# Who takes so many times as long for a block as most do is slow: what nobody else has is not waited for.
SLOW_FACTOR: Final = 4.0


def patience_s(elapsed_s: float, *, is_far: bool = False) -> float:
    """How long a block waits for others, so long after the start. ``is_far``: who has it is no neighbour."""
    return max(PATIENCE_S, PATIENCE_SHARE * elapsed_s) * (FAR_FACTOR if is_far else 1.0)


def held_by_slow(neighbours: Collection[Neighbour], size_bytes: int, now: float) -> int:
    """The blocks that only such neighbours hold, origins left out, as have much to do already and are slow about it.

    Slow is who takes several times as long for a block of this size as most do, or gave nothing yet.
    """
    known = {n.peer: n.expected_s(size_bytes, now) for n in neighbours if n.sending_bytes_per_s}
    slow_s = SLOW_FACTOR * median(known.values()) if known else math.inf
    slow = quick = 0
    for neighbour in neighbours:
        if neighbour.origin:
            continue
        is_slow = neighbour.peer not in known or known[neighbour.peer] > slow_s
        if is_slow and neighbour.runs and not neighbour.is_open(now):
            slow |= neighbour.have
        else:
            quick |= neighbour.have
    return slow & ~quick


class Spared:
    """``held_back``, ``overdue``, ``late`` and ``slow`` are sets of blocks (bit per block)."""

    def __init__(self) -> None:
        self.held_back = 0
        self.overdue = 0
        self.late = 0
        self.slow = 0
        self._until: dict[int, float] = {}
        self._waited = 0
        self._looked = math.inf

    def hold_back(self, index: int, until: float) -> None:
        """An origin sent us elsewhere for this block."""
        self._until[index] = until
        self.held_back |= 1 << index

    def forget(self, index: int) -> None:
        """The block is asked for, or here."""
        if self._until.pop(index, None) is not None:
            self.held_back &= ~(1 << index)
        self.overdue &= ~(1 << index)
        self.late &= ~(1 << index)

    def give_up(self, blocks: int) -> None:
        """Whoever was asked for these fell silent."""
        self.overdue |= blocks

    def look(self, missing: int, held: int, now: float) -> None:
        """Time passed. ``missing`` are the blocks that nobody was asked for, ``held`` those that a neighbour has."""
        over = [index for index, until in self._until.items() if until <= now]
        for index in over:
            del self._until[index]
        bits = bits_of(over, max(over, default=0) + 1)
        self.held_back &= ~bits
        self.overdue |= bits & missing
        if self._looked == math.inf:
            self._looked = now
        elif now - self._looked >= LATE_S:
            # What waits at both ends of the time.
            self.late = missing & held & self._waited
            self._waited, self._looked = missing & held, now
