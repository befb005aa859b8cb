"""Buffers of a block's size, used again and again: a fresh one costs the kernel a page at a time.

A buffer is whoever took it's until it is given back. Those that rest are bounded in number; what is beyond that is left
to the collector, and a fresh one made when none rests.
"""

from __future__ import annotations

import threading


class Buffers:
    """Buffers of ``size_bytes``; at most ``resting_max`` are kept while nobody uses them. Thread-safe."""

    def __init__(self, size_bytes: int, resting_max: int) -> None:
        self._size_bytes = size_bytes
        self._resting_max = resting_max
        self._resting: list[bytearray] = []
        self._lock = threading.Lock()

    def take(self) -> bytearray:
        """A buffer with whatever was in it."""
        with self._lock:
            if self._resting:
                return self._resting.pop()
        return bytearray(self._size_bytes)

    def give_back(self, buffer: bytearray) -> None:
        """Nobody looks into this buffer any more."""
        with self._lock:
            if len(self._resting) < self._resting_max:
                self._resting.append(buffer)
