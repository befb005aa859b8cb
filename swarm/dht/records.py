"""The provider records that a node keeps for others: many per key, expiring, capped.

Records come in as batches signed by the provider itself; a newer sequence of a provider replaces what it said of a key
before, an older one changes nothing. Caps: providers per key, bytes per provider, bytes in all. When the bytes are used
up, whoever has the most of them gives way to who has fewer, and large batches (blocks, from sweeps) give way to small
ones (versions and tags). Pure: wall time and randomness are arguments. Nothing here walks over all records at once.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from typing import Final

from swarm.dht.batch import Batch, Record, SignedBatch, open_batch, path_of, tree_of
from swarm.errors import RemoteProtocolError
from swarm.limits import (
    CLOCK_SKEW_S,
    DHT_PROVIDERS_PER_KEY_MAX,
    DHT_RECORD_LIFETIME_S,
    DHT_RECORDS_MAX_BYTES,
    DHT_RECORDS_PER_PROVIDER_MAX_BYTES,
)

# Measured with tracemalloc, rounded up: what one record, and one batch beside its records, take in memory.
RECORD_COST_BYTES: Final = 400
BATCH_COST_BYTES: Final = 1000


class _Kept:
    """A batch, of which ``live`` records are still in force."""

    __slots__ = ("expires", "keys", "live", "provider", "sequence", "signed")

    def __init__(self, signed: SignedBatch, batch: Batch, keys: tuple[bytes, ...]) -> None:
        self.signed = signed
        self.keys = keys
        self.provider = batch.public
        self.expires = batch.expires
        self.sequence = batch.sequence
        self.live = 0


class RecordStore:
    """Records by key and provider."""

    def __init__(
        self,
        max_bytes: int = DHT_RECORDS_MAX_BYTES,
        provider_max_bytes: int = DHT_RECORDS_PER_PROVIDER_MAX_BYTES,
    ) -> None:
        self._max_bytes = max_bytes
        self._provider_max_bytes = provider_max_bytes
        self._keys: dict[bytes, list[tuple[_Kept, int]]] = {}
        self._batches: dict[bytes, set[_Kept]] = {}
        self._bytes: dict[bytes, int] = {}
        self._expiring: list[tuple[int, int, _Kept]] = []
        self._serial = 0
        self._live_batches = 0
        self.count = 0
        self.size_bytes = 0

    def store(self, signed: SignedBatch, keys: tuple[bytes, ...], provider: bytes, wall_now: float) -> bytes:
        """Keep a batch that ``provider`` itself sent. For each key a byte: its providers now, 0 if not kept.

        RemoteProtocolError if the batch is not its sender's own, not over these keys, not in force or from the future.
        """
        self.expire(wall_now)
        batch = open_batch(signed)
        if batch.public != provider:
            raise RemoteProtocolError("a provider batch is announced by somebody else")
        if len(keys) != batch.count or len(set(keys)) != len(keys) or tree_of(keys)[-1][0] != batch.tree:
            raise RemoteProtocolError("a provider batch is not over the keys that came with it")
        if not wall_now < batch.expires <= wall_now + DHT_RECORD_LIFETIME_S + CLOCK_SKEW_S:
            raise RemoteProtocolError("a provider batch has expired, or would live too long")
        kept = _Kept(signed, batch, keys)
        if not self._make_room(kept):
            return bytes(len(keys))
        counts = bytes(self._keep(key, kept, position) for position, key in enumerate(keys))
        if kept.live:
            self._enter(kept)
        return counts

    def find(self, key: bytes, wall_now: float, rng: random.Random, limit: int) -> list[Record]:
        """Up to ``limit`` records of a key that are in force, in random order, so that no provider is always first."""
        in_force = [entry for entry in self._keys.get(key, ()) if entry[0].expires > wall_now]
        chosen = rng.sample(in_force, min(limit, len(in_force)))
        return [Record(kept.signed, position, path_of(tree_of(kept.keys), position)) for kept, position in chosen]

    def providers(self, key: bytes, beside: bytes) -> int:
        """How many other providers than ``beside`` a key has here."""
        return sum(1 for kept, _ in self._keys.get(key, ()) if kept.provider != beside)

    def expire(self, wall_now: float) -> None:
        """Forget what is no longer in force."""
        while self._expiring and self._expiring[0][0] <= wall_now:
            self._drop_batch(heapq.heappop(self._expiring)[2])

    # ---- one record -------------------------------------------------------------------------------------------------

    def _keep(self, key: bytes, kept: _Kept, position: int) -> int:
        entries = self._keys.get(key, [])
        for i, (before, _) in enumerate(entries):
            if before.provider == kept.provider:
                if before.sequence <= kept.sequence:
                    entries[i] = (kept, position)
                    kept.live += 1
                    self._released(before)
                return len(entries)
        if len(entries) >= DHT_PROVIDERS_PER_KEY_MAX:
            soonest = min(range(len(entries)), key=lambda i: entries[i][0].expires)
            if entries[soonest][0].expires >= kept.expires:
                return 0
            before = entries[soonest][0]
            entries[soonest] = (kept, position)
            kept.live += 1
            self._account(before.provider, -RECORD_COST_BYTES)
            self._account(kept.provider, RECORD_COST_BYTES)
            self._released(before)
            return len(entries)
        entries.append((kept, position))
        self._keys[key] = entries
        kept.live += 1
        self.count += 1
        self._account(kept.provider, RECORD_COST_BYTES)
        return len(entries)

    def _released(self, kept: _Kept) -> None:
        """A record of a batch has given way to one of another batch."""
        kept.live -= 1
        if not kept.live:
            self._leave(kept)

    def _enter(self, kept: _Kept) -> None:
        self._batches.setdefault(kept.provider, set()).add(kept)
        self._live_batches += 1
        self._account(kept.provider, BATCH_COST_BYTES)
        self._serial += 1
        heapq.heappush(self._expiring, (kept.expires, self._serial, kept))
        if len(self._expiring) > 2 * self._live_batches + 64:
            self._expiring = [entry for entry in self._expiring if entry[2].live]
            heapq.heapify(self._expiring)

    def _leave(self, kept: _Kept) -> None:
        mine = self._batches[kept.provider]
        mine.discard(kept)
        if not mine:
            del self._batches[kept.provider]
        self._live_batches -= 1
        self._account(kept.provider, -BATCH_COST_BYTES)
        kept.keys = ()

    def _account(self, provider: bytes, change: int) -> None:
        self.size_bytes += change
        used = self._bytes.get(provider, 0) + change
        if used:
            self._bytes[provider] = used
        else:
            self._bytes.pop(provider, None)

    # ---- room -------------------------------------------------------------------------------------------------------

    def _make_room(self, new: _Kept) -> bool:
        """Whether a batch fits, after the largest provider gave way where that is fair."""
        provider = new.provider
        while True:
            cost = self._cost(new)
            over_own = self._bytes.get(provider, 0) + cost > self._provider_max_bytes
            if not over_own and self.size_bytes + cost <= self._max_bytes:
                return True
            largest = provider if over_own else max(self._bytes, key=lambda other: self._bytes[other], default=None)
            if largest is None or largest not in self._batches:
                return False
            victim = max(self._batches[largest], key=lambda kept: (kept.live, -kept.expires))
            is_smaller = len(new.keys) < victim.live
            has_less = self._bytes.get(provider, 0) + 2 * cost < self._bytes[largest]
            if not is_smaller and not has_less:
                return False
            self._drop_batch(victim)

    def _cost(self, new: _Kept) -> int:
        """What a batch adds: less for keys that the provider has here already, and for batches that it replaces."""
        known = [kept for key in new.keys for kept, _ in self._keys.get(key, ()) if kept.provider == new.provider]
        replaced = Counter(kept for kept in known if kept.sequence <= new.sequence)
        emptied = sum(1 for kept, times in replaced.items() if times == kept.live)
        return BATCH_COST_BYTES * (1 - emptied) + RECORD_COST_BYTES * (len(new.keys) - len(known))

    def _drop_batch(self, kept: _Kept) -> None:
        if not kept.live:
            return
        for key in kept.keys:
            entries = self._keys.get(key, [])
            for i, (other, _) in enumerate(entries):
                if other is kept:
                    del entries[i]
                    kept.live -= 1
                    self.count -= 1
                    self._account(kept.provider, -RECORD_COST_BYTES)
                    break
            if key in self._keys and not entries:
                del self._keys[key]
        self._leave(kept)

    def check_invariants(self) -> None:
        """For tests."""
        entries = [entry for known in self._keys.values() for entry in known]
        assert self.count == len(entries)
        assert all(self._keys.values())
        batches = [kept for mine in self._batches.values() for kept in mine]
        assert self._live_batches == len(batches) <= len(self._expiring)
        assert sum(kept.live for kept in batches) == len(entries)
        assert self.size_bytes == sum(self._bytes.values())
        assert self.size_bytes == len(entries) * RECORD_COST_BYTES + len(batches) * BATCH_COST_BYTES
        assert self.size_bytes <= self._max_bytes
        assert all(used <= self._provider_max_bytes for used in self._bytes.values())
        assert all(kept.keys[position] == key for key, known in self._keys.items() for kept, position in known)
        assert all(len(known) <= DHT_PROVIDERS_PER_KEY_MAX for known in self._keys.values())
        assert all(len({kept.provider for kept, _ in known}) == len(known) for known in self._keys.values())
