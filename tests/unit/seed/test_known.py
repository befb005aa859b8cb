"""What several indexes say together: the latest place counts, and what goes is forgotten."""

from __future__ import annotations

import random

import pytest

from seed.known import Known
from seed.packs import Index, Location
from tests.unit.seed.indexes import index_of, kept_of, laid, pack_of, signatures_of


def test_the_latest_place_counts_in_any_order_of_reading() -> None:
    blocks = signatures_of(1, 40)
    early, late = index_of(laid(blocks, 1), 100), index_of(laid(blocks[:20], 2), 101)
    for order in (("early", early), ("late", late)), (("late", late), ("early", early)):
        known = Known()
        for key, index in order:
            known.add(key, index)
        assert known.find(blocks[0]) == Location(pack_of(2), 0, 10)
        assert known.find(blocks[39]) == Location(pack_of(1), 390, 10)
        assert [place.pack for place in known.places(blocks[0])] == [pack_of(2), pack_of(1)]
        assert known.find(bytes(32)) is None
        assert known.next_wall_time(5) == 102
        assert known.next_wall_time(500) == 500


def test_a_pack_that_is_gone_holds_nothing() -> None:
    blocks = signatures_of(1, 4)
    known = Known()
    known.add("a", index_of(laid(blocks, 1), 1))
    known.add("b", index_of(laid(blocks[:2], 2), 2))
    assert {pack: one.keys for pack, one in known.packs().items()} == {pack_of(1): {"a"}, pack_of(2): {"b"}}
    known.forget_pack(pack_of(2))
    assert known.find(blocks[0]) == Location(pack_of(1), 0, 10)
    assert set(known.packs()) == {pack_of(1)}
    known.forget_pack(pack_of(1))
    assert [known.find(one) for one in blocks] == [None] * 4
    known.forget("a")
    # A pack of that id that comes again is another one.
    known.add("c", index_of(laid(blocks, 1), 3))
    assert known.find(blocks[3]) is not None


def test_versions_are_known_while_an_index_keeps_them() -> None:
    roads, rails = signatures_of(1, 5), signatures_of(2, 5)
    known = Known()
    known.add("a", index_of(laid(roads, 1), 1, [kept_of("maps/roads", roads, 11)]))
    both = [kept_of("maps/rails", rails, 13), kept_of("maps/roads", roads, 12)]
    known.add("b", index_of(laid(rails, 2), 2, both))
    assert set(known.versions()) == {
        ("a", "maps/roads", roads[0], 11),
        ("b", "maps/roads", roads[0], 12),
        ("b", "maps/rails", rails[0], 13),
    }
    assert known.blocks_of("maps/roads", roads[0]) == b"".join(sorted(roads))
    assert known.is_in(roads[3], "maps/roads")
    assert not known.is_in(roads[3], "maps/rails")
    assert known.is_in_any(roads[3], lambda dataset: True)
    assert not known.is_in_any(roads[3], lambda dataset: dataset == "maps/rails")
    known.forget("a")
    assert known.has_version("maps/roads", roads[0])
    known.forget("b")
    assert not known.has_version("maps/roads", roads[0])
    assert list(known.versions()) == []
    assert known.packs() == {}
    with pytest.raises(KeyError):
        known.blocks_of("maps/roads", roads[0])


@pytest.mark.parametrize("seed", range(8))
def test_it_says_what_a_plain_list_of_indexes_says(seed: int) -> None:
    """Indexes come and go at random."""
    rng = random.Random(seed)
    blocks = signatures_of(seed, 30)
    known = Known()
    listed: dict[str, Index] = {}
    for step in range(120):
        if listed and rng.random() < 0.4:
            key = rng.choice(list(listed))
            del listed[key]
            known.forget(key)
        else:
            chosen = rng.sample(blocks, rng.randint(0, 20))
            versions = [kept_of(f"maps/{rng.randrange(3)}", chosen)] if chosen else []
            listed[f"{step}"] = index = index_of(laid(chosen, step), rng.randrange(1000) * 200 + step, versions)
            known.add(f"{step}", index)
        latest = sorted(listed.values(), key=lambda index: -index.wall_time)
        assert set(known.keys()) == set(listed)
        for block in blocks:
            at = next((one for one in latest if block in [*_signatures(one)]), None)
            found = known.find(block)
            assert (found and found.pack) == (at and at.packs[0][0])
        assert {(v.dataset, v.version) for v in known.versions()} == {
            (kept.dataset, kept.version) for index in latest for kept in index.versions
        }
        for index in latest:
            for kept in index.versions:
                assert known.has_version(kept.dataset, kept.version)


def _signatures(index: object) -> list[bytes]:
    data = index.signatures  # type: ignore[attr-defined]
    return [data[at : at + 32] for at in range(0, len(data), 32)]
