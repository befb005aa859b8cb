"""Planning a sweep: which keys are due, and which of them go to which nodes, in as few packets as can be.

The keys lie in order, so that a region of the key space (all keys with a prefix) is a run of them. One lookup finds all
nodes that matter to a region: each of its keys has its closest nodes among them. Rare keys come first: those never
announced and those with few providers. A key with enough other providers is passed over, but never for so long that
all of its records would run out together. Pure.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

REPLICAS: Final = 8
# Nodes that a region's lookup asks for: a subtree with 8 nodes rarely holds more.
REGION_WIDTH: Final = 20
# Keys that are assigned at once: it takes about 10 microseconds for each.
REGION_KEYS_MAX: Final = 1000
BITS: Final = 160
# How often a key is announced; one that has CROWD other providers, once in CROWDED_INTERVALS, within a record's life.
INTERVAL_S: Final = 3600.0
CROWD: Final = 8
CROWDED_INTERVALS: Final = 3
# With fewer other providers than this a key is rare.
RARE: Final = 3
# A key that no node took is tried again after this.
AGAIN_S: Final = 60.0
NEVER: Final = float("-inf")


class Sweep:
    """Of each key of the set: how many others provide it, as last heard, and when it is due (monotonic seconds)."""

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._others = bytearray()
        self._due = array("d")
        self._cursor = b""
        self._rare_only = True

    def __len__(self) -> int:
        return len(self._keys)

    def replace(self, keys: Sequence[bytes]) -> int:
        """Announce these keys from now on, and no others. How many of them are new."""
        before = {key: i for i, key in enumerate(self._keys)}
        merged = sorted(set(keys))
        known = [before.get(key, -1) for key in merged]
        self._others = bytearray(self._others[i] if i >= 0 else 0 for i in known)
        self._due = array("d", [self._due[i] if i >= 0 else NEVER for i in known])
        self._keys = merged
        return known.count(-1)

    def begin(self) -> None:
        """Start over: rare keys from the first, then the others."""
        self._cursor, self._rare_only = b"", True

    def everything_is_due(self) -> None:
        """Announce all keys again, whenever they were announced last."""
        self._due = array("d", [min(due, 0.0) for due in self._due])

    def next_key(self, now: float) -> bytes | None:
        """The next key to be announced, None when none is due (any more)."""
        while True:
            for i in range(bisect_left(self._keys, self._cursor), len(self._keys)):
                if self._is_wanted(i, now):
                    self._cursor = self._keys[i]
                    return self._cursor
            if not self._rare_only:
                return None
            self._cursor, self._rare_only = b"", False

    def take(self, bits: int, now: float) -> list[bytes]:
        """From the next key on, the keys that are to be announced and share its first ``bits``; the cursor moves on."""
        taken: list[bytes] = []
        around = int.from_bytes(self._cursor, "big")
        i = bisect_left(self._keys, self._cursor)
        while i < len(self._keys) and len(taken) < REGION_KEYS_MAX:
            if not in_region(int.from_bytes(self._keys[i], "big"), around, bits):
                break
            if self._is_wanted(i, now):
                taken.append(self._keys[i])
            i += 1
        self._cursor = self._keys[i] if i < len(self._keys) else b"\xff" * (BITS // 8 + 1)
        return taken

    def is_new(self, key: bytes) -> bool:
        """Whether a key was never announced."""
        i = self._find(key)
        return i is not None and self._due[i] == NEVER

    def announced(self, key: bytes, others: int, now: float) -> None:
        """A key is announced, or known to need it not: it has ``others`` providers beside us."""
        i = self._find(key)
        if i is not None:
            self._others[i] = min(255, others)
            self._due[i] = now + INTERVAL_S * (CROWDED_INTERVALS if others >= CROWD else 1)

    def failed(self, key: bytes, now: float) -> None:
        """No node took a key."""
        i = self._find(key)
        if i is not None:
            self._due[i] = now + AGAIN_S

    def due(self, now: float) -> tuple[int, float]:
        """How many keys are due, and for how long the one has been that waits longest of those announced before."""
        due = [at for at in self._due if at <= now]
        return len(due), max(0.0, now - min((at for at in due if at != NEVER), default=now))

    def next_due(self) -> float:
        """When the next key is due; infinity if there is none."""
        return min(self._due, default=float("inf"))

    def _find(self, key: bytes) -> int | None:
        i = bisect_left(self._keys, key)
        return i if i < len(self._keys) and self._keys[i] == key else None

    def _is_wanted(self, i: int, now: float) -> bool:
        return self._due[i] <= now and (not self._rare_only or self._others[i] < RARE)


def region_bits(key: bytes, nodes: Sequence[bytes]) -> int:
    """The length of the prefix of ``key`` that REPLICAS of the nodes share: its region. 0 when there are too few."""
    number = int.from_bytes(key, "big")
    distances = heapq.nsmallest(REPLICAS + 1, (number ^ int.from_bytes(node, "big") for node in nodes))
    if len(distances) <= REPLICAS:
        return 0
    return BITS - distances[REPLICAS - 1].bit_length()


def in_region(key: int, around: int, bits: int) -> bool:
    """Whether two keys share a prefix of ``bits``."""
    return bits == 0 or (key ^ around) >> (BITS - bits) == 0


def leading(keys: Sequence[bytes], bits: int) -> list[bytes]:
    """Of sorted keys, those at the start that share the first one's region, at most REGION_KEYS_MAX."""
    first = int.from_bytes(keys[0], "big")
    taken = list(keys[:REGION_KEYS_MAX])
    for i, key in enumerate(taken):
        if not in_region(int.from_bytes(key, "big"), first, bits):
            return taken[:i]
    return taken


def assign(keys: Sequence[bytes], nodes: Sequence[bytes]) -> dict[bytes, list[bytes]]:
    """For each node, the keys that it is among the REPLICAS closest of."""
    numbers = {int.from_bytes(node, "big"): node for node in nodes}
    assigned: dict[bytes, list[bytes]] = {}
    for key in keys:
        target = int.from_bytes(key, "big")
        for number in heapq.nsmallest(REPLICAS, numbers, key=target.__xor__):
            assigned.setdefault(numbers[number], []).append(key)
    return assigned


def batches(keys: Sequence[bytes], size: int) -> Iterator[list[bytes]]:
    """The keys, ``size`` at a time."""
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])


class Pace:
    """A packet budget: so many per second, with a small burst."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._ready_at = NEVER

    def take(self, packets: int, now: float) -> float:
        """Spend packets: the seconds to wait before they are sent."""
        self._ready_at = max(self._ready_at, now - self._burst / self._rate) + packets / self._rate
        return max(0.0, self._ready_at - now)
