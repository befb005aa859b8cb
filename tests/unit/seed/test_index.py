"""Packed signatures and index objects: what is written is found, and anything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed import packs, table
from seed.packs import INDEX_MAX_VERSIONS, Kept, Location, Table, decode_index, encode_index
from swarm import canonical
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.limits import ENCODED_MAX_BYTES
from swarm.signature import signature_of
from tests.unit.seed.indexes import index_of, kept_of, laid, pack_of, signatures_of

# Also such as nobody's hash gives: the same but for a last byte, all low, all high.
SIGNATURES = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 300).map(lambda number: number.to_bytes(32, "big")),
    st.integers(0, 300).map(lambda number: ((1 << 256) - 1 - number).to_bytes(32, "big")),
)


@given(st.dictionaries(SIGNATURES, st.integers(0, 9000)), st.lists(SIGNATURES))
def test_a_table_finds_what_a_dict_finds(offsets: dict[bytes, int], others: list[bytes]) -> None:
    places = {one: Location(pack_of(offset % 3), offset, 7) for one, offset in offsets.items()}
    found = Table(index_of(places))
    assert len(found) == len(places)
    assert {one: found.find(one) for one in [*places, *others]} == {one: places.get(one) for one in [*places, *others]}
    assert dict(found.places()) == places


@given(st.lists(SIGNATURES))
def test_packed_signatures_are_a_set(signatures: list[bytes]) -> None:
    blob = table.packed(signatures)
    assert list(table.each(blob)) == sorted(set(signatures))
    assert table.is_packed(blob)
    assert table.count(blob) == len(set(signatures))
    for number, one in enumerate(sorted(set(signatures))):
        assert table.find(blob, one) == number


def test_signatures_that_somebody_chose_cost_few_steps_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guess by proportion would go through them one by one."""

    class Watched(bytes):
        looks = 0

        def __getitem__(self, key: Any) -> Any:
            Watched.looks += 1
            return super().__getitem__(key)

    chosen = [*((1 << 8 * n).to_bytes(32, "big") for n in range(31)), *signatures_of(1, 10_000)]
    chosen += [(number << 190).to_bytes(32, "big") for number in range(10_000)]
    blob = Watched(table.packed(chosen))
    for one in chosen[:200] + chosen[-200:]:
        Watched.looks = 0
        assert table.find(blob, one) >= 0
        assert Watched.looks <= table.GUESSES_MAX + 17


def test_an_index_reads_back() -> None:
    blocks = signatures_of(1, 100)
    places = laid(blocks[:60], 1) | laid(blocks[60:], 2)
    index = index_of(places, 7, [kept_of("maps/roads", blocks[:50]), kept_of("maps/rails", blocks[50:])])
    assert decode_index(encode_index(index)) == index
    assert decode_index(encode_index(index_of({}))) == index_of({})
    assert dict(Table(index).places()) == places


def good() -> Any:
    blocks = signatures_of(1, 9)
    return index_of(laid(blocks, 1) | laid(signatures_of(2, 3), 2), 7, [kept_of("maps/roads", blocks)])


def column(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "little") for value in values)


def swapped(data: bytes) -> bytes:
    return data[32:64] + data[:32] + data[64:]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda i: {"packs": i.packs[::-1]}, "packs are not in order"),
        (lambda i: {"packs": (*i.packs, i.packs[-1])}, "packs are not in order"),
        (lambda i: {"packs": i.packs[:1]}, "in no pack"),
        (lambda i: {"packs": tuple((pack, 25, 7) for pack, _, _ in i.packs)}, "beyond its pack"),
        (lambda i: {"packs": (("../etc/passwd", 5, 7), *i.packs)}, "malformed"),
        (lambda i: {"signatures": swapped(i.signatures)}, "signatures are not in order"),
        (lambda i: {"signatures": i.signatures[:32] + i.signatures[:-32]}, "signatures are not in order"),
        (lambda i: {"signatures": i.signatures[:-1]}, "signatures are not in order"),
        (lambda i: {"pack_of": i.pack_of[:-4]}, "columns differ"),
        (lambda i: {"offsets": i.offsets + b"\0"}, "columns differ"),
        (lambda i: {"lengths": b""}, "columns differ"),
        (lambda i: {"lengths": column(0) + i.lengths[4:]}, "empty or too long"),
        (lambda i: {"lengths": column(ENCODED_MAX_BYTES + 1) + i.lengths[4:]}, "empty or too long"),
        (lambda i: {"offsets": column((1 << 32) - 5) + i.offsets[4:]}, "beyond its pack"),
        (lambda i: {"versions": i.versions * 2}, "versions are not in order"),
        (lambda i: {"versions": (Kept("no name", *_rest(i)),)}, "name"),
        (lambda i: {"versions": (msgspec.structs.replace(i.versions[0], version=bytes(32)),)}, "its own root"),
        (lambda i: {"versions": (msgspec.structs.replace(i.versions[0], blocks=i.versions[0].blocks[1:]),)}, "order"),
        (lambda i: {"versions": (msgspec.structs.replace(i.versions[0], blocks=b""),)}, "its own root"),
        (lambda i: {"format": 1}, "malformed"),
    ],
)
def test_an_index_that_contradicts_itself_is_refused(change: Callable[[Any], dict[str, Any]], why: str) -> None:
    index = good()
    changed = msgspec.structs.replace(index, **change(index))
    body = canonical.encode(changed)
    with pytest.raises(RemoteProtocolError, match=why):
        decode_index(signature_of(body) + body)
    with pytest.raises(LocalProtocolError):
        encode_index(changed)


def test_an_index_beyond_the_maxima_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LocalProtocolError, match="65536"):
        encode_index(msgspec.structs.replace(good(), versions=good().versions * (INDEX_MAX_VERSIONS + 1)))
    monkeypatch.setattr(packs, "INDEX_MAX_BYTES", len(canonical.encode(good())))
    assert decode_index(encode_index(good())) == good()
    monkeypatch.setattr(packs, "INDEX_MAX_BYTES", packs.INDEX_MAX_BYTES - 1)
    with pytest.raises(LocalProtocolError, match="the limit is"):
        encode_index(good())


def _rest(index: Any) -> tuple[bytes, int, bytes]:
    kept = index.versions[0]
    return kept.version, kept.wall_time, kept.blocks


@given(st.data())
def test_a_damaged_index_is_refused(data: st.DataObject) -> None:
    encoded = bytearray(encode_index(good()))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteProtocolError):
        decode_index(bytes(encoded))
    with pytest.raises(RemoteProtocolError):
        decode_index(bytes(encode_index(good())[: at + 1 if at + 1 < len(encoded) else at]))
