"""Planning a sweep: regions, who gets which keys, what is due and in which order, and the packet budget."""

from __future__ import annotations

import random

import pytest

from swarm.dht.sweep import (
    AGAIN_S,
    CROWD,
    CROWDED_INTERVALS,
    INTERVAL_S,
    RARE,
    REGION_KEYS_MAX,
    REPLICAS,
    Pace,
    Sweep,
    assign,
    batches,
    in_region,
    leading,
    region_bits,
)
from swarm.limits import DHT_RECORD_LIFETIME_S
from tests.unit.dht.samples import keys, node_at

RNG = random.Random(0)


def test_the_nodes_around_one_key_are_all_that_its_region_needs() -> None:
    """What makes one lookup per region enough: the closest nodes of every key of a region share its prefix."""
    nodes = [RNG.randbytes(20) for _ in range(200)]
    for _ in range(50):
        around = RNG.randbytes(20)
        number = int.from_bytes(around, "big")
        near = sorted(nodes, key=lambda node: int.from_bytes(node, "big") ^ number)[:20]
        bits = region_bits(around, near)
        for _ in range(20):
            key = ((number >> (160 - bits) << (160 - bits)) | RNG.getrandbits(160 - bits)).to_bytes(20, "big")
            assert in_region(int.from_bytes(key, "big"), number, bits)
            best = sorted(nodes, key=lambda node: int.from_bytes(node, "big") ^ int.from_bytes(key, "big"))[:REPLICAS]
            assert {node for node, got in assign([key], nodes).items() if got} == set(best)
            in_subtree = [n for n in nodes if in_region(int.from_bytes(n, "big"), number, bits)]
            if len(in_subtree) <= 20:
                assert set(best) <= set(near)


def test_with_few_nodes_there_is_one_region() -> None:
    assert region_bits(node_at(1), [node_at(n) for n in range(REPLICAS)]) == 0
    assert in_region(0, (1 << 160) - 1, 0)


def everything(sweep: Sweep, now: float, bits: int = 0) -> list[bytes]:
    taken: list[bytes] = []
    sweep.begin()
    while sweep.next_key(now) is not None:
        region = sweep.take(bits, now)
        taken += [key for key in region if key not in taken]
    return taken


def test_every_key_is_taken_once_region_by_region() -> None:
    sweep = Sweep()
    listed = sorted(RNG.randbytes(20) for _ in range(3000))
    assert sweep.replace(listed) == 3000
    sweep.begin()
    regions = []
    while sweep.next_key(0.0) is not None:
        regions.append(sweep.take(4, 0.0))
        for key in regions[-1]:
            sweep.announced(key, 0, 0.0)
    assert sorted(key for region in regions for key in region) == listed
    assert all(len({key[0] >> 4 for key in region}) == 1 for region in regions)
    assert len(regions) == 16


def test_a_large_region_is_taken_in_parts() -> None:
    sweep = Sweep()
    sweep.replace(keys(2 * REGION_KEYS_MAX + 1))
    sweep.next_key(0.0)
    assert len(sweep.take(0, 0.0)) == REGION_KEYS_MAX


def test_rare_keys_come_first() -> None:
    sweep = Sweep()
    listed = keys(10)
    sweep.replace(listed)
    for key in listed:
        sweep.announced(key, RARE if key != listed[7] else RARE - 1, 0.0)
    order = []
    sweep.begin()
    while (first := sweep.next_key(INTERVAL_S)) is not None:
        for taken in sweep.take(160, INTERVAL_S):
            order.append(taken)
            sweep.announced(taken, RARE, INTERVAL_S)
        assert order[-1] == first
    assert order == [listed[7], *listed[:7], *listed[8:]]


def test_what_is_announced_is_due_again_in_time() -> None:
    sweep = Sweep()
    few, many, failed, new = keys(4)
    sweep.replace([few, many, failed])
    assert sweep.next_due() < 0
    sweep.announced(few, CROWD - 1, 0.0)
    sweep.announced(many, CROWD, 0.0)
    sweep.failed(failed, 0.0)
    assert everything(sweep, 1.0) == []
    assert sweep.next_due() == AGAIN_S
    assert everything(sweep, AGAIN_S) == [failed]
    sweep.announced(failed, 0, AGAIN_S)
    assert everything(sweep, INTERVAL_S) == [few]
    assert many in everything(sweep, INTERVAL_S * CROWDED_INTERVALS)
    assert INTERVAL_S * CROWDED_INTERVALS < DHT_RECORD_LIFETIME_S, "or records would run out before they are renewed"
    assert sweep.replace([few, many, new]) == 1
    assert everything(sweep, 2.0) == [new], "what was announced before is not announced again for a new key"
    assert sweep.is_new(new)
    assert not sweep.is_new(few)
    sweep.announced(failed, 1, 0.0)  # no longer of the set


def test_everything_is_due_when_asked_for_and_is_not_taken_for_new() -> None:
    sweep = Sweep()
    sweep.replace(keys(3))
    for key in keys(2):
        sweep.announced(key, CROWD, 50.0)
    sweep.everything_is_due()
    assert set(everything(sweep, 51.0)) == set(keys(3))
    assert [sweep.is_new(key) for key in keys(3)] == [False, False, True]


def test_a_set_that_is_replaced_while_it_is_swept_goes_on() -> None:
    sweep = Sweep()
    sweep.replace(keys(100))
    sweep.begin()
    sweep.next_key(0.0)
    sweep.take(155, 0.0)
    sweep.replace(keys(10, 50))
    assert sweep.next_key(0.0) == keys(1, 50)[0]


def test_the_leading_region_of_sorted_keys() -> None:
    listed = sorted(RNG.randbytes(20) for _ in range(500))
    first = [key for key in listed if key[0] >> 5 == listed[0][0] >> 5]
    assert leading(listed, 3) == first
    assert leading(listed, 0) == listed
    assert len(leading(keys(2 * REGION_KEYS_MAX), 0)) == REGION_KEYS_MAX
    assert leading(listed[:1], 160) == listed[:1]


def test_an_empty_set_is_never_due() -> None:
    sweep = Sweep()
    assert sweep.next_key(1e9) is None
    assert sweep.next_due() == float("inf")


@pytest.mark.parametrize("count", [0, 1, 39, 40, 41])
def test_batches_hold_all_keys(count: int) -> None:
    cut = list(batches(keys(count), 40))
    assert [key for batch in cut for key in batch] == keys(count)
    assert all(0 < len(batch) <= 40 for batch in cut)


def test_the_pace_is_the_budget() -> None:
    pace = Pace(100.0, 50.0)
    now = waited = 0.0
    for _ in range(500):
        wait = pace.take(2, now)
        now += wait
        waited += wait
    assert waited == pytest.approx((1000 - 50) / 100, rel=0.01)
    assert pace.take(2, now + 1000) == 0.0
    assert pace.take(200, now + 1000) == pytest.approx(1.52), "what was not spent long ago is not saved up"
