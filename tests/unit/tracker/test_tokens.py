"""Tokens over a store: uses, marks, and records that others wrote."""

from __future__ import annotations

import pytest

from swarm.errors import IntegrityError, NotAllowedError, UsageError
from swarm.messages import TokenRequest
from swarm.objects.memory import MemoryObjectStore
from swarm.signature import signature_of
from swarm.token import Token, parse_token
from swarm.tracker import sealed
from swarm.tracker.tokens import PREFIX, Tokens
from tests.unit.log_samples import OTHER, WALL, authority


def made(uses: int = 1, ttl_s: int = 60) -> tuple[MemoryObjectStore, Tokens, Token]:
    objects = MemoryObjectStore()
    tokens = Tokens(objects, authority())
    text, _ = tokens.create(TokenRequest(uses=uses, ttl_s=ttl_s), ("127.0.0.1:1",), WALL)
    return objects, tokens, parse_token(text)


def key(number: int) -> bytes:
    return signature_of(number.to_bytes(4, "big"))


def test_every_use_can_be_spent_once_and_no_more() -> None:
    objects, tokens, token = made(uses=40)
    for number in range(40):
        tokens.spend(token.id, token.secret, key(number), WALL)
        tokens.spend(token.id, token.secret, key(number), WALL)
    with pytest.raises(NotAllowedError, match="used up: it was made for 40"):
        tokens.spend(token.id, token.secret, key(40), WALL)
    for number in range(40):
        tokens.spend(token.id, token.secret, key(number), WALL)
    marks = objects.list(f"{PREFIX}{token.id.hex()}/spent/")
    assert len(marks) == 40
    assert {objects.get(mark) for mark in marks} == {key(number) for number in range(40)}


def test_after_it_expired_only_who_has_used_it_is_known() -> None:
    _, tokens, token = made(uses=2, ttl_s=60)
    tokens.spend(token.id, token.secret, key(1), WALL + 59)
    tokens.spend(token.id, token.secret, key(1), WALL + 60)
    with pytest.raises(NotAllowedError, match="expired at 2027-01-15 08:01:00 UTC"):
        tokens.spend(token.id, token.secret, key(2), WALL + 60)


def test_the_secret_decides() -> None:
    _, tokens, token = made()
    for token_id, secret in ((token.id, bytes(32)), (bytes(16), token.secret)):
        with pytest.raises(NotAllowedError, match="not valid here"):
            tokens.spend(token_id, secret, key(1), WALL)


def test_a_record_that_no_tracker_wrote_is_refused() -> None:
    """A seed that can write to the store must not be able to make tokens."""
    objects, tokens, token = made()
    _, record = tokens.create(TokenRequest(role="tracker"), ("127.0.0.1:1",), WALL)
    place = f"{PREFIX}{token.id.hex()}/token"
    objects.put(place, sealed.seal(OTHER, record))
    with pytest.raises(IntegrityError, match="damaged"):
        tokens.spend(token.id, token.secret, key(1), WALL)


def test_a_record_counts_only_in_its_own_place() -> None:
    objects, tokens, token = made()
    moved = bytes(16)
    objects.put(f"{PREFIX}{moved.hex()}/token", objects.get(f"{PREFIX}{token.id.hex()}/token"))
    with pytest.raises(NotAllowedError, match="not valid here"):
        tokens.spend(moved, token.secret, key(1), WALL)


def test_bad_terms_are_usage_errors() -> None:
    tokens = Tokens(MemoryObjectStore(), authority())
    for request in (TokenRequest(datasets=("a",)), TokenRequest(datasets=("a/*/b",)), TokenRequest(site="Über")):
        with pytest.raises(UsageError):
            tokens.create(request, ("127.0.0.1:1",), WALL)
