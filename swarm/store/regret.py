"""Blocks that were evicted and came again: what a larger store would have spared. Bounded, for several threads.

Of the last ``GONE_MAX`` blocks that a store dropped for want of room it is remembered that they were there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

GONE_MAX: Final = 16_384
# Of a signature so much is kept: that two of so few have it in common does not happen.
DIGITS: Final = 12


class Regret:
    """``blocks`` and ``bytes`` were fetched again after they had been dropped; ``evicted`` were dropped in all."""

    def __init__(self, most: int = GONE_MAX) -> None:
        self._most = most
        self._gone: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()
        self.evicted = self.blocks = self.bytes = 0

    def dropped(self, signature: bytes) -> None:
        """There was no room for a block any more."""
        with self._lock:
            self.evicted += 1
            self._gone[signature[:DIGITS]] = None
            self._gone.move_to_end(signature[:DIGITS])
            if len(self._gone) > self._most:
                self._gone.popitem(last=False)

    def came(self, signature: bytes, size_bytes: int) -> None:
        """A block that was not here is kept."""
        with self._lock:
            if signature[:DIGITS] in self._gone:
                del self._gone[signature[:DIGITS]]
                self.blocks += 1
                self.bytes += size_bytes
