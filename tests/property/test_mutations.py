"""Bytes near good ones, to everything that reads what others send: a value, or the refusal that is meant for it.

``make soak`` does so with the profile ``soak``: 20,000 examples each. What fails there goes to ``kept_bytes``.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.decoders import DECODERS, GOLDEN
from tests.property.kept_bytes import KEPT
from tests.property.mutations import mutated


def take(name: str, data: bytes) -> None:
    """Let the decoder have them; what it may not raise breaks the test."""
    decoder = DECODERS[name]
    with contextlib.suppress(*decoder.refusals):
        decoder.read(data)


@pytest.mark.parametrize("name", DECODERS)
def test_good_bytes_are_taken(name: str) -> None:
    DECODERS[name].read(DECODERS[name].good)


@pytest.mark.parametrize("name", DECODERS)
@given(seed=st.integers(0, (1 << 64) - 1))
def test_near_misses_are_refused_or_are_something(name: str, seed: int) -> None:
    data = mutated(DECODERS[name].good, seed)
    try:
        take(name, data)
    except Exception as error:
        raise AssertionError(f"keep ({name!r}, {data.hex()!r})") from error


def test_what_broke_once() -> None:
    for name, data in KEPT:
        take(name, bytes.fromhex(data))


def test_every_golden_capture_is_near_something() -> None:
    good = {decoder.good for decoder in DECODERS.values()}
    inside = {"dht-batch", "dht-keys", "entry-hash", "join-proof", "renew-proof"}
    for path in Path(GOLDEN).glob("*.hex"):
        assert path.stem in inside or bytes.fromhex(path.read_text()) in good, path.stem


def test_mutations_reach_behind_the_first_check() -> None:
    """Some are well formed: whole structures with another value."""
    taken = 0
    for seed in range(2000):
        with contextlib.suppress(*DECODERS["channel: have"].refusals):
            DECODERS["channel: have"].read(mutated(DECODERS["channel: have"].good, seed))
            taken += 1
    assert taken > 20
