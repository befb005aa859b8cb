"""What the scheduler knows of one neighbour: what it has, how fast it gives, what it was asked for, when it failed.

Pure state, changed only by the scheduler. Times are monotonic seconds, sizes bytes, sets of blocks integers with a bit
per block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from swarm.limits import RUN_MAX_BYTES
from swarm.peer.wire import Origin

# A neighbour has about this much time's worth of work ahead of it, over all its runs, and at least one block.
AHEAD_S: Final = 1.0
RUNS_AHEAD: Final = 2
FIRST_RUN_BYTES: Final = 512 * 1024
# What a block takes from asking to its first byte, while nothing is known of a neighbour.
FIRST_LATENCY_S: Final = 0.5
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
# A run whose block has begun and does not go on is given up after this; one that may stand in a queue there, later. And
# in any case not before this many times what the neighbour usually takes.
SILENCE_S: Final = 4.0
QUEUED_SILENCE_S: Final = 20.0
SILENCE_FACTOR: Final = 4.0
# Weight of a new measurement against the ones before.
WEIGHT: Final = 0.4


@dataclass(slots=True, eq=False)
class Run:
    """Blocks asked for in one request. ``outstanding`` are those not yet answered, in order.

    ``begun`` is the block whose first bytes have come last, at ``begun_at``, or -1. ``moves`` is how often its blocks
    were taken from one neighbour to be asked of another. ``is_standby``: nothing comes before it is taken up; its
    neighbour said at ``ready_at`` that it could send the block, or not yet (0). ``recalled`` is a block that this run
    need not bring if it has not begun, or -1.
    """

    id: int
    peer: str
    outstanding: dict[int, None]
    started: float
    last_progress: float
    received_bytes: int = 0
    begun: int = -1
    begun_at: float = 0.0
    moves: int = 0
    is_standby: bool = False
    ready_at: float = 0.0
    recalled: int = -1
    insists: bool = False


@dataclass(slots=True, eq=False)
class Neighbour:
    """One neighbour. ``origin`` is one whose uploads are to be spared, ``near`` one of our own site.

    ``latency_s`` is what lies between asking for a block and its first bytes: the way, and the neighbour's queue;
    ``sending_bytes_per_s`` how fast a block comes once it does, ``rate_bytes_per_s`` what it gives in all.
    """

    peer: str
    origin: Origin
    near: bool
    have: int
    rate_bytes_per_s: float = 0.0
    sending_bytes_per_s: float = 0.0
    latency_s: float = FIRST_LATENCY_S
    runs: dict[int, Run] = field(default_factory=dict)
    in_flight_bytes: int = 0
    backoff_s: float = 0.0
    not_before: float = 0.0
    is_measured: bool = False
    idle_since: float = 0.0

    def is_open(self, now: float) -> bool:
        """Whether another run may start: not in backoff, and not enough work under way."""
        if now < self.not_before:
            return False
        if not self.runs:
            return True
        return len(self.runs) < RUNS_AHEAD and 2 * self.in_flight_bytes <= self.rate_bytes_per_s * AHEAD_S

    def run_bytes(self) -> int:
        """How many bytes the next run should ask for."""
        if self.rate_bytes_per_s == 0.0:
            return FIRST_RUN_BYTES
        return min(RUN_MAX_BYTES, int(self.rate_bytes_per_s * AHEAD_S / RUNS_AHEAD))

    def begins(self, run: Run, now: float) -> None:
        """The first bytes of a run's first block came: its latency is known."""
        if run.received_bytes == 0:
            seen = now - run.started
            self.latency_s = self.latency_s + WEIGHT * (seen - self.latency_s) if self.is_measured else seen
            self.is_measured = True

    def measure(self, run: Run, now: float) -> None:
        """Take a finished run into the rate. Its runs share the link, so the rate counts all of them."""
        elapsed = now - run.started
        if elapsed <= 0.0 or run.received_bytes == 0:
            return
        seen = run.received_bytes / elapsed * max(1, len(self.runs))
        old = self.rate_bytes_per_s
        self.rate_bytes_per_s = seen if old == 0.0 else old + WEIGHT * (seen - old)

    def ends(self, run: Run, now: float) -> None:
        """A run is over."""
        self.runs.pop(run.id, None)
        if not self.runs:
            self.idle_since = now

    def expected_s(self, size_bytes: int, now: float) -> float:
        """How long a block would take from this neighbour if it were asked for now.

        Its queue was as long as its latency tells when it was last asked; since then it may have become shorter.
        """
        queue_s = self.latency_s if self.runs else max(0.0, self.latency_s - (now - self.idle_since))
        sending_s = size_bytes / self.sending_bytes_per_s if self.sending_bytes_per_s else 0.0
        return queue_s + sending_s

    def silence_s(self, run: Run, sizes: Sequence[int]) -> float:
        """How long one of its runs may go without any progress; ``sizes`` are those of all blocks."""
        usual_s = self.expected_s(max((sizes[index] for index in run.outstanding), default=0), run.started)
        return max(SILENCE_S if run.begun in run.outstanding else QUEUED_SILENCE_S, SILENCE_FACTOR * usual_s)

    def fail(self, now: float) -> None:
        """It was silent, busy or broke off: leave it alone for a while, longer each time."""
        self.backoff_s = min(BACKOFF_MAX_S, max(BACKOFF_FIRST_S, self.backoff_s * 2))
        self.not_before = now + self.backoff_s

    def gave(self, run: Run, size_bytes: int, now: float) -> None:
        """It gave a block: the score recovers, and how fast it sends one is known."""
        run.received_bytes += size_bytes
        if run.begun_at < now:
            seen = size_bytes / (now - run.begun_at)
            old = self.sending_bytes_per_s
            self.sending_bytes_per_s = seen if old == 0.0 else old + WEIGHT * (seen - old)
        self.backoff_s = 0.0
        self.not_before = 0.0
