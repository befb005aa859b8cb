"""The routing table."""

from __future__ import annotations

import random
import time

from swarm.dht.table import STALE_S, K, Table
from tests.unit.dht.samples import contact_of, node_at

OWN = node_at(0)


def test_the_closest_are_exact() -> None:
    rng = random.Random(1)
    table = Table(rng.randbytes(20))
    ids = [rng.randbytes(20) for _ in range(300)]
    for number, id in enumerate(ids):
        table.add(id, contact_of(number))
    table.check_invariants()
    kept = [id for id, _ in table.contacts()]
    for _ in range(20):
        key = rng.randbytes(20)
        number = int.from_bytes(key, "big")
        expected = sorted(kept, key=lambda id: int.from_bytes(id, "big") ^ number)[:10]
        assert [id for id, _ in table.closest(key, 10)] == expected


def test_a_full_bucket_names_the_one_to_be_asked_and_keeps_the_new_in_reserve() -> None:
    table = Table(OWN)
    # Stock, a bucket whose nodes share a prefix of five bits is not split further.
    far = [node_at((1 << 159) + 1 + (number << 152)) for number in range(K + 1)]
    assert all(table.add(id, contact_of(1)) is None for id in far[:K])
    assert table.add(far[K], contact_of(1)) == far[0]
    assert table.get(far[K]) is None
    table.doubt(far[0])
    assert table.get(far[0]) is not None
    table.doubt(far[0])
    assert table.get(far[0]) is None
    assert table.get(far[K]) is not None, "one in reserve takes its place"
    table.check_invariants()


def test_a_node_in_doubt_is_named_to_nobody_until_it_answers() -> None:
    table = Table(OWN)
    table.add(node_at(5), contact_of(5))
    table.doubt(node_at(5))
    assert table.closest(node_at(5), 8) == []
    assert table.closest(node_at(5), 8, doubtful=True) == [(node_at(5), contact_of(5))]
    assert len(table) == 0
    table.add(node_at(5), contact_of(5))
    assert len(table) == 1
    table.doubt(node_at(6))  # one that is not there


def test_an_id_on_the_edge_of_a_bucket_is_found_again() -> None:
    table = Table(OWN)
    edge = node_at(((1 << 160) - 0) // 2)
    rng = random.Random(2)
    for _ in range(100):
        table.add(rng.randbytes(20), contact_of(1))
    table.add(edge, contact_of(2))
    table.add(node_at((1 << 160) - 1), contact_of(3))
    table.check_invariants()
    table.remove(edge)
    assert table.get(edge) is None


def test_a_new_address_takes_the_place_of_the_old_also_in_the_reserve() -> None:
    table = Table(OWN)
    far = [node_at((1 << 159) + 1 + (number << 152)) for number in range(K + 1)]
    for id in far:
        table.add(id, contact_of(1))
    table.add(far[K], contact_of(2))
    table.remove(far[0])
    assert table.get(far[K]) == contact_of(2)


def test_ranges_are_stale_until_somebody_was_looked_for_in_them() -> None:
    table = Table(OWN)
    rng = random.Random(3)
    for _ in range(50):
        table.add(rng.randbytes(20), contact_of(1))
    later = time.monotonic() + STALE_S + 1
    ranges = table.stale_ranges(later)
    assert ranges
    assert table.stale_ranges(time.monotonic()) == []
    assert ranges[0][0] == 0
    assert all(low <= high for low, high in ranges)
