"""Blocks in memory, bounded in bytes; what was used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

from swarm.encoding import Encoded
from swarm.store.regret import Regret


class MemoryStore:
    """A Store of at most ``max_bytes`` of encoded blocks."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._blocks: OrderedDict[bytes, Encoded] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0
        self.hits = self.misses = 0
        self.regret = Regret()

    def get(self, signature: bytes) -> Encoded | None:
        with self._lock:
            encoded = self._blocks.get(signature)
            if encoded is None:
                self.misses += 1
                return None
            self.hits += 1
            self._blocks.move_to_end(signature)
            return encoded

    def put(self, signature: bytes, encoded: Encoded) -> None:
        """Keep a block; one that is larger than the whole store is not kept."""
        with self._lock:
            self._remove(signature)
            if len(encoded) > self._max_bytes:
                return
            self._blocks[signature] = encoded
            self.size_bytes += len(encoded)
            self.regret.came(signature, len(encoded))
            while self.size_bytes > self._max_bytes:
                oldest = next(iter(self._blocks))
                self._remove(oldest)
                self.regret.dropped(oldest)

    def has(self, signature: bytes) -> bool:
        return signature in self._blocks

    def remove(self, signature: bytes) -> None:
        """Drop a block, if it is here."""
        with self._lock:
            self._remove(signature)

    def held(self) -> Iterator[bytes]:
        """The signatures here, used longest ago first."""
        with self._lock:
            return iter(list(self._blocks))

    def close(self) -> None:
        with self._lock:
            self._blocks.clear()
            self.size_bytes = 0

    def _remove(self, signature: bytes) -> None:
        encoded = self._blocks.pop(signature, None)
        if encoded is not None:
            self.size_bytes -= len(encoded)

    def __len__(self) -> int:
        return len(self._blocks)
