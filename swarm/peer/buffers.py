"""Buffers of a block's size, used again and again: a fresh one costs the kernel a page at a time.

A buffer is whoever took it's until it is given back. There are as many as were ever in use at a time, until ``forget``,
and only those of their pages that were written to take memory.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
from collections.abc import Iterator


class Buffers:
    """Buffers of ``size_bytes``. Thread-safe."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._resting: list[memoryview] = []
        self._lock = threading.Lock()

    def take(self) -> memoryview:
        """A buffer with whatever was in it."""
        with self._lock:
            if self._resting:
                return self._resting.pop()
        return memoryview(mmap.mmap(-1, self._size_bytes))

    def give_back(self, buffer: memoryview) -> None:
        """Nobody looks into this buffer any more."""
        with self._lock:
            self._resting.append(buffer)

    @contextlib.contextmanager
    def lent(self) -> Iterator[memoryview]:
        """A buffer for as long as the ``with``; no view of it may outlive that."""
        buffer = self.take()
        try:
            yield buffer
        finally:
            self.give_back(buffer)

    def forget(self) -> None:
        """Let go of those that nobody uses."""
        with self._lock:
            self._resting.clear()
