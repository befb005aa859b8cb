"""Merging indexes: what they said is said at every moment, whoever merges beside, reads meanwhile or is killed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seed.backfill import INDEXES, PACKS, PackStore
from seed.compaction import Compactor
from seed.known import Known
from seed.merging import FANOUT, MERGED_MAX, MERGED_MAX_BYTES, Size, chosen, merged
from seed.packs import INDEX_MAX_PACKS, INDEX_MAX_VERSIONS, Index, Location, decode_index, encode_index
from swarm.claims import Condemned, condemn
from swarm.objects.memory import MemoryObjectStore
from tests.unit.seed.indexes import index_of, kept_of, laid, pack_of, signatures_of
from tests.unit.seed.stopping import Killed, Stopping

BLOCKS = signatures_of(1, 60)


def some_indexes(seed: int, count: int) -> list[Index]:
    """Indexes that say different places of the same blocks, and share versions."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        chosen_blocks = rng.sample(BLOCKS, rng.randint(1, 30))
        starts = [rng.randrange(50) for _ in range(rng.randint(0, 2))]
        versions = [kept_of(f"maps/{n}", BLOCKS[at : at + 5], 100 + number) for n, at in enumerate(starts)]
        versions += [kept_of("maps/shared", BLOCKS[:9], 200 - number)] if number % 3 == 0 else []
        found.append(index_of(laid(chosen_blocks, number, rng.randint(1, 99)), 100 + number, versions))
    return found


def said(indexes: list[Index]) -> tuple[dict[bytes, Location | None], set[tuple[str, bytes, bytes]]]:
    """What indexes say together."""
    known = Known()
    for number, index in enumerate(indexes):
        known.add(str(number), index)
    versions = {(v.dataset, v.version, known.blocks_of(v.dataset, v.version)) for v in known.versions()}
    return {block: known.find(block) for block in BLOCKS}, versions


@given(st.integers(0, 1000), st.integers(1, 12))
def test_one_index_says_what_several_say(seed: int, count: int) -> None:
    indexes = some_indexes(seed, count)
    one = merged(indexes)
    assert decode_index(encode_index(one)) == one
    assert said([one]) == said(indexes)
    assert merged(indexes[::-1]) == one
    half = merged([merged(indexes[::2]), *indexes[1::2]])
    assert said([half]) == said(indexes)


def test_a_merged_index_names_what_is_in_use() -> None:
    old = index_of(laid(BLOCKS[:10], 1) | laid(BLOCKS[10:20], 2), 1, [kept_of("maps/a", BLOCKS[:20], 7)])
    new = index_of(laid(BLOCKS[:10], 3), 2, [kept_of("maps/a", BLOCKS[:20], 9), kept_of("maps/b", BLOCKS[:3])])
    one = merged([old, new], lambda kept: kept.dataset != "maps/b")
    assert [pack for pack, _, _ in one.packs] == [pack_of(2), pack_of(3)]
    assert [(kept.dataset, kept.wall_time) for kept in one.versions] == [("maps/a", 9)]
    assert one.wall_time == 2


def test_those_of_about_one_size_are_merged() -> None:
    small = {f"s{number}": Size(1000) for number in range(FANOUT)}
    assert sorted(chosen(small)) == sorted(small)
    assert chosen(dict(list(small.items())[1:])) == []
    assert sorted(chosen(small | {"large": Size(MERGED_MAX_BYTES // 3)})) == sorted(small)
    assert chosen({f"l{number}": Size(MERGED_MAX_BYTES // 2) for number in range(50)}) == []
    many = {f"s{number}": Size(1000) for number in range(1000)}
    assert len(chosen(many)) == MERGED_MAX
    heavy = {f"m{number:02}": Size(MERGED_MAX_BYTES // 10) for number in range(20)}
    assert len(chosen(heavy)) == 10


@pytest.mark.parametrize(("kind", "most"), [("packs", INDEX_MAX_PACKS), ("versions", INDEX_MAX_VERSIONS)])
def test_no_more_is_merged_than_an_index_holds(kind: str, most: int) -> None:
    def sized(share: int, count: int) -> dict[str, Size]:
        return {f"{share}-{number}": Size(1000, **{kind: most // share}) for number in range(count)}

    assert len(chosen(sized(20, MERGED_MAX))) == 20
    assert len(chosen(sized(FANOUT, MERGED_MAX))) == FANOUT
    assert chosen(sized(2, MERGED_MAX)) == []
    assert len(chosen(sized(2, 2) | sized(100, FANOUT))) == FANOUT, "large ones keep nobody from it"


def test_a_store_knows_how_large_its_indexes_are() -> None:
    known = Known()
    known.add("key", index_of(laid(BLOCKS[:4], 1) | laid(BLOCKS[4:], 2), 1, [kept_of("maps/a", BLOCKS)]), 77)
    assert known.sizes() == {"key": Size(77, 2, 1)}


def test_a_thousand_publishes_leave_a_few_indexes_that_were_written_few_times() -> None:
    sizes: dict[str, Size] = {}
    written = 0
    for number in range(1000):
        sizes[f"{number}"] = Size(20_000)
        while keys := chosen(sizes):
            total = sum(sizes.pop(key).bytes for key in keys)
            sizes[f"{number}-{len(sizes)}-{total}"] = Size(total)
            written += total
    assert len(sizes) <= 3 * FANOUT
    assert written <= 4 * 1000 * 20_000


async def store_with(objects: MemoryObjectStore, indexes: list[Index]) -> PackStore:
    store = PackStore(objects)
    for index in indexes:
        for pack, _, _ in index.packs:
            objects.put(PACKS + pack, b"")
        await store.write(index)
    return store


def everything(objects: MemoryObjectStore) -> tuple[dict[bytes, Location | None], set[tuple[str, bytes, bytes]]]:
    return said([decode_index(objects.get(key)) for key in objects.list(INDEXES)])


def test_indexes_are_merged_and_gone() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        indexes = some_indexes(1, FANOUT)
        store = await store_with(objects, indexes)
        reader = PackStore(objects)
        await reader.refresh()
        assert await Compactor(store, random.Random(1)).once()
        assert len(objects.list(INDEXES)) == len(store.known.keys()) == 1
        assert everything(objects) == said(indexes)
        await reader.refresh()
        assert {block: reader.known.find(block) for block in BLOCKS} == said(indexes)[0]
        assert not await Compactor(store, random.Random(1)).once()

    asyncio.run(main())


@pytest.mark.parametrize("is_made", [False, True])
def test_killed_at_any_call_it_leaves_all_that_was_said(is_made: bool) -> None:
    async def main() -> None:
        indexes = some_indexes(2, FANOUT + 1)
        last = 0
        while True:
            last += 1
            objects = MemoryObjectStore()
            await store_with(objects, indexes)
            stopping = Stopping(objects, last, is_made=is_made)
            store = PackStore(stopping)
            finished = False
            with contextlib.suppress(Killed):
                await store.refresh()
                await Compactor(store, random.Random(1)).once()
                finished = True
            assert everything(objects) == said(indexes)
            # The next one finishes it.
            other = PackStore(objects)
            await other.refresh()
            compactor = Compactor(other, random.Random(1))
            while await compactor.once():
                pass
            assert everything(objects) == said(indexes)
            assert len(objects.list(INDEXES)) <= FANOUT
            if finished:
                break
        assert last > 2 * FANOUT

    asyncio.run(main())


def test_what_gc_condemned_is_not_merged() -> None:
    """Before it is read, and when it was read already: of two places a successor would name that which goes."""

    async def main(moment: str) -> None:
        objects = Gated()
        indexes = some_indexes(1, FANOUT)
        store = await store_with(objects, indexes)
        packs = tuple(pack.removeprefix(PACKS) for pack in objects.list(PACKS)[:1])
        # A seed sees indexes that were there, and nobody condemns any more what is not.
        keys = tuple(key.removeprefix(INDEXES) for key in objects.list(INDEXES)[:1] if moment == "list")
        record = Condemned(1, 0, packs, keys, ())
        objects.before[moment] = lambda: condemn(objects, "0" * 32, record)
        await Compactor(store, random.Random(1)).once()
        assert len(objects.list(INDEXES)) == FANOUT
        assert everything(objects) == said(indexes)

    for moment in ("list", "put", "after put"):
        asyncio.run(main(moment))


class Gated(MemoryObjectStore):
    """Something happens just before the nth call of a kind."""

    def __init__(self) -> None:
        super().__init__()
        self.before: dict[str, Callable[[], None]] = {}

    def _pass(self, kind: str) -> None:
        happening = self.before.pop(kind, None)
        if happening is not None:
            happening()

    def put(self, key: str, data: bytes) -> None:
        self._pass("put")
        super().put(key, data)
        self._pass("after put")

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        self._pass("list")
        return super().list(prefix, after=after, limit=limit)

    def delete(self, key: str) -> None:
        self._pass("delete")
        super().delete(key)


@pytest.mark.parametrize("moment", ["put", "after put", "delete"])
@pytest.mark.parametrize("seed", range(3))
def test_two_that_merge_at_once_lose_nothing(moment: str, seed: int) -> None:
    """Another seed merges all from beginning to end just before this one writes, looks again or deletes."""

    async def main() -> None:
        objects = Gated()
        indexes = some_indexes(seed, FANOUT)
        mine = await store_with(objects, indexes)
        theirs = PackStore(objects)
        await theirs.refresh()
        objects.before[moment] = lambda: asyncio.run(_once(theirs))
        await Compactor(mine, random.Random(1)).once()
        assert everything(objects) == said(indexes)
        # What is left over is at most the other's successor beside this one's.
        assert len(objects.list(INDEXES)) <= (2 if moment == "delete" else 1)

    asyncio.run(main())


async def _once(store: PackStore) -> None:
    await Compactor(store, random.Random(2)).once()


def test_a_version_that_was_removed_meanwhile_does_not_come_back() -> None:
    """Retention writes an index anew, without a version, between the reading and the writing of a merging."""

    async def main() -> None:
        objects = Gated()
        indexes = [*some_indexes(4, FANOUT - 1), index_of({}, 99, [kept_of("maps/removed", BLOCKS[:5])])]
        mine = await store_with(objects, indexes)

        def remove() -> None:
            for key in objects.list(INDEXES):
                index = decode_index(objects.get(key))
                if any(kept.dataset == "maps/removed" for kept in index.versions):
                    objects.put(INDEXES + "anew", encode_index(merged([index], lambda kept: False)))
                    objects.delete(key)

        objects.before["put"] = remove
        await Compactor(mine, random.Random(1)).once()
        assert everything(objects) == said(indexes[:-1])
        assert not mine.has_version("maps/removed", BLOCKS[0])

    asyncio.run(main())
