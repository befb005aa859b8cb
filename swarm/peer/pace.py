"""How fast bytes go, in one direction, over all streams: a token bucket whose rate follows a timetable.

``Flow`` is pure: who takes bytes is told how long to wait, and debts are paid in the order in which they were made, so
that all streams get on. ``Pace`` reads the clocks and waits, in a thread or on the loop. Large frames go in parts, so
that a limit is smooth and no stream waits for another's whole block.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Final

from swarm import clock
from swarm.peer.timetable import LEAST_BITS_PER_S, Moment, Timetable

# So much may go at once after a pause.
BURST_S: Final = 0.1
# A part is what goes in this time, so that the parts of fifty streams follow one another within a second.
PART_S: Final = 0.02
PART_MIN_BYTES: Final = 1024
PART_MAX_BYTES: Final = 256 * 1024


class Flow:
    """Bytes over time. ``now`` is monotonic."""

    def __init__(self) -> None:
        self._free_at = -math.inf

    def take(self, size_bytes: int, bytes_per_s: float, now: float) -> float:
        """How long to wait, in seconds, until so many bytes may go."""
        self._free_at = max(self._free_at, now - BURST_S) + size_bytes / bytes_per_s
        return max(0.0, self._free_at - now)


class Pace:
    """One direction of one peer; ``text`` is the setting that says how fast. Thread-safe."""

    def __init__(self, timetable: Timetable | None = None, text: str = "") -> None:
        self.text = text
        self.timetable = timetable or Timetable()
        self.is_limited = self.timetable.is_limit
        self._flow = Flow()
        self._lock = threading.Lock()

    def bytes_per_s(self) -> float:
        """The rate that counts now: infinite for no limit, 0 for nothing."""
        if not self.is_limited:
            return math.inf
        local = time.localtime(clock.wall_now())
        return self.timetable.rate_at(Moment(local.tm_wday, local.tm_hour * 60 + local.tm_min))

    @property
    def is_open(self) -> bool:
        """Whether anything may go now."""
        return self.bytes_per_s() > 0

    def part_bytes(self, left_bytes: int) -> int:
        """Of so many bytes, how many go at a time."""
        rate = self._rate()
        return left_bytes if rate == math.inf else min(left_bytes, part_bytes(rate))

    def takes_s(self, size_bytes: int) -> float:
        """How long so many bytes take alone."""
        return size_bytes / self._rate()

    def wait(self, size_bytes: int) -> None:
        """Wait, in this thread, until so many bytes may go; or after they came, so that no more come."""
        if self.is_limited and (wait_s := self._take(size_bytes)):
            time.sleep(wait_s)

    async def pause(self, size_bytes: int) -> None:
        """The same on the loop."""
        if self.is_limited and (wait_s := self._take(size_bytes)):
            await asyncio.sleep(wait_s)

    def _take(self, size_bytes: int) -> float:
        rate = self._rate()
        with self._lock:
            return self._flow.take(size_bytes, rate, time.monotonic())

    def _rate(self) -> float:
        """What is under way when nothing more may begin ends at the least rate."""
        return self.bytes_per_s() or LEAST_BITS_PER_S / 8


# For whoever has no limit.
UNPACED: Final = Pace()


@dataclass(frozen=True, slots=True)
class Paces:
    """Both directions of one peer."""

    upload: Pace = field(default_factory=Pace)
    download: Pace = field(default_factory=Pace)


def part_bytes(bytes_per_s: float) -> int:
    """How many bytes go at a time at a rate."""
    return max(PART_MIN_BYTES, min(PART_MAX_BYTES, int(bytes_per_s * PART_S)))
