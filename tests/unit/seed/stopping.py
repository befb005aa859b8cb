"""An object store whose user is killed: from some call on, nothing it does reaches the store any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from swarm.objects import ObjectStore

T = TypeVar("T")


class Killed(BaseException):
    """The process is no more. No handler of errors of ours may take it for one."""


class Stopping:
    """An ObjectStore over another one. The call number ``last`` is made, or not any more, and Killed is raised."""

    def __init__(self, objects: ObjectStore, last: int, *, is_made: bool) -> None:
        self.calls = 0
        self._objects = objects
        self._last = last
        self._is_made = is_made

    def _call(self, call: Callable[[], T]) -> T:
        self.calls += 1
        if self.calls < self._last:
            return call()
        if self.calls == self._last and self._is_made:
            call()
        raise Killed

    def get(self, key: str) -> bytes:
        return self._call(lambda: self._objects.get(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._call(lambda: self._objects.get_range(key, start, length))

    def put(self, key: str, data: bytes) -> None:
        return self._call(lambda: self._objects.put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._call(lambda: self._objects.put_if_absent(key, data))

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        return self._call(lambda: self._objects.list(prefix, after=after, limit=limit))

    def delete(self, key: str) -> None:
        return self._call(lambda: self._objects.delete(key))

    def close(self) -> None:
        """The process is gone."""
