"""Whose turn it is, asked from many threads: ``Uploads`` behind a lock, and a gate for each run.

A thread that ends a turn is told of its next one in the same step when nobody goes before it, so a block costs no hop
between threads. Nothing is awaited, read or written while the lock is held.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from swarm.limits import RUNS_SERVED_MAX
from swarm.peer.slots import Slots
from swarm.peer.uploads import READY, RunKey, Turn, Uploads
from swarm.peer.wire import RunRequest


class Turns:
    """The queue of one peer. Every method is thread-safe. ``ready`` is told, in any thread, of an asker and its run
    that stood by and whose turn has come; it must not block.
    """

    def __init__(self, ready: Callable[[str, int], None], slots_most: int = RUNS_SERVED_MAX) -> None:
        self._ready = ready
        self._uploads = Uploads(Slots(slots_most))
        self._lock = threading.Lock()
        self._gates: dict[RunKey, queue.SimpleQueue[Turn]] = {}

    def begin(self, asker: str, run: RunRequest, *, spared: bool) -> bool:
        """A run begins. False: no more of this asker's, or of everybody's, are taken now."""
        with self._lock:
            if not self._uploads.has_room(asker, run.run):
                return False
            self._gates[asker, run.run] = queue.SimpleQueue()
            now = time.monotonic()
            self._uploads.asked(asker, run.run, run.version, run.signatures, now, insist=run.insist, spared=spared)
            self._go_on()
            return True

    def stand_by(self, asker: str, run: int, version: bytes, signature: bytes) -> None:
        """An asker stands by for a block, as far as there is room."""
        with self._lock:
            self._uploads.stands_by(asker, run, version, signature, time.monotonic())
            self._go_on()

    def gave(self, asker: str, size_bytes: int) -> None:
        """We had a block from this asker."""
        with self._lock:
            self._uploads.gave(asker, size_bytes)

    def wait(self, asker: str, run: int, timeout_s: float) -> Turn | None:
        """The run's next turn; None when it has not come in time."""
        try:
            return self._gates[asker, run].get(timeout=timeout_s)
        except queue.Empty:
            with self._lock:
                self._go_on()  # who was told that it may ask, and never did, is waited for no longer
            return None

    def done(self, asker: str, run: int, *, sent_bytes: int) -> None:
        """A turn is over: the answer is with the network."""
        with self._lock:
            self._uploads.done(asker, run, time.monotonic(), sent_bytes=sent_bytes)
            self._go_on()

    def end(self, asker: str, run: int) -> None:
        """A run is over, or broke off."""
        with self._lock:
            self._uploads.ended(asker, run)
            del self._gates[asker, run]
            self._go_on()

    def cancel(self, asker: str, run: int, signatures: Sequence[bytes]) -> None:
        """These blocks of a run need not be sent; none named means all that is left."""
        with self._lock:
            self._uploads.cancelled(asker, run, signatures, time.monotonic())
            self._go_on()

    def takes_only(self, asker: str) -> None:
        """Send nobody to this peer as long as it is here."""
        with self._lock:
            self._uploads.takes_only(asker)

    def left(self, asker: str) -> None:
        """Send nobody to this peer any more."""
        with self._lock:
            self._uploads.left(asker)
            self._go_on()

    def _go_on(self) -> None:
        """Let those go on whose turn it is now."""
        now = time.monotonic()
        while (turn := self._uploads.next(now)) is not None:
            if turn.status == READY:
                self._ready(turn.asker, turn.run)
            else:
                self._gates[turn.asker, turn.run].put(turn)
