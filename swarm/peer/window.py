"""How much may be asked for over all neighbours: what arrives in a moment, so that decisions are late.

Pure. A peer behind a slow link that asks thirty neighbours for a block each has none of them for long; a fast one may
have much under way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MEASURE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Asked for is what arrives in ``seconds``, and at first and at least these bytes."""

    seconds: float
    first_bytes: int
    least_bytes: int


# Of all neighbours, and of those beyond a WAN that a site shares (``swarm.peer.far``).
ALL: Final = Limits(2.0, 8 << 20, 3 << 19)
FAR: Final = Limits(1.0, 1 << 18, 1 << 18)


class Window:
    """The rate at which blocks arrive, measured by the second; a slower time replaces a faster one by degrees."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rate_bytes_per_s = 0.0
        self._since = math.inf
        self._arrived_bytes = 0

    def start(self, now: float) -> None:
        """The first neighbour is there."""
        self._since = min(self._since, now)

    def arrived(self, size_bytes: int, now: float) -> None:
        """A block came."""
        self._arrived_bytes += size_bytes
        elapsed = now - self._since
        if elapsed >= MEASURE_S:
            seen = self._arrived_bytes / elapsed
            self._rate_bytes_per_s = max(seen, (self._rate_bytes_per_s + seen) / 2)
            self._since, self._arrived_bytes = now, 0

    def rate(self, now: float) -> float:
        """Bytes a second, by what came lately."""
        elapsed = now - self._since
        if elapsed <= 2 * MEASURE_S:
            return self._rate_bytes_per_s
        return min(self._rate_bytes_per_s, self._arrived_bytes / elapsed)

    @property
    def bytes(self) -> float:
        """How much may be under way."""
        if not self._rate_bytes_per_s:
            return self._limits.first_bytes
        return max(self._limits.least_bytes, self._limits.seconds * self._rate_bytes_per_s)
