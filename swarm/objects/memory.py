"""An object store in memory: for tests and simulations, with the contract of the others."""

from __future__ import annotations

import threading

from swarm.errors import NotFoundError
from swarm.objects import check_key
from swarm.objects.usage import Usage, usage_of_sizes


class MemoryObjectStore:
    """An ObjectStore that lives as long as the process."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes:
        try:
            return self._objects[check_key(key)]
        except KeyError:
            raise NotFoundError(f"there is no object {key}") from None

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self.get(key)[start : start + length]

    def put(self, key: str, data: bytes) -> None:
        self._objects[check_key(key)] = bytes(data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with self._lock:
            if check_key(key) in self._objects:
                return False
            self._objects[key] = bytes(data)
            return True

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        return sorted(key for key in list(self._objects) if key.startswith(prefix) and key > after)[:limit]

    def usage(self, prefix: str = "") -> Usage:
        """The objects whose keys begin with ``prefix``."""
        return usage_of_sizes(len(data) for key, data in list(self._objects.items()) if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self._objects.pop(check_key(key), None)

    def close(self) -> None:
        """Nothing is held open."""
