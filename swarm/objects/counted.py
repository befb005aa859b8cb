"""A store that counts what is asked of another one, and knows since when that does not answer.

For stores where a call is one request, as a folder. A store on S3 counts what it sends itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from swarm.errors import AetherError, UnreachableError
from swarm.objects import ObjectStore
from swarm.objects.meter import Kind, Meter
from swarm.objects.standing import HERE, Place, Standing
from swarm.objects.usage import Usage, usage_of

T = TypeVar("T")


class CountedStore:
    """An ObjectStore around another, which it closes."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.meter = Meter()
        self._standing = HERE

    def get(self, key: str) -> bytes:
        return self._received(self._asked("get", lambda: self._store.get(key)))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self._received(self._asked("get", lambda: self._store.get_range(key, start, length)))

    def put(self, key: str, data: bytes) -> None:
        self._asked("put", lambda: self._store.put(key, data), len(data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._asked("put", lambda: self._store.put_if_absent(key, data), len(data))

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        return self._asked("list", lambda: self._store.list(prefix, after=after, limit=limit))

    def usage(self, prefix: str = "") -> Usage:
        """What the other tells."""
        return self._asked("list", lambda: usage_of(self._store, prefix))

    def delete(self, key: str) -> None:
        self._asked("delete", lambda: self._store.delete(key))

    def close(self) -> None:
        self._store.close()

    def place(self) -> Place:
        """Where the other is."""
        path = getattr(self._store, "path", None)
        return Place(f"file://{path}" if path else "memory", "none but what the disk does")

    def standing(self) -> Standing:
        """Whether the last call was answered."""
        return self._standing

    def _asked(self, kind: Kind, call: Callable[[], T], sent_bytes: int = 0) -> T:
        self.meter.sent(kind, sent_bytes)
        try:
            answer = call()
        except UnreachableError as error:
            if self._standing is HERE:
                self._standing = Standing(time.time(), str(error))
            raise
        except AetherError:
            self._standing = HERE
            raise
        self._standing = HERE
        return answer

    def _received(self, data: bytes) -> bytes:
        self.meter.received(len(data))
        return data

    def __repr__(self) -> str:
        return f"<CountedStore {self._store!r}>"
