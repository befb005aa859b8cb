"""What is believed of the answers to a lookup."""

from __future__ import annotations

import pytest

from swarm.dht.batch import Record, SignedBatch
from swarm.dht.search import RECORDS_CHECKED_MAX, Findings
from swarm.limits import CLOCK_SKEW_S, DHT_RECORD_LIFETIME_S
from tests.unit.dht.samples import NOW, batch_of, key_of, keys

(KEY,) = keys(1)


def record(number: int, *, sequence: int = 1, lives_s: int = 100) -> Record:
    return Record(batch_of(number, [KEY], sequence=sequence, lives_s=lives_s), 0, ())


def findings() -> Findings:
    return Findings(KEY, 16, lambda: NOW)


@pytest.mark.parametrize("order", [[1, 2], [2, 1], [1, 2, 1]])
def test_of_one_provider_the_newest_record_counts(order: list[int]) -> None:
    found = findings()
    for sequence in order:
        found.take([record(1, sequence=sequence)])
    assert len(found) == 1
    assert found.batches[key_of(1).public].sequence == 2


@pytest.mark.parametrize("lives_s", [-1, 0, DHT_RECORD_LIFETIME_S + 2 * CLOCK_SKEW_S + 1])
def test_what_is_not_in_force_is_refused_and_counted(lives_s: int) -> None:
    found = findings()
    found.take([record(1, lives_s=lives_s)])
    assert (len(found), found.refused) == (0, 1)


def test_a_record_that_its_provider_did_not_sign_is_refused_and_counted() -> None:
    found = findings()
    true = record(1)
    found.take([Record(SignedBatch(true.batch.body, bytes(64)), 0, ()), record(2)])
    assert (list(found.batches), found.refused) == ([key_of(2).public], 1)


def test_checking_is_bounded_and_the_same_is_not_checked_twice() -> None:
    found = findings()
    for _ in range(3):
        found.take([record(1)])
    assert found._checked == 1
    false = Record(SignedBatch(record(1).batch.body, bytes(64)), 0, ())
    found.take([false] * (RECORDS_CHECKED_MAX + 10))
    assert found.refused == RECORDS_CHECKED_MAX - 1
