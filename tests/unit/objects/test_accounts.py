"""A seed's accounts: over restarts, bounded, summed over seeds; and whom work in other threads is charged to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from swarm.objects import accounts as accounts_module
from swarm.objects.accounts import COSTS_MAX_BYTES, Accounts, Cost, Costs, decode_costs, encode_costs, summed
from swarm.objects.meter import Account, Meter, Spent, charged
from swarm.objects.threads import Threads

V1, V2 = bytes(32), bytes([1]) * 32
ROADS = "maps/roads"
GOLDEN = (
    "9501cd03e89801020304050607089194aa6d6170732f726f616473c420"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "cd03e998030000000000cd012c0090"
)


def test_accounts_go_on_after_a_restart() -> None:
    first = Accounts(None, 1000.5)
    first.published(ROADS, V1, Spent(put=3, sent_bytes=100), 1001.0)
    first.rollout(ROADS, V1, 1002.0).add(Spent(get=2, received_bytes=50))
    first.rollout(ROADS, V2, 1003.0)
    written = decode_costs(encode_costs(first.costs(Spent(put=5, get=2))))
    second = Accounts(written, 2000.0)
    second.rollout(ROADS, V1, 2001.0).add(Spent(get=1))
    costs = second.costs(Spent(get=1))
    assert (costs.since, costs.spent) == (1000, Spent(put=5, get=3))
    assert costs.publishes == (Cost(ROADS, V1, 1001, Spent(put=3, sent_bytes=100)),)
    assert costs.rollouts == (Cost(ROADS, V1, 1002, Spent(get=3, received_bytes=50)),)


def test_accounts_are_bounded_and_those_of_last_are_kept() -> None:
    full = Accounts(None, 0.0)
    many = 2 * accounts_module.KEPT_MAX
    for number in range(many):
        version = number.to_bytes(32, "big")
        full.published("s" * 64 + "/" + "n" * 64, version, Spent(*(1 << 50 for _ in range(8))), 1e12)
        full.rollout("s" * 64 + "/" + "n" * 64, version, 1e12).add(Spent(*(1 << 50 for _ in range(8))))
    costs = full.costs(Spent())
    assert len(costs.publishes) == len(costs.rollouts) == accounts_module.KEPT_MAX
    assert costs.publishes[-1].version == costs.rollouts[-1].version == (many - 1).to_bytes(32, "big")
    assert len(encode_costs(costs)) < COSTS_MAX_BYTES
    assert decode_costs(encode_costs(costs)) == costs


def test_accounts_that_were_written_once_are_read_for_ever() -> None:
    cost = Cost(ROADS, V1, 1001, Spent(put=3, sent_bytes=300))
    costs = Costs(1, 1000, Spent(1, 2, 3, 4, 5, 6, 7, 8), (cost,), ())
    assert encode_costs(costs).hex() == GOLDEN
    assert decode_costs(bytes.fromhex(GOLDEN)) == costs


def test_accounts_with_a_changed_byte_are_others_or_none() -> None:
    golden = bytes.fromhex(GOLDEN)
    for place in range(len(golden)):
        for bit in range(8):
            changed = golden[:place] + bytes([golden[place] ^ 1 << bit]) + golden[place + 1 :]
            read = decode_costs(changed)
            assert read is None or encode_costs(read) == changed


def test_damaged_accounts_are_none() -> None:
    good = encode_costs(Accounts(None, 0.0).costs(Spent()))
    assert decode_costs(good) is not None
    for damaged in (b"", good[:-1], good + b"\0", b"\xff" * 10):
        assert decode_costs(damaged) is None


def test_what_several_seeds_read_for_a_version_is_one_rollout() -> None:
    one, two = Cost(ROADS, V1, 20, Spent(get=1, received_bytes=5)), Cost(ROADS, V1, 10, Spent(get=2))
    other = Cost(ROADS, V2, 15, Spent(get=7))
    assert summed([one, other, two]) == [Cost(ROADS, V1, 10, Spent(get=3, received_bytes=5)), other]


def test_threads_count_for_whoever_gives_them_work() -> None:
    meter, account = Meter(), Account()
    with Threads(1) as threads, ThreadPoolExecutor(1) as strangers:
        with charged(account):
            threads.submit(meter.sent, "put").result()
            strangers.submit(meter.sent, "get").result()
        threads.submit(meter.sent, "list").result()
    assert account.spent == Spent(put=1)
    assert meter.spent == Spent(put=1, get=1, list=1)
