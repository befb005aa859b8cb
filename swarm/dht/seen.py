"""Replay protection: a request is taken once, and only near the time at which it was made.

Answers need no memory: each belongs to one request of ours that is waiting. Pure. When the memory is full, new requests
are refused until old ones are too old to be replayed: forgetting instead would let a flood make room for a replay.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

from swarm.limits import DHT_PACKET_AGE_MAX_S, DHT_PACKETS_SEEN_MAX

# One sender has at most one part in SHARE of the memory: a flood of one member does not silence the others.
SHARE: Final = 4


def is_timely(wall_ms: int, wall_now: float) -> bool:
    """Whether a packet is neither old nor from the future."""
    return abs(wall_now - wall_ms / 1000) <= DHT_PACKET_AGE_MAX_S


class Seen:
    """Requests that were taken, until their age alone refuses them. One sender has at most a share of the memory."""

    def __init__(self, limit: int = DHT_PACKETS_SEEN_MAX) -> None:
        self._limit = limit
        self._sender_limit = max(1, limit // SHARE)
        self._until: OrderedDict[tuple[bytes, bytes], float] = OrderedDict()
        self._by_sender: Counter[bytes] = Counter()

    def is_new(self, sender: bytes, id: bytes, wall_now: float) -> bool:
        """Whether it can be taken. Nothing is remembered yet: first its signature is to be checked."""
        while self._until and next(iter(self._until.values())) < wall_now:
            (gone, _), _ = self._until.popitem(last=False)
            self._by_sender[gone] -= 1
            if not self._by_sender[gone]:
                del self._by_sender[gone]
        has_room = len(self._until) < self._limit and self._by_sender[sender] < self._sender_limit
        return has_room and (sender, id) not in self._until

    def remember(self, sender: bytes, id: bytes, wall_now: float) -> None:
        """It was taken. A packet is at most DHT_PACKET_AGE_MAX_S young when it comes: twice that is its last day."""
        self._until[sender, id] = wall_now + 2 * DHT_PACKET_AGE_MAX_S
        self._by_sender[sender] += 1

    def __len__(self) -> int:
        return len(self._until)
