"""Join tokens as text: round trip, and each way of being garbled in one clear line."""

from __future__ import annotations

import base64

import msgspec
import pytest

from swarm import canonical
from swarm.errors import UsageError
from swarm.limits import TOKEN_MAX_CHARS
from swarm.signature import signature_of
from swarm.token import PREFIX, Token, format_token, parse_token
from tests.unit.log_samples import TOKEN


def text_of(payload: bytes) -> str:
    """A token's text around any payload, with a right checksum."""
    return PREFIX + base64.urlsafe_b64encode(payload + signature_of(payload)[:4]).decode().rstrip("=")


def test_round_trip_with_white_space_around() -> None:
    text = format_token(TOKEN)
    assert parse_token(text) == TOKEN
    assert parse_token(f"  {text}\r\n") == TOKEN
    assert "\n" not in text
    assert text_of(canonical.encode(TOKEN)) == text


def test_a_token_does_not_show_its_secret() -> None:
    assert TOKEN.secret.hex() not in repr(TOKEN)
    assert repr(TOKEN.secret) not in repr(TOKEN)


GOOD = format_token(TOKEN)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not a join token"),
        ("hello", "not a join token"),
        ("aetherfs2." + GOOD[len(PREFIX) :], "not a join token"),
        (PREFIX, "garbled"),
        (GOOD[:-1], "garbled"),
        (GOOD[: len(GOOD) // 2], "garbled"),
        (GOOD + "A", "garbled"),
        (GOOD + "=", "garbled"),
        (GOOD[:40] + "!" + GOOD[41:], "other characters"),
        (GOOD[:40] + " " + GOOD[40:], "other characters"),
        (GOOD[:40] + "\N{SNOWMAN}" + GOOD[41:], "other characters"),
        (GOOD[:40] + ("a" if GOOD[40] != "a" else "b") + GOOD[41:], "checksum"),
        (PREFIX + "A" * TOKEN_MAX_CHARS, "the limit is"),
        (text_of(b""), "garbled"),
        (text_of(b"\x90"), "garbled"),
        (text_of(canonical.encode(TOKEN) + b"\0"), "garbled"),
        (text_of(canonical.encode(msgspec.structs.replace(TOKEN, format=2))), "garbled"),
        (text_of(canonical.encode(msgspec.structs.replace(TOKEN, secret=bytes(31)))), "garbled"),
        (text_of(canonical.encode(msgspec.structs.replace(TOKEN, addresses=()))), "garbled"),
        (text_of(canonical.encode(msgspec.structs.replace(TOKEN, addresses=("a:1",) * 9))), "garbled"),
    ],
)
def test_garbled_tokens_say_so_in_one_line(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as refusal:
        parse_token(text)
    assert "\n" not in str(refusal.value)
    assert TOKEN.secret.hex() not in str(refusal.value)


def test_the_largest_token_fits() -> None:
    largest = Token(1, tuple(f"{number}{'h' * 250}:65535" for number in range(8)), bytes(32), bytes(16), bytes(32))
    assert parse_token(format_token(largest)) == largest
