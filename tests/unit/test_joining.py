"""Addresses as people write them, and reasons as people read them."""

from __future__ import annotations

import pytest

from swarm.calls import reason_of
from swarm.errors import UsageError
from swarm.joining import parse_address
from swarm.records import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7070", Address("127.0.0.1", 7070)),
        ("tracker.example.org:1", Address("tracker.example.org", 1)),
        ("[2001:db8::1]:65535", Address("2001:db8::1", 65535)),
    ],
)
def test_addresses_are_read_back_as_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "host",
        "host:",
        ":7070",
        "host:0",
        "host:65536",
        "host:-1",
        "host:7a",
        "::1:7070",
        "[]:1",
        "h:\u0661",
        "h:9999999",
    ],
)
def test_what_is_no_address_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="not an address"):
        parse_address(text)


def test_reasons_are_short() -> None:
    assert reason_of(TimeoutError()) == "it does not answer in time"
    assert reason_of(OSError("boom")) == "boom"
    assert reason_of(OSError()) == "OSError"
