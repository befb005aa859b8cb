"""How many blocks a peer sends at a time: as many as let each be whole in about 0.6 s.

Pure. Few, since a block that is sent with few others is whole soon and can be given on: a slow uplink with as many as
a fast one would keep each for seconds, and their takers wait for these at the end. Not one or two: a receiver's line is
shared by several who send to it, so a single transmission rarely fills an uplink (in the simulator, 16 equal peers take
2.4 times the bound with one, 1.7 with two, 1.23 with six, and more again from twelve on). The rate that an uplink has
while somebody waits gives the number; fewer stay only if they bring as much, and more than the rate gives, for
receivers that are much slower than this peer, only if they bring clearly more.
"""

from __future__ import annotations

import math
from typing import Final

from swarm.limits import RUNS_SERVED_MAX

# A block is to be whole in this time, with so many at a time at first, at least, and at most.
BLOCK_S: Final = 0.6
FIRST: Final = 7
LEAST: Final = 3
MOST: Final = 20
# A number of slots is judged by what was sent in this time at least, and by a block each.
PERIOD_S: Final = 0.5
# More slots stay if they bring this much more; fewer if they bring this much still.
GAIN: Final = 1.15
KEEP: Final = 0.95
# After a try in vain, so many periods pass before the next; twice as many each time.
PAUSE: Final = 4
PAUSE_MAX: Final = 32


class Slots:
    """``number`` is how many may be used now, ``most`` how many ever, where memory bounds them."""

    def __init__(self, most: int = RUNS_SERVED_MAX) -> None:
        self._most = most
        self.number = min(FIRST, most)
        self._settled = self.number
        self._settled_rate = 0.0
        self._pause = PAUSE
        self._wait = 0
        self._skip = 0
        self._downwards = True
        self._began = math.inf
        self._sent_bytes = 0
        self._blocks = 0

    def busy(self, now: float) -> None:
        """All slots are used, and somebody waits for one."""
        self._began = min(self._began, now)

    def idle(self) -> None:
        """Nobody waits: what is sent now tells nothing of the uplink."""
        self._began, self._sent_bytes, self._blocks = math.inf, 0, 0

    def sent(self, size_bytes: int, now: float) -> None:
        """A block is with the network."""
        if self._skip:
            # It was begun when the number was another.
            self._skip -= 1
            self._began, self._sent_bytes, self._blocks = now, 0, 0
            return
        if self._began == math.inf:
            return
        self._sent_bytes += size_bytes
        self._blocks += 1
        elapsed = now - self._began
        if elapsed >= PERIOD_S and self._blocks >= self.number:
            before = self.number
            self._judge(self._sent_bytes / elapsed, self._sent_bytes / self._blocks)
            self._skip = before - 1 if self.number != before else 0
            self._began, self._sent_bytes, self._blocks = now, 0, 0

    def _judge(self, rate: float, block_bytes: float) -> None:
        fitting = min(MOST, self._most, max(LEAST, round(rate * BLOCK_S / block_bytes)))
        if self.number != self._settled:
            self._end_try(rate)
            return
        self._settled_rate = rate
        self._wait -= 1
        if fitting > self._settled:
            self.number = self._settled = fitting
        elif self._wait <= 0:
            fewer = max(fitting, (self._settled + 1) // 2)
            self.number = fewer if fewer < self._settled and self._downwards else self._more()

    def _more(self) -> int:
        return min(self._most, self._settled + max(1, self._settled // 2))

    def _end_try(self, rate: float) -> None:
        is_more = self.number > self._settled
        if rate >= (GAIN if is_more else KEEP) * self._settled_rate:
            self._settled, self._settled_rate = self.number, rate
            self._pause, self._wait = PAUSE, 1
        else:
            self.number = self._settled
            self._downwards = is_more
            self._pause = min(PAUSE_MAX, 2 * self._pause)
            self._wait = self._pause if is_more else 1
