"""Several stores as one: asked in order, fastest first. What a lower tier gives is kept in the tiers above that
take it.
"""

from __future__ import annotations

import threading

from swarm.encoding import Encoded
from swarm.store import Store


class Tiers:
    """A Store over ``stores``. Only the first ``writable`` of them are written to."""

    def __init__(self, stores: list[Store], writable: int) -> None:
        self._stores = list(stores)
        self._writable = writable
        self._lock = threading.Lock()

    def add(self, store: Store) -> None:
        """One more source, asked last."""
        with self._lock:
            self._stores = [*self._stores, store]

    def remove(self, store: Store) -> None:
        with self._lock:
            self._stores = [other for other in self._stores if other is not store]

    def get(self, signature: bytes) -> Encoded | None:
        for depth, store in enumerate(self._stores):
            encoded = store.get(signature)
            if encoded is not None:
                if depth and depth < self._writable:
                    self._stores[0].put(signature, encoded)
                return encoded
        return None

    def put(self, signature: bytes, encoded: Encoded) -> None:
        for store in self._stores[: self._writable]:
            store.put(signature, encoded)

    def has(self, signature: bytes) -> bool:
        return any(store.has(signature) for store in self._stores)

    def close(self) -> None:
        for store in self._stores:
            store.close()
