"""The swarm secret as text: round trip, sealed and open, and each way of being mutilated in one clear line."""

from __future__ import annotations

import base64
import string

import pytest

from swarm import canonical
from swarm.errors import NotAllowedError, UsageError
from swarm.limits import PASSPHRASE_MAX_BYTES, SECRET_MAX_CHARS
from swarm.secret_text import PREFIX, SecretBody, format_secret, open_secret, parse_secret
from swarm.signature import signature_of

KEY = bytes(range(32))
TEXT = format_secret(KEY)


def text_of(payload: bytes) -> str:
    """A text around any payload, with a right checksum."""
    return PREFIX + base64.urlsafe_b64encode(payload + signature_of(payload)[:4]).decode().rstrip("=")


def test_round_trip_with_white_space_around() -> None:
    assert open_secret(parse_secret(f"  {TEXT}\r\n")) == KEY
    assert "\n" not in TEXT


def test_what_is_sealed_opens_with_its_passphrase_only() -> None:
    text = format_secret(KEY, b"a passphrase")
    assert open_secret(parse_secret(text), b"a passphrase") == KEY
    assert format_secret(KEY, b"a passphrase") != text
    assert KEY not in base64.urlsafe_b64decode(text.removeprefix(PREFIX) + "==")
    with pytest.raises(NotAllowedError, match="sealed with a passphrase"):
        open_secret(parse_secret(text))
    with pytest.raises(NotAllowedError, match="does not open"):
        open_secret(parse_secret(text), b"another")
    with pytest.raises(UsageError, match="a passphrase has at most"):
        open_secret(parse_secret(text), bytes(PASSPHRASE_MAX_BYTES + 1))


def test_no_key_shows_in_logs() -> None:
    assert KEY.hex() not in repr(parse_secret(TEXT))
    assert repr(KEY) not in repr(parse_secret(TEXT))


@pytest.mark.parametrize("place", range(len(TEXT)))
def test_any_other_character_is_noticed(place: int) -> None:
    for other in (string.ascii_letters[place % 52], "-", "_", "A", "!"):
        if other != TEXT[place]:
            with pytest.raises(UsageError) as told:
                parse_secret(TEXT[:place] + other + TEXT[place + 1 :])
            assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["", PREFIX, TEXT[:-1], TEXT[:40], TEXT + "A", PREFIX + "A" * SECRET_MAX_CHARS, "é"])
def test_what_is_cut_or_something_else_is_noticed(text: str) -> None:
    with pytest.raises(UsageError):
        parse_secret(text)


@pytest.mark.parametrize(
    "body", [SecretBody(1, b"", bytes(33)), SecretBody(1, bytes(15), bytes(72)), SecretBody(1, b"", bytes(128))]
)
def test_parts_that_do_not_fit_are_refused(body: SecretBody) -> None:
    with pytest.raises(UsageError, match="do not fit"):
        parse_secret(text_of(canonical.encode(body)))


def test_a_sealed_key_of_another_length_is_refused() -> None:
    sealed = parse_secret(format_secret(bytes(33), b"p"))
    with pytest.raises(UsageError, match="do not fit"):
        open_secret(sealed, b"p")
