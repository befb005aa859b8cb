"""A stateful machine over the store of provider records: whatever is stored and expires, its books are right."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from swarm.dht.batch import sign_batch
from swarm.dht.records import BATCH_COST_BYTES, RECORD_COST_BYTES, RecordStore
from swarm.errors import RemoteProtocolError
from tests.unit.dht.samples import HERE, NOW, key_of, keys

KEYS = keys(24)
FULL = BATCH_COST_BYTES + 8 * RECORD_COST_BYTES


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.records = RecordStore(max_bytes=6 * FULL, provider_max_bytes=4 * FULL)
        self.wall_now = NOW
        # What a store without limits would hold: (key, provider) -> (sequence, expires).
        self.said: dict[tuple[bytes, bytes], tuple[int, int]] = {}

    @rule(
        provider=st.integers(1, 5),
        listed=st.lists(st.sampled_from(KEYS), min_size=1, max_size=8, unique=True),
        sequence=st.integers(0, 5),
        lives_s=st.integers(-5, 60),
    )
    def store(self, provider: int, listed: list[bytes], sequence: int, lives_s: int) -> None:
        key = key_of(provider)
        expires = int(self.wall_now) + lives_s
        signed = sign_batch(key, HERE, listed, expires=expires, sequence=sequence)
        try:
            counts = self.records.store(signed, tuple(listed), key.public, self.wall_now)
        except RemoteProtocolError:
            assert expires <= self.wall_now
            return
        assert len(counts) == len(listed)
        for name, count in zip(listed, counts, strict=True):
            before = self.said.get((name, key.public))
            is_newer = before is None or before[0] <= sequence or before[1] <= self.wall_now
            if count and is_newer:
                self.said[name, key.public] = (sequence, expires)

    @rule(seconds=st.integers(0, 40))
    def later(self, seconds: int) -> None:
        self.wall_now += seconds
        self.records.expire(self.wall_now)

    @invariant()
    def books_are_right(self) -> None:
        self.records.check_invariants()

    @invariant()
    def only_what_was_said_and_is_in_force_is_found(self) -> None:
        for name in KEYS:
            for record in self.records.find(name, self.wall_now, random.Random(0), 100):
                public = next(key_of(n).public for n in range(1, 6) if key_of(n).public in record.batch.body)
                assert (name, public) in self.said


Machine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRecords = Machine.TestCase
