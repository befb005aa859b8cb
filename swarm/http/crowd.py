"""Who is let in when many come: so many connections in all, and so many of one address.

Whoever is waited for makes room for newcomers, the longest waited for first: connections that say nothing, or a little
now and then, keep nobody out. Who is being answered stays. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Crowd(Generic[T]):
    """At most ``most`` at a time, and ``most_of_one`` of an address."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._address: dict[T, str] = {}
        self._waiting: dict[T, None] = {}
        self._count: Counter[str] = Counter()

    def enter(self, who: T, address: str) -> tuple[bool, T | None]:
        """Whether a newcomer is let in, and who has to go for it. It is waited for from now on."""
        gone: T | None = None
        if self._count[address] >= self._most_of_one:
            gone = next((one for one in self._waiting if self._address[one] == address), None)
        elif len(self._address) >= self._most:
            gone = next(iter(self._waiting), None)
        else:
            self._add(who, address)
            return True, None
        if gone is not None:
            self.leave(gone)
            self._add(who, address)
        return gone is not None, gone

    def _add(self, who: T, address: str) -> None:
        self._address[who] = address
        self._waiting[who] = None
        self._count[address] += 1

    def waits(self, who: T) -> None:
        """We wait for somebody, from now on."""
        if who in self._address:
            self._waiting.setdefault(who)

    def works(self, who: T) -> None:
        """Somebody waits for us."""
        self._waiting.pop(who, None)

    def leave(self, who: T) -> None:
        """Somebody has left; nothing if that is known."""
        address = self._address.pop(who, None)
        self._waiting.pop(who, None)
        if address is not None:
            self._count[address] -= 1
            if not self._count[address]:
                del self._count[address]

    def __len__(self) -> int:
        return len(self._address)

    def check_invariants(self) -> None:
        """What always holds."""
        assert len(self._address) <= self._most
        assert self._waiting.keys() <= self._address.keys()
        assert Counter(self._address.values()) == self._count
        assert all(0 < count <= self._most_of_one for count in self._count.values())
