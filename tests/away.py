"""An object store that can be away: for what a swarm does meanwhile."""

from __future__ import annotations

from swarm.errors import UnreachableError
from swarm.objects.memory import MemoryObjectStore


class LeavingStore(MemoryObjectStore):
    """A store in memory that answers nothing while ``is_away``. ``asked`` counts the calls meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.asked = 0

    def _check(self) -> None:
        if self.is_away:
            self.asked += 1
            raise UnreachableError("the object store is away; repeat later")

    def get(self, key: str) -> bytes:
        self._check()
        return super().get(key)

    def put(self, key: str, data: bytes) -> None:
        self._check()
        super().put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._check()
        return super().put_if_absent(key, data)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        self._check()
        return super().list(prefix, after=after, limit=limit)

    def delete(self, key: str) -> None:
        self._check()
        super().delete(key)
