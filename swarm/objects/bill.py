"""What an object store costs: requests and bytes, by a table of prices. Pure.

Prices are per 1,000 requests and per GB of 2**30 bytes, as AWS bills them; storage by the month. ``put`` is S3's class
of PUT, COPY, POST and LIST, ``get`` that of GET, HEAD and all others; DELETE is free. Every request that was sent
counts, also one that failed: it is an upper bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from swarm.errors import UsageError
from swarm.objects.meter import Spent

GB: Final = 1 << 30
TEXT_MAX_CHARS: Final = 200
PRICE_MAX: Final = 1e9


@dataclass(frozen=True, slots=True)
class Prices:
    """One table. The defaults are AWS's for its first steps: no free allowance, no discount for much."""

    name: str = "AWS S3 Standard, us-east-1, list prices"
    date: str = "2026-03"
    source: str = "https://aws.amazon.com/s3/pricing/"
    currency: str = "USD"
    put_per_1000: float = 0.005
    get_per_1000: float = 0.0004
    delete_per_1000: float = 0.0
    stored_per_gb_month: float = 0.023
    # To the Internet; 0 from a machine in the bucket's own region.
    received_per_gb: float = 0.09
    sent_per_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class Bill:
    """Amounts in the table's currency; ``storage_month`` is for a month of what is stored now."""

    requests: float
    transfer: float
    storage_month: float

    @property
    def spent(self) -> float:
        return self.requests + self.transfer


DEFAULT: Final = Prices()


def bill_of(spent: Spent, prices: Prices, *, stored_bytes: int = 0) -> Bill:
    """What so many requests and bytes cost."""
    per_1000 = (
        (spent.put + spent.list) * prices.put_per_1000
        + (spent.get + spent.head) * prices.get_per_1000
        + spent.delete * prices.delete_per_1000
    )
    moved = spent.received_bytes * prices.received_per_gb + spent.sent_bytes * prices.sent_per_gb
    return Bill(per_1000 / 1000, moved / GB, stored_bytes * prices.stored_per_gb_month / GB)


def prices_of(table: Mapping[str, object], place: str) -> Prices:
    """The defaults with what a user's table says instead. ``place`` names the table in messages; UsageError.

    A table with a price of its own is no list of AWS's: it has to name itself.
    """
    known = {field.name: field for field in fields(Prices)}
    for name, value in table.items():
        if name not in known:
            raise UsageError(f"{place} sets the unknown price {name[:80]!r}: known are {', '.join(known)}")
        _check(name, value, f"{place} sets {name}", is_text=isinstance(known[name].default, str))
    if table and "name" not in table:
        raise UsageError(f'{place} does not say whose prices these are: add name = "..."')
    unsaid = {name: "" for name in ("date", "source") if name not in table} if table else {}
    return replace(DEFAULT, **(unsaid | dict(table)))  # type: ignore[arg-type]


def _check(name: str, value: object, where: str, *, is_text: bool) -> None:
    if is_text:
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_MAX_CHARS:
            raise UsageError(
                f"{where} to {value!r:.80}: expected a text in quotes, of up to {TEXT_MAX_CHARS} characters"
            )
    elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= PRICE_MAX:
        raise UsageError(f"{where} to {value!r:.80}: expected a number from 0 on")
