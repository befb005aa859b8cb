"""An object store that loses answers, by a seed: a call fails before it is done, or after it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from swarm.errors import UnreachableError
from swarm.objects import ObjectStore

# Between a look and what is done upon it: mostly short, sometimes as long as a request of somebody else takes.
PAUSE_MAX_S: Final = 0.02

R = TypeVar("R")


class FaultyStore:
    """Another store, as one process reaches it. Only what lies below ``datasets/`` fails, so that it is about logs.

    ``rate`` of the calls fail, as if the store were away. Before it ``hang_up`` is called, which is to end the
    connections of those who wait for an answer: for every read, so that nobody is told what was true before, and for
    every other write.
    """

    def __init__(self, store: ObjectStore, rng: random.Random, rate: float, hang_up: Callable[[], object]) -> None:
        self._store = store
        self._hang_up = hang_up
        self._rng = rng
        self._rate = rate
        self._lock = threading.Lock()
        self.failed = 0

    def _through(self, key: str, call: Callable[[], R], *, writes: bool = False) -> R:
        if not key.startswith("datasets/"):
            return call()
        with self._lock:
            is_failing, is_done, is_told = (self._rng.random() < share for share in (self._rate, 0.5, 0.5))
            pause_s = PAUSE_MAX_S * self._rng.random() ** 4
        if is_failing and not is_done:
            self._fail(is_told and writes)
        try:
            result = call()
        finally:
            time.sleep(pause_s)
        if is_failing:
            self._fail(is_told and writes)
        return result

    def _fail(self, is_told: bool) -> None:
        self.failed += 1
        if not is_told:
            self._hang_up()
        raise UnreachableError("the object store does not answer: try again")

    def get(self, key: str) -> bytes:
        return self._through(key, lambda: self._store.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._through(key, lambda: self._store.get_range(key, start, length))

    def put(self, key: str, data: bytes) -> None:
        self._through(key, lambda: self._store.put(key, data), writes=True)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._through(key, lambda: self._store.put_if_absent(key, data), writes=True)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        return self._through(prefix, lambda: self._store.list(prefix, after=after, limit=limit))

    def delete(self, key: str) -> None:
        self._through(key, lambda: self._store.delete(key), writes=True)

    def close(self) -> None:
        """The store behind stays its opener's."""
