"""The store of provider records: sequences, expiry, caps, fairness, and what it takes in memory."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from swarm.dht.batch import check_record
from swarm.dht.records import BATCH_COST_BYTES, RECORD_COST_BYTES, RecordStore
from swarm.errors import RemoteProtocolError
from swarm.limits import CLOCK_SKEW_S, DHT_PROVIDERS_PER_KEY_MAX, DHT_RECORD_LIFETIME_S
from tests.unit.dht.samples import NOW, batch_of, key_of, keys

RNG = random.Random(0)
ALL = 100
FULL_BATCH = BATCH_COST_BYTES + 40 * RECORD_COST_BYTES


def store(records: RecordStore, number: int, listed: list[bytes], *, sequence: int = 1, lives_s: int = 100) -> bytes:
    signed = batch_of(number, listed, sequence=sequence, lives_s=lives_s)
    counts = records.store(signed, tuple(listed), key_of(number).public, NOW)
    records.check_invariants()
    return counts


def test_many_providers_of_a_key_are_kept_and_expire() -> None:
    records = RecordStore()
    for number in range(3):
        assert store(records, number, keys(2), lives_s=10 * (number + 1)) == bytes([number + 1] * 2)
    assert len(records.find(keys(1)[0], NOW, RNG, ALL)) == 3
    assert len(records.find(keys(1)[0], NOW, RNG, 2)) == 2
    assert len(records.find(keys(1)[0], NOW + 15, RNG, ALL)) == 2, "what has expired is not passed on"
    records.expire(NOW + 25)
    assert records.count == 2
    records.check_invariants()
    records.expire(NOW + 31)
    assert (records.count, records.size_bytes) == (0, 0)


def test_every_record_that_is_passed_on_proves_itself() -> None:
    records = RecordStore()
    listed = keys(31)
    store(records, 1, listed)
    for key in listed:
        (record,) = records.find(key, NOW, RNG, ALL)
        assert check_record(record, key).public == key_of(1).public


def test_a_lower_sequence_changes_nothing() -> None:
    records = RecordStore()
    store(records, 1, keys(1), sequence=5, lives_s=100)
    store(records, 1, keys(1), sequence=4, lives_s=5000)
    assert records.find(keys(1)[0], NOW + 200, RNG, ALL) == []
    store(records, 1, keys(1), sequence=6, lives_s=5000)
    assert len(records.find(keys(1)[0], NOW + 200, RNG, ALL)) == 1
    assert records.count == 1


@pytest.mark.parametrize(
    ("listed", "sender", "wall_now", "why"),
    [
        (keys(3), 1, NOW, "not over the keys"),
        (list(reversed(keys(2))), 1, NOW, "not over the keys"),
        (keys(2), 2, NOW, "somebody else"),
        (keys(2), 1, NOW + 101, "expired"),
        (keys(2), 1, NOW - DHT_RECORD_LIFETIME_S - CLOCK_SKEW_S, "too long"),
    ],
)
def test_what_a_provider_did_not_sign_is_refused(listed: list[bytes], sender: int, wall_now: float, why: str) -> None:
    records = RecordStore()
    with pytest.raises(RemoteProtocolError, match=why):
        records.store(batch_of(1, keys(2)), tuple(listed), key_of(sender).public, wall_now)
    assert records.count == 0


def test_a_key_twice_in_a_batch_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="not over the keys"):
        store(RecordStore(), 1, [keys(1)[0]] * 2)


def test_providers_per_key_are_bounded_and_the_longest_lived_stay() -> None:
    records = RecordStore()
    for number in range(DHT_PROVIDERS_PER_KEY_MAX + 10):
        store(records, number + 1, keys(1), lives_s=100 + number)
    assert records.count == DHT_PROVIDERS_PER_KEY_MAX
    assert len(records.find(keys(1)[0], NOW + 109, RNG, ALL)) == DHT_PROVIDERS_PER_KEY_MAX
    assert store(records, 99, keys(1), lives_s=50) == b"\0", "what would go first does not displace"


def test_the_same_said_again_takes_no_room() -> None:
    records = RecordStore(max_bytes=FULL_BATCH, provider_max_bytes=FULL_BATCH)
    for sequence in range(1, 50):
        assert store(records, 1, keys(40), sequence=sequence) == bytes([1] * 40)
    assert records.size_bytes == FULL_BATCH


def test_batches_that_gave_way_leave_nothing_behind() -> None:
    records = RecordStore()
    for sequence in range(1, 1000):
        records.store(batch_of(1, keys(1), sequence=sequence), tuple(keys(1)), key_of(1).public, NOW)
    assert len(records._expiring) < 200


def test_a_provider_cannot_take_all_room() -> None:
    records = RecordStore(max_bytes=10 * FULL_BATCH, provider_max_bytes=5 * FULL_BATCH)
    for number in range(20):
        store(records, 1, keys(40, 40 * number))
    assert records.count == 5 * 40


def test_who_has_fewer_records_gets_room_from_who_has_most() -> None:
    records = RecordStore(max_bytes=6 * FULL_BATCH, provider_max_bytes=6 * FULL_BATCH)
    for number in range(6):
        store(records, 1, keys(40, 40 * number))
    assert any(store(records, 2, keys(40, 1000)))
    assert any(store(records, 2, keys(40, 2000)))
    assert not any(store(records, 1, keys(40, 3000))), "who has most does not get more"
    assert len(records.find(keys(1, 1000)[0], NOW, RNG, ALL)) == 1


def test_a_version_is_kept_even_where_blocks_have_filled_everything() -> None:
    records = RecordStore(max_bytes=3 * FULL_BATCH, provider_max_bytes=3 * FULL_BATCH)
    for number in range(3):
        store(records, 1, keys(40, 40 * number))
    assert store(records, 1, keys(1, 5000)) == b"\1"
    for number in range(3, 9):
        store(records, 1, keys(40, 40 * number))
    assert len(records.find(keys(1, 5000)[0], NOW, RNG, ALL)) == 1, "blocks do not push a version out"


def test_what_is_accounted_for_is_what_it_takes() -> None:
    batches = [(batch_of(1, keys(40, 40 * n)), tuple(keys(40, 40 * n))) for n in range(200)]
    singles = [(batch_of(2, keys(1, 10**6 + n)), tuple(keys(1, 10**6 + n))) for n in range(500)]
    tracemalloc.start()
    try:
        records = RecordStore()
        for (signed, listed), number in [(b, 1) for b in batches] + [(s, 2) for s in singles]:
            copy = type(signed)(bytes(bytearray(signed.body)), bytes(bytearray(signed.seal)))
            held = tuple(bytes(bytearray(key)) for key in listed)
            records.store(copy, held, key_of(number).public, NOW)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert records.count == 200 * 40 + 500
    assert taken <= records.size_bytes
