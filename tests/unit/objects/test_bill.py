"""The bill of an object store, by hand: requests, bytes, storage; and tables of prices that users write."""

from __future__ import annotations

import math

import pytest

from swarm.errors import UsageError
from swarm.objects.bill import DEFAULT, GB, Bill, bill_of, prices_of
from swarm.objects.meter import Account, Meter, Spent, charged


def test_each_kind_is_priced_in_its_class() -> None:
    """AWS, us-east-1: a thousand of PUT or LIST half a cent, of GET or HEAD 0.04 cents, DELETE nothing."""
    for spent, amount in (
        (Spent(put=1000), 0.005),
        (Spent(list=1000), 0.005),
        (Spent(get=1000), 0.0004),
        (Spent(head=1000), 0.0004),
        (Spent(delete=1000), 0.0),
        (Spent(retries=1000), 0.0),
    ):
        assert math.isclose(bill_of(spent, DEFAULT).requests, amount)


def test_bytes_cost_by_direction_and_storage_by_the_month() -> None:
    assert bill_of(Spent(sent_bytes=10 * GB), DEFAULT) == Bill(0.0, 0.0, 0.0)
    assert math.isclose(bill_of(Spent(received_bytes=10 * GB), DEFAULT).transfer, 0.9)
    assert math.isclose(bill_of(Spent(), DEFAULT, stored_bytes=300 * GB).storage_month, 6.9)
    whole = bill_of(Spent(put=32, get=128, received_bytes=GB), DEFAULT, stored_bytes=GB)
    assert math.isclose(whole.spent, 32 * 5e-6 + 128 * 4e-7 + 0.09)
    assert math.isclose(whole.storage_month, 0.023)


def test_a_users_prices_take_the_place_of_ours() -> None:
    prices = prices_of({"name": "ours", "currency": "EUR", "received_per_gb": 0, "put_per_1000": 2.5}, "prices.toml")
    assert (prices.name, prices.currency, prices.date, prices.source) == ("ours", "EUR", "", "")
    assert bill_of(Spent(put=2000, received_bytes=GB), prices) == Bill(5.0, 0.0, 0.0)
    assert prices_of({}, "prices.toml") == DEFAULT


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "x", "put": 1}, r"p\.toml sets the unknown price 'put': known are name, .*put_per_1000"),
        ({"name": "x", "put_per_1000": "1"}, r"p\.toml sets put_per_1000 to '1': expected a number from 0 on"),
        ({"name": "x", "put_per_1000": -1}, "from 0 on"),
        ({"name": "x", "put_per_1000": True}, "from 0 on"),
        ({"name": "x", "put_per_1000": float("nan")}, "from 0 on"),
        ({"name": "x", "put_per_1000": float("inf")}, "from 0 on"),
        ({"name": "x", "put_per_1000": [1]}, "from 0 on"),
        ({"name": 5}, "expected a text"),
        ({"name": ""}, "expected a text"),
        ({"name": "x" * 201}, "expected a text"),
        ({"put_per_1000": 1.0}, "whose prices"),
    ],
)
def test_bad_tables_are_refused_by_place(table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        prices_of(table, "p.toml")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_accounts_are_charged_for_what_is_done_inside_them() -> None:
    meter, publish, other = Meter(), Account(), Account()
    meter.sent("put", 10)
    with charged(publish):
        meter.sent("put", 5)
        with charged(other):
            meter.received(7)
            meter.retried()
    meter.sent("list")
    assert publish.spent == Spent(put=1, retries=1, sent_bytes=5, received_bytes=7)
    assert other.spent == Spent(retries=1, received_bytes=7)
    assert meter.spent == Spent(put=2, list=1, retries=1, sent_bytes=15, received_bytes=7)
    assert meter.spent.requests == 3
