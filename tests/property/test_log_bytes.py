"""Garbage, and one changed byte: every structure that comes from outside raises the remote error and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm import canonical, log
from swarm.errors import RemoteProtocolError, UsageError
from swarm.limits import ANNOUNCE_ANSWER_MAX_BYTES, ANNOUNCE_MAX_BYTES
from swarm.log import Entry, Move, Totals
from swarm.messages import Announce, AnnounceAnswer
from swarm.receipt import open_receipt, seal_receipt
from swarm.snapshot import Snapshot, TagState, open_snapshot, seal_snapshot
from swarm.token import PREFIX, Token, format_token, parse_token
from swarm.trust import Trust
from tests.property.effort import examples
from tests.unit.log_samples import CA_KEY, FIRST, OTHER, PUBLISHER, RECEIPT, SEED, SNAPSHOT, TOKEN, WALL, signed
from tests.unit.test_golden_log import ANNOUNCE, ANSWER

Reader = Callable[[bytes], object]


def read_entry(data: bytes) -> object:
    return log.verify_entry(data, authority=Trust(CA_KEY.public))


def read_snapshot(data: bytes) -> object:
    return open_snapshot(data, authority=Trust(CA_KEY.public), wall_now=WALL)


def read_announce(data: bytes) -> object:
    return canonical.decode(data, Announce, limit_bytes=ANNOUNCE_MAX_BYTES)


def read_answer(data: bytes) -> object:
    return canonical.decode(data, AnnounceAnswer, limit_bytes=ANNOUNCE_ANSWER_MAX_BYTES)


SEALED: dict[str, tuple[bytes, Reader]] = {
    "entry": (signed(FIRST), read_entry),
    "snapshot": (seal_snapshot(CA_KEY, SNAPSHOT), read_snapshot),
    "receipt": (seal_receipt(SEED, RECEIPT), open_receipt),
}
PLAIN: dict[str, tuple[bytes, Reader]] = {
    "announce": (canonical.encode(ANNOUNCE), read_announce),
    "answer": (canonical.encode(ANSWER), read_answer),
}


@pytest.mark.parametrize("name", [*SEALED, *PLAIN])
@given(data=st.binary(max_size=300))
def test_garbage_is_refused(name: str, data: bytes) -> None:
    _, read = (SEALED | PLAIN)[name]
    with pytest.raises(RemoteProtocolError):
        read(data)


@pytest.mark.parametrize("name", SEALED)
@given(place=st.integers(min_value=0), change=st.integers(1, 255))
def test_one_changed_byte_of_what_is_sealed(name: str, place: int, change: int) -> None:
    good, read = SEALED[name]
    bad = bytearray(good)
    bad[place % len(bad)] ^= change
    with pytest.raises(RemoteProtocolError):
        assert read(bytes(bad)) != read(good)


@pytest.mark.parametrize("name", PLAIN)
@given(place=st.integers(min_value=0), change=st.integers(1, 255))
def test_one_changed_byte_of_what_is_not(name: str, place: int, change: int) -> None:
    """It may mean something else then, but it is read whole and canonical, or refused."""
    good, read = PLAIN[name]
    bad = bytearray(good)
    bad[place % len(bad)] ^= change
    try:
        found = read(bytes(bad))
    except RemoteProtocolError:
        return
    assert canonical.encode(found) == bytes(bad)


@pytest.mark.parametrize("name", [*SEALED, *PLAIN])
@given(cut=st.integers(min_value=0), more=st.binary(min_size=1, max_size=20))
def test_cut_short_and_gone_on(name: str, cut: int, more: bytes) -> None:
    good, read = (SEALED | PLAIN)[name]
    for bad in (good[: cut % len(good)], good + more):
        with pytest.raises(RemoteProtocolError):
            read(bad)


@given(text=st.text(max_size=200))
def test_any_text_is_no_token(text: str) -> None:
    for bad in (text, PREFIX + text):
        with pytest.raises(UsageError):
            parse_token(bad)


@given(place=st.integers(min_value=0), char=st.characters())
def test_one_changed_character_of_a_token(place: int, char: str) -> None:
    good = format_token(TOKEN)
    place %= len(good)
    bad = good[:place] + char + good[place + 1 :]
    if bad.strip() == good:
        return
    with pytest.raises(UsageError):
        parse_token(bad)


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}/[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
versions = st.binary(min_size=32, max_size=32)
walls = st.integers(WALL - 90, WALL + 90)


KINDS: st.SearchStrategy[log.Kind] = st.sampled_from(["publish", "tag", "rollback", "rm"])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(KINDS)
    serial = draw(st.integers(1, 1 << 62))
    shared = draw(versions)
    moved = draw(st.lists(tags, min_size=1, max_size=8, unique=True))
    moves = tuple(Move(tag, {"publish": shared, "rm": None}.get(kind, draw(versions))) for tag in moved)
    return Entry(
        format=1,
        dataset="library/" + draw(names).partition("/")[2],
        serial=serial,
        previous=b"" if serial == 1 else draw(versions),
        wall_time=draw(walls),
        kind=kind,
        moves=moves,
        message=draw(st.text(st.characters(categories=["L", "N", "Po", "So"]), max_size=40)),
        totals=Totals(draw(st.integers(0, 1000)), 5, 6, 7) if kind == "publish" else None,
        publisher=PUBLISHER.public,
    )


@given(entry=entries())
def test_entries_round_trip(entry: Entry) -> None:
    data = signed(entry)
    assert log.verify_entry(data, authority=Trust(CA_KEY.public)) == entry
    with pytest.raises(RemoteProtocolError):
        log.verify_entry(data, authority=Trust(OTHER.public))


@given(found=st.dictionaries(tags, st.tuples(st.integers(1, 50), versions), max_size=20), dataset=names)
def test_snapshots_round_trip(found: dict[str, tuple[int, bytes]], dataset: str) -> None:
    states = tuple(TagState(tag, *found[tag]) for tag in sorted(found))
    snapshot = Snapshot(1, dataset, 50, states, WALL, WALL + 60)
    assert open_snapshot(seal_snapshot(CA_KEY, snapshot), authority=Trust(CA_KEY.public), wall_now=WALL) == snapshot


@given(
    addresses=st.lists(st.text(min_size=3, max_size=60), min_size=1, max_size=8),
    fingerprint=versions,
    token_id=st.binary(min_size=16, max_size=16),
    secret=versions,
)
@settings(max_examples=examples(50))
def test_tokens_round_trip(addresses: list[str], fingerprint: bytes, token_id: bytes, secret: bytes) -> None:
    token = Token(1, tuple(addresses), fingerprint, token_id, secret)
    assert parse_token(format_token(token)) == token
