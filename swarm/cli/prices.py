"""The prices of the object store: the user's file, or the list of AWS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from swarm.cli.program import Program
from swarm.errors import NotFoundError, UsageError
from swarm.objects.bill import DEFAULT, Bill, Prices, bill_of, prices_of
from swarm.objects.meter import spent_of

FILE_MAX_BYTES: Final = 64 * 1024


def prices_for(program: Program) -> Prices:
    """The prices that hold. NotFoundError and UsageError tell the place of what is wrong."""
    name = program.settings.prices
    return read_prices(Path(name)) if name else DEFAULT


def read_prices(path: Path) -> Prices:
    """The prices in a TOML file: a flat table with the names of ``Prices``."""
    import tomllib

    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is not there: check the path given with --prices") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; repair it or name another with --prices") from error
    if len(data) > FILE_MAX_BYTES:
        raise UsageError(f"{path} is longer than {FILE_MAX_BYTES} bytes: it is not a file of prices")
    try:
        table = tomllib.loads(data.decode())
    except ValueError as error:
        raise UsageError(f"{path} is not valid TOML: {error}; correct it") from error
    return prices_of(table, str(path))


def priced(told: Mapping[str, Any], prices: Prices, *, stored_bytes: int = 0) -> Bill:
    """The bill of what a command told of requests and bytes."""
    return bill_of(spent_of(told), prices, stored_bytes=stored_bytes)


def with_cost(told: Mapping[str, Any], prices: Prices) -> dict[str, Any]:
    """The same, and what it costs."""
    return {**told, "cost": round(priced(told, prices).spent, 9), "currency": prices.currency}


def amount(value: float, prices: Prices) -> str:
    """Money for people: two digits that count, at least cents."""
    digits = 2
    while digits < 9 and 0 < value < 10 ** (1 - digits):
        digits += 1
    return f"{value:.{digits}f} {prices.currency}"
