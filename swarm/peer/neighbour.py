"""What the scheduler knows of one neighbour: what it has, how fast it gives, what it was asked for, when it failed.

Pure state, changed only by the scheduler. Times are monotonic seconds, sizes bytes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from swarm.peer.wire import Origin

# A run is sized so that a neighbour has about this much time's worth of work ahead of it, over all its runs.
AHEAD_S: Final = 1.0
RUNS_AHEAD: Final = 2
FIRST_RUN_BYTES: Final = 1 << 20
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
# Weight of a new rate measurement against the ones before.
RATE_WEIGHT: Final = 0.4
FRESH_MAX: Final = 4096


@dataclass(slots=True)
class Run:
    """Blocks asked for in one request. ``outstanding`` are those not yet answered, in order."""

    id: int
    peer: str
    outstanding: dict[int, None]
    started: float
    last_progress: float
    insist: bool
    received_bytes: int = 0


@dataclass(slots=True)
class Neighbour:
    """One neighbour. ``have`` is None when it holds everything; ``origin`` is one whose uploads are to be spared."""

    peer: str
    origin: Origin
    have: bytearray | None
    rate_bytes_per_s: float = 0.0
    runs: dict[int, Run] = field(default_factory=dict)
    fresh: deque[int] = field(default_factory=lambda: deque(maxlen=FRESH_MAX))
    backoff_s: float = 0.0
    not_before: float = 0.0
    received_bytes: int = 0

    def has(self, index: int) -> bool:
        return self.have is None or self.have[index] != 0

    def in_flight(self) -> int:
        """Blocks asked for and not answered."""
        return sum(len(run.outstanding) for run in self.runs.values())

    def is_open(self, now: float) -> bool:
        """Whether another run may start: not in backoff, and not enough runs under way."""
        return now >= self.not_before and len(self.runs) < RUNS_AHEAD

    def run_bytes(self, limit: int) -> int:
        """How many bytes the next run should ask for."""
        if self.rate_bytes_per_s == 0.0:
            return FIRST_RUN_BYTES
        return min(limit, int(self.rate_bytes_per_s * AHEAD_S / RUNS_AHEAD))

    def measure(self, run: Run, now: float) -> None:
        """Take a finished run into the rate. Its runs share the link, so the rate counts all of them."""
        elapsed = now - run.started
        if elapsed <= 0.0 or run.received_bytes == 0:
            return
        seen = run.received_bytes / elapsed * max(1, len(self.runs))
        old = self.rate_bytes_per_s
        self.rate_bytes_per_s = seen if old == 0.0 else old + RATE_WEIGHT * (seen - old)

    def fail(self, now: float) -> None:
        """It was silent, busy or broke off: leave it alone for a while, longer each time."""
        self.backoff_s = min(BACKOFF_MAX_S, max(BACKOFF_FIRST_S, self.backoff_s * 2))
        self.not_before = now + self.backoff_s

    def succeed(self) -> None:
        """It gave a good block: the score recovers."""
        self.backoff_s = 0.0
        self.not_before = 0.0
