"""Object stores: the only durable state of a swarm, behind one small interface.

Keys are paths of ``[A-Za-z0-9._@-]`` parts joined by ``/``; one key may be a prefix of another. ``put_if_absent`` is
the one primitive of agreement: of any number of writers, in any number of processes, one gets True. What is
acknowledged survives a crash.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from swarm.errors import LocalProtocolError

KEY_MAX_CHARS: Final = 512
# What S3 lists at a time.
PAGE_KEYS: Final = 1000
_PART = re.compile(r"[A-Za-z0-9@_-][A-Za-z0-9._@-]{0,254}")


class ObjectStore(Protocol):
    """Whole objects by key. Blocking and thread-safe. FullError when there is no room."""

    def get(self, key: str) -> bytes:
        """The object's bytes, or NotFoundError."""
        ...

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``start`` (fewer at the end), or NotFoundError."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Write or replace an object, whole or not at all."""
        ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one: True for the one writer that did."""
        ...

    def list(self, prefix: str, *, after: str = "", limit: int = PAGE_KEYS) -> list[str]:
        """The first ``limit`` keys that begin with ``prefix`` and sort behind ``after``, sorted: fewer are all."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""
        ...

    def close(self) -> None: ...


def is_key(text: str) -> bool:
    """Whether an object of ours may have this key."""
    return len(text) <= KEY_MAX_CHARS and all(_PART.fullmatch(part) for part in text.split("/"))


def check_key(key: str) -> str:
    """The key, unchanged. LocalProtocolError for one that no part of ours may use."""
    if not is_key(key):
        raise LocalProtocolError(f"{key[:80]!r} is not an object key")
    return key
