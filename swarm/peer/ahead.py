"""What the readers of a peer have ahead of them: blocks that wait for whoever reads slowly. One allowance for all.

A reader begins with a little and has more while it goes on, as far as its share and what is left allow. One for which
nothing is left has nothing ahead: it reads block by block. How many may read at a time is bounded too, since each holds
the block that it is being given: on average these take as much again as the allowance. Pure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from swarm.errors import BusyError
from swarm.limits import BLOCK_MAX_BYTES, BLOCK_TARGET_BYTES, MIB

# How far ahead of a reader blocks are asked for: at first, and at most.
FIRST_BYTES: Final = MIB
MOST_BYTES: Final = 8 * MIB
# Blocks asked for together, so that a fast reader's next ones go to another neighbour.
TOGETHER_BYTES: Final = 2 * MIB
READERS_LEAST: Final = 16
WAIT_S: Final = 5.0


class Allowance:
    """``total_bytes`` is what all readers together may have ahead of them."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.readers_max = max(READERS_LEAST, total_bytes // BLOCK_TARGET_BYTES)
        self.readers = 0
        self.taken_bytes = 0

    @contextlib.contextmanager
    def reader(self) -> Iterator[Share]:
        """A place for one reader. BusyError when all are taken."""
        if self.readers >= self.readers_max:
            raise BusyError(f"{self.readers} readers are served here, which is the most: try again soon", WAIT_S)
        self.readers += 1
        share = Share(self)
        try:
            share.renew(0)
            yield share
        finally:
            self.readers -= 1
            self.taken_bytes -= share.taken_bytes


class Share:
    """One reader's. It asks for ``batch_bytes`` together, once it has no more than ``ahead_bytes`` ahead of it; with 0
    of each for one block.
    """

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self.ahead_bytes = 0
        self.batch_bytes = 0
        self.taken_bytes = 0

    def renew(self, held_bytes: int) -> None:
        """It has gone on, and has so much ahead of it: it may have twice as much as before if there is enough."""
        allowance = self._allowance
        ahead = min(2 * self.ahead_bytes or FIRST_BYTES, MOST_BYTES)
        free = allowance.total_bytes - allowance.taken_bytes + self.taken_bytes
        most = min(ahead + min(ahead, TOGETHER_BYTES), allowance.total_bytes // allowance.readers, free)
        # A batch has to hold the largest block.
        most = most if most >= 2 * BLOCK_MAX_BYTES else 0
        self.batch_bytes = min(most // 2, TOGETHER_BYTES)
        self.ahead_bytes = most - self.batch_bytes
        # What it has it keeps until it is read.
        taken = max(most, held_bytes)
        allowance.taken_bytes += taken - self.taken_bytes
        self.taken_bytes = taken
