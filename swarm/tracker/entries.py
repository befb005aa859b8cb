"""The entries of logs as they lie in the object store, where each is written once: those used last are kept.

Thread-safe; calls block on the store.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from swarm.errors import NotFoundError
from swarm.limits import MIB
from swarm.objects import ObjectStore

DATASETS: Final = "datasets/"
KEPT_MAX_BYTES: Final = 16 * MIB
AHEAD_MAX: Final = 1000
AHEAD_THREADS: Final = 16


class Entries:
    """Those of all datasets."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._kept_bytes = 0

    def get(self, dataset: str, serial: int) -> bytes:
        """One that was committed. NotFoundError for one that is not there."""
        with self._lock:
            kept = self._kept.get((dataset, serial))
            if kept is not None:
                self._kept.move_to_end((dataset, serial))
                return kept
        data = self._objects.get(log_key(dataset, serial))
        self.keep(dataset, serial, data)
        return data

    def look(self, dataset: str, serial: int) -> bytes | None:
        """What the store holds now; None where nothing is. It is not kept: nobody has verified it."""
        try:
            return self._objects.get(log_key(dataset, serial))
        except NotFoundError:
            return None

    def look_ahead(self, dataset: str, after: int) -> dict[int, bytes | None]:
        """The next ones, read at the same time: one after the other, a thousand take many seconds in a bucket."""
        keys = self._objects.list(f"{DATASETS}{dataset}/log/", after=log_key(dataset, after), limit=AHEAD_MAX)
        serials = range(after + 1, after + 1 + len(keys))
        with ThreadPoolExecutor(AHEAD_THREADS) as pool:
            return dict(zip(serials, pool.map(partial(self.look, dataset), serials), strict=True))

    def keep(self, dataset: str, serial: int, data: bytes) -> None:
        """Remember one as it lies in the store."""
        with self._lock:
            self._kept_bytes += len(data) - len(self._kept.pop((dataset, serial), b""))
            self._kept[dataset, serial] = data
            while self._kept_bytes > KEPT_MAX_BYTES:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1])

    def forget(self) -> None:
        """Read anew what is kept."""
        with self._lock:
            self._kept.clear()
            self._kept_bytes = 0

    def check_invariants(self) -> None:
        """What always holds."""
        with self._lock:
            assert self._kept_bytes == sum(map(len, self._kept.values())) <= KEPT_MAX_BYTES


def log_key(dataset: str, serial: int) -> str:
    """Where an entry lies."""
    return f"{DATASETS}{dataset}/log/{serial:020}"
