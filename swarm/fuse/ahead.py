"""Reading a mount's files from the agent: exactly what was asked for, or ahead of who reads on.

Who reads a file from one end to the other is given windows that were asked for before. The kernel keeps what was read,
so windows are held only until they have been: ``WINDOWS_MAX_BYTES`` for the whole mount.
"""

from __future__ import annotations

import errno
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

WINDOW_BYTES: Final = 2 << 20
WINDOWS_MAX_BYTES: Final = 32 << 20
# Windows asked for ahead at most, by one reader.
AHEAD_MAX: Final = 4
# The kernel's reads of one reader come in parallel, and not in order.
ASTRAY_BYTES: Final = 2 << 20
# Reads in a row after which a reader is taken for one that goes on.
ROW: Final = 2
STALLED_S: Final = 0.5
Fetch = Callable[[int, int], bytes]


class Windows:
    """Windows of all files of a mount, the least lately used first to go."""

    def __init__(self, pool: ThreadPoolExecutor, limit_bytes: int = WINDOWS_MAX_BYTES) -> None:
        self._pool = pool
        self._most = limit_bytes // WINDOW_BYTES
        self._windows: OrderedDict[tuple[object, int], Future[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object, index: int, size: int, fetch: Fetch) -> Future[bytes]:
        """The window of this number of a file of this size, asked for if it was not."""
        with self._lock:
            future = self._windows.get((key, index))
            if future is None or (future.done() and future.exception() is not None):
                begin = index * WINDOW_BYTES
                future = self._pool.submit(fetch, begin, min(size, begin + WINDOW_BYTES))
                self._windows[key, index] = future
            self._windows.move_to_end((key, index))
            while len(self._windows) > self._most:
                self._windows.popitem(last=False)
            return future

    def has(self, key: object, index: int) -> bool:
        return (key, index) in self._windows


class OpenFile:
    """A file that is open. ``key`` names its content, ``fetch`` brings a range of it."""

    def __init__(self, windows: Windows, key: object, size: int, fetch: Fetch) -> None:
        self._windows = windows
        self._key = key
        self._size = size
        self._fetch = fetch
        self._end = 0
        self._row = 0

    def read(self, offset: int, length: int, interrupted: Callable[[], bool]) -> list[memoryview]:
        """The bytes there are of a range, in order. OSError; InterruptedError when it takes long and nobody waits."""
        end = min(offset + length, self._size)
        if offset >= end:
            return []
        goes_on = abs(offset - self._end) <= ASTRAY_BYTES
        self._row = self._row + 1 if goes_on else 0
        self._end = max(self._end, end) if goes_on else end
        first, last = offset // WINDOW_BYTES, (end - 1) // WINDOW_BYTES
        if self._row < ROW and not self._windows.has(self._key, first):
            return [memoryview(self._fetch(offset, end))]
        ahead = min(self._row // ROW, AHEAD_MAX)
        most = (self._size - 1) // WINDOW_BYTES
        asked = [
            self._windows.get(self._key, index, self._size, self._fetch)
            for index in range(first, min(last + ahead, most) + 1)
        ]
        return [
            memoryview(_result(future, interrupted))[max(0, offset - index * WINDOW_BYTES) : end - index * WINDOW_BYTES]
            for index, future in zip(range(first, last + 1), asked, strict=False)
        ]


def _result(future: Future[bytes], interrupted: Callable[[], bool]) -> bytes:
    while True:
        try:
            return future.result(STALLED_S)
        except TimeoutError:
            if future.done():
                raise  # its own
            if interrupted():
                raise InterruptedError(errno.EINTR, "whoever read this waits no more") from None
