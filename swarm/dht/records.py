"""The provider records that a node keeps for others: many per key, expiring, capped.

Pure: wall time is an argument. Records come in as batches signed by the provider itself; a newer sequence of a provider
replaces what it said of a key before, an older one is ignored. Caps: providers per key, keys per provider, keys in all.
When a cap is reached the record that expires first goes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from swarm.dht.batch import Record, SignedBatch, open_batch, path_of, tree_of
from swarm.errors import RemoteProtocolError
from swarm.limits import CLOCK_SKEW_S

PROVIDERS_PER_KEY_MAX: Final = 32
RECORDS_PER_PROVIDER_MAX: Final = 65_536
RECORDS_MAX: Final = 262_144
LIFETIME_MAX_S: Final = 4 * 3600


@dataclass(frozen=True, slots=True)
class _Kept:
    expires: int
    sequence: int
    record: Record


class RecordStore:
    """Records by key and provider."""

    def __init__(self) -> None:
        self._keys: dict[bytes, dict[bytes, _Kept]] = {}
        self._per_provider: dict[bytes, int] = {}
        self.count = 0

    def store(self, signed: SignedBatch, keys: tuple[bytes, ...], provider: bytes, wall_now: float) -> int:
        """Keep a batch that ``provider`` itself sent: how many of its keys are kept. RemoteProtocolError if it lies."""
        batch = open_batch(signed)
        if batch.public != provider:
            raise RemoteProtocolError("a provider batch is announced by somebody else")
        levels = tree_of(list(keys)) if keys else [[b""]]
        if len(keys) != batch.count or levels[-1][0] != batch.tree:
            raise RemoteProtocolError("a provider batch is not over the keys that came with it")
        if not wall_now < batch.expires <= wall_now + LIFETIME_MAX_S + CLOCK_SKEW_S:
            raise RemoteProtocolError("a provider batch has expired, or would live too long")
        return sum(
            self._keep(key, provider, _Kept(batch.expires, batch.sequence, Record(signed, i, path_of(levels, i))))
            for i, key in enumerate(keys)
        )

    def _keep(self, key: bytes, provider: bytes, kept: _Kept) -> bool:
        known = self._keys.setdefault(key, {})
        before = known.get(provider)
        if before is not None:
            if before.sequence <= kept.sequence:
                known[provider] = kept
            return True
        if self.count >= RECORDS_MAX or self._per_provider.get(provider, 0) >= RECORDS_PER_PROVIDER_MAX:
            return self._full(key, known)
        if len(known) >= PROVIDERS_PER_KEY_MAX:
            first = min(known, key=lambda other: known[other].expires)
            if known[first].expires >= kept.expires:
                return False
            self._drop(key, first)
        known[provider] = kept
        self._keys[key] = known
        self._per_provider[provider] = self._per_provider.get(provider, 0) + 1
        self.count += 1
        return True

    def _full(self, key: bytes, known: dict[bytes, _Kept]) -> bool:
        if not known:
            del self._keys[key]
        return False

    def _drop(self, key: bytes, provider: bytes) -> None:
        del self._keys[key][provider]
        if not self._keys[key]:
            del self._keys[key]
        self.count -= 1
        self._per_provider[provider] -= 1
        if not self._per_provider[provider]:
            del self._per_provider[provider]

    def find(self, key: bytes, wall_now: float, rng: random.Random) -> list[Record]:
        """Records of a key that are in force, in random order, so that no provider is always first."""
        found = [kept.record for kept in self._keys.get(key, {}).values() if kept.expires > wall_now]
        rng.shuffle(found)
        return found

    def expire(self, wall_now: float) -> None:
        """Forget what is no longer in force."""
        for key, known in list(self._keys.items()):
            for provider in [p for p, kept in known.items() if kept.expires <= wall_now]:
                self._drop(key, provider)

    def check_invariants(self) -> None:
        """For tests."""
        assert self.count == sum(len(known) for known in self._keys.values())
        assert all(self._keys.values())
        assert sum(self._per_provider.values()) == self.count
