"""How often an extent is read again whose bytes were not what they should be. Pure.

A range carries no checksum, so what changed on the way is noticed by the signature of a block in it, and reading again
mends it. What lies damaged in the bucket reading again does not mend, and must not cost a read for each who asks.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

Extent = tuple[str, int]

AT_ONCE: Final = 3
# After those, one so often: somebody may have repaired the pack.
EVERY_S: Final = 60.0
EXTENTS_MAX: Final = 4096


class Rereads:
    """The budget, an extent at a time."""

    def __init__(self) -> None:
        self._spent: OrderedDict[Extent, tuple[int, float]] = OrderedDict()

    def may(self, extent: Extent, now: float) -> bool:
        """Whether it may be read again now; that is counted."""
        count, last = self._spent.get(extent, (0, now))
        if count >= AT_ONCE and now - last < EVERY_S:
            return False
        self._spent[extent] = (count + 1, now)
        self._spent.move_to_end(extent)
        if len(self._spent) > EXTENTS_MAX:
            self._spent.popitem(last=False)
        return True

    def mended(self, extent: Extent) -> None:
        """It was what it should be, when it was read again."""
        self._spent.pop(extent, None)
