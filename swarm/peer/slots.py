"""How many blocks a peer sends at a time: few, and as many as fill its uplink.

Pure. Few, since a block that is sent with few others is whole soon and can be given on. Not one or two: a receiver's
line is shared by several who send to it, so a single transmission rarely fills an uplink (in the simulator, 16 equal
peers take 2.4 times the bound with one, 1.7 with two, 1.23 with six, and more again from twelve on). When receivers are
much slower than this peer, more is found by trying: what brings clearly more bytes stays; fewer, when that brings as
much.
"""

from __future__ import annotations

import math
from typing import Final

from swarm.limits import RUNS_SERVED_MAX

SLOTS: Final = 10
# A number of slots is judged by what was sent in this time at least, and by this many blocks.
PERIOD_S: Final = 1.0
PERIOD_BLOCKS: Final = 12
# More slots stay if they bring this much more; fewer if they bring this much still.
GAIN: Final = 1.15
KEEP: Final = 0.97
# After a try in vain, so many periods pass before the next; twice as many each time.
PAUSE: Final = 4
PAUSE_MAX: Final = 32


class Slots:
    """``number`` is how many may be used now."""

    def __init__(self) -> None:
        self.number = SLOTS
        self._settled = SLOTS
        self._settled_rate = 0.0
        self._pause = PAUSE
        self._wait = PAUSE
        self._upwards = True
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
        if self._began == math.inf:
            return
        self._sent_bytes += size_bytes
        self._blocks += 1
        elapsed = now - self._began
        if elapsed >= PERIOD_S and self._blocks >= max(PERIOD_BLOCKS, 2 * self.number):
            self._judge(self._sent_bytes / elapsed)
            self._began, self._sent_bytes, self._blocks = now, 0, 0

    def _judge(self, rate: float) -> None:
        if self.number == self._settled:
            self._settled_rate = rate
            self._wait -= 1
            if self._wait <= 0:
                self._try()
            return
        is_better = rate >= (GAIN if self.number > self._settled else KEEP) * self._settled_rate
        if is_better:
            self._settled, self._settled_rate = self.number, rate
            self._pause = PAUSE
            self._try()
            return
        self.number = self._settled
        self._upwards = not self._upwards or self._settled == SLOTS
        self._pause = min(PAUSE_MAX, 2 * self._pause)
        self._wait = self._pause

    def _try(self) -> None:
        step = max(1, self._settled // 2)
        wanted = self._settled + step if self._upwards else self._settled - step
        self.number = min(RUNS_SERVED_MAX, max(SLOTS, wanted))
        if self.number == self._settled:
            self._upwards = True
            self._wait = self._pause
