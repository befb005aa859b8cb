"""What an object store is asked for: requests by kind, as S3 prices them, and bytes both ways.

A store counts each request that it sends, tries after the first included. ``charged`` makes whatever is done inside it,
also in tasks and in ``asyncio.to_thread``, count for one account more: a publish, or the reading of one version.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final, Literal

import msgspec

Kind = Literal["put", "list", "get", "head", "delete"]
KINDS: Final[tuple[Kind, ...]] = ("put", "list", "get", "head", "delete")


class Spent(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Requests by kind, of which so many were tries after the first; bytes of bodies sent and received."""

    put: int = 0
    list: int = 0
    get: int = 0
    head: int = 0
    delete: int = 0
    retries: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(mine + theirs for mine, theirs in zip(_fields(self), _fields(other), strict=True)))

    @property
    def requests(self) -> int:
        return sum(self.by_kind().values())

    def by_kind(self) -> dict[Kind, int]:
        return {kind: getattr(self, kind) for kind in KINDS}

    def told(self) -> dict[str, Any]:
        """As ``--json`` tells it."""
        moved = {"sent": self.sent_bytes, "received": self.received_bytes}
        return {"requests": dict(self.by_kind()), "retries": self.retries, "bytes": moved}


def spent_of(told: Mapping[str, Any]) -> Spent:
    """What ``told`` told. Counts that are missing are none."""
    requests, moved = told.get("requests", {}), told.get("bytes", {})
    return Spent(
        **{kind: int(requests.get(kind, 0)) for kind in KINDS},
        retries=int(told.get("retries", 0)),
        sent_bytes=int(moved.get("sent", 0)),
        received_bytes=int(moved.get("received", 0)),
    )


def _fields(spent: Spent) -> tuple[int, ...]:
    return msgspec.structs.astuple(spent)


class Account:
    """Counts up. Thread-safe."""

    def __init__(self, spent: Spent | None = None) -> None:
        self._spent = spent or Spent()
        self._lock = threading.Lock()

    def add(self, spent: Spent) -> None:
        with self._lock:
            self._spent += spent

    @property
    def spent(self) -> Spent:
        return self._spent


_charged: ContextVar[tuple[Account, ...]] = ContextVar("charged", default=())


@contextlib.contextmanager
def charged(account: Account) -> Iterator[None]:
    """What stores are asked for in here counts for this account too."""
    token = _charged.set((*_charged.get(), account))
    try:
        yield
    finally:
        _charged.reset(token)


class Meter:
    """What one store has been asked for since it was opened. ``refused``: calls that were not made, as it was away."""

    def __init__(self) -> None:
        self._all = Account()
        self.refused = 0

    def sent(self, kind: Kind, size_bytes: int = 0) -> None:
        """A request goes out, with so many bytes."""
        self._add(Spent(**{kind: 1}, sent_bytes=size_bytes))

    def received(self, size_bytes: int) -> None:
        """So many bytes came back."""
        self._add(Spent(received_bytes=size_bytes))

    def retried(self) -> None:
        """The next request is another try."""
        self._add(Spent(retries=1))

    def _add(self, spent: Spent) -> None:
        for account in (self._all, *_charged.get()):
            account.add(spent)

    @property
    def spent(self) -> Spent:
        return self._all.spent
