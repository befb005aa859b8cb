"""Replay protection: a request is taken once, and only near the time at which it was made.

Answers need no memory: each belongs to one request of ours that is waiting. Pure. When the memory is full, new requests
are refused until old ones are too old to be replayed: forgetting instead would let a flood make room for a replay.
"""

from __future__ import annotations

from collections import OrderedDict

from swarm.limits import DHT_PACKET_AGE_MAX_S, DHT_PACKETS_SEEN_MAX


def is_timely(wall_ms: int, wall_now: float) -> bool:
    """Whether a packet is neither old nor from the future."""
    return abs(wall_now - wall_ms / 1000) <= DHT_PACKET_AGE_MAX_S


class Seen:
    """Requests that were taken, until their age alone refuses them."""

    def __init__(self, limit: int = DHT_PACKETS_SEEN_MAX) -> None:
        self._limit = limit
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def is_new(self, id: bytes, wall_now: float) -> bool:
        """Whether it can be taken. Nothing is remembered yet: first its signature is to be checked."""
        while self._until and next(iter(self._until.values())) < wall_now:
            self._until.popitem(last=False)
        return id not in self._until and len(self._until) < self._limit

    def remember(self, id: bytes, wall_now: float) -> None:
        """It was taken. A packet is at most DHT_PACKET_AGE_MAX_S young when it comes: twice that is its last day."""
        self._until[id] = wall_now + 2 * DHT_PACKET_AGE_MAX_S

    def __len__(self) -> int:
        return len(self._until)
