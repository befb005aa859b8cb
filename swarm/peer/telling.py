"""When neighbours are told of blocks that this peer now has.

Pure. A rare block is told of at once, since others wait for it; one that several neighbours have already can wait for
company, and is told only to those who lack it. With thirty neighbours, news of blocks would else cost more than the
blocks.
"""

from __future__ import annotations

import math
from typing import Final

# A block that fewer neighbours have than this is rare.
RARE: Final = 3
SOON_S: Final = 0.02
LATER_S: Final = 0.5


class Telling:
    """News of one version. ``due`` is when they are to be sent (monotonic seconds)."""

    def __init__(self) -> None:
        self.due = math.inf
        self._pending = 0

    def stored(self, index: int, copies: int, now: float) -> None:
        """A block is here; so many neighbours have it."""
        self._pending |= 1 << index
        self.due = min(self.due, now + (SOON_S if copies < RARE else LATER_S))

    def take(self) -> int:
        """The set of blocks to tell of now; whoever has one of them need not be told of it."""
        pending, self._pending, self.due = self._pending, 0, math.inf
        return pending
