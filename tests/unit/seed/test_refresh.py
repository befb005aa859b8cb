"""Indexes that come and go while a seed reads them; packs that go while blocks are read."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

import pytest

from seed.backfill import INDEXES, PACKS, PackStore
from seed.packs import Location, encode_index
from swarm.encoding import encode_raw
from swarm.objects.memory import MemoryObjectStore
from swarm.signature import signature_of
from tests.unit.seed.indexes import index_of, kept_of, laid, pack_of, signatures_of


class Disturbed(MemoryObjectStore):
    """Something happens just before an object is read or a list is told."""

    def __init__(self) -> None:
        super().__init__()
        self.before_get: Callable[[str], None] = lambda key: None
        self.listed = 0

    def get(self, key: str) -> bytes:
        self.before_get(key)
        return super().get(key)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        self.listed += not after
        return super().list(prefix, after=after, limit=limit)


def test_indexes_that_come_and_go_are_noticed() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        mine, other = PackStore(objects), PackStore(objects)
        blocks = signatures_of(1, 20)
        first = await other.write(index_of(laid(blocks, 1), 1, [kept_of("maps/roads", blocks)]))
        await mine.refresh()
        assert mine.has_version("maps/roads", blocks[0])
        second = await other.write(index_of(laid(blocks[:5], 2), 2))
        await other.remove([first])
        await mine.refresh()
        assert mine.known.keys() == [second]
        assert [mine.has(block) for block in blocks] == [True] * 5 + [False] * 15
        assert not mine.has_version("maps/roads", blocks[0])

    asyncio.run(main())


def test_an_index_that_was_merged_between_list_and_reading_is_looked_for_again() -> None:
    async def main() -> None:
        objects = Disturbed()
        blocks = signatures_of(1, 20)
        writer = PackStore(objects)
        keys = [await writer.write(index_of(laid(blocks[at : at + 5], at), at)) for at in (0, 5, 10, 15)]

        def merge(_: str) -> None:
            objects.before_get = lambda key: None
            merged = {block: place for at in (0, 5, 10, 15) for block, place in laid(blocks[at : at + 5], at).items()}
            objects.put(INDEXES + "merged", encode_index(index_of(merged, 20)))
            for key in keys:
                objects.delete(key)

        objects.before_get = merge
        reader = PackStore(objects)
        await reader.refresh()
        assert reader.known.keys() == [INDEXES + "merged"]
        assert all(map(reader.has, blocks))

    asyncio.run(main())


def test_what_is_no_index_is_passed_over_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        blocks = signatures_of(1, 20)
        objects.put(INDEXES + "odd", b"rubbish")
        objects.put(INDEXES + "damaged", encode_index(index_of(laid(blocks, 1)))[:-1])
        store = PackStore(objects)
        await store.write(index_of(laid(blocks[:5], 2), 2))
        for _ in range(3):
            await store.refresh()
        assert [store.has(block) for block in blocks] == [True] * 5 + [False] * 15

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert sorted(record.getMessage().split()[1] for record in caplog.records) == [INDEXES + "damaged", INDEXES + "odd"]


def test_many_who_ask_at_once_share_a_list_that_begins_after_they_asked() -> None:
    async def main() -> None:
        objects = Disturbed()
        store = PackStore(objects)
        await asyncio.gather(*(store.refresh() for _ in range(20)))
        assert objects.listed == 2
        asked = asyncio.gather(*(store.refresh() for _ in range(20)))
        await asyncio.sleep(0)
        blocks = signatures_of(1, 3)
        objects.put(INDEXES + "late", encode_index(index_of(laid(blocks, 1))))
        await store.refresh()
        assert store.has(blocks[0])
        await asked

    asyncio.run(main())


def test_a_pack_that_was_packed_anew_is_read_where_it_is_now(caplog: pytest.LogCaptureFixture) -> None:
    """Also while the old index still says that its blocks lie in the old pack."""

    async def main() -> None:
        objects = MemoryObjectStore()
        plain = [random.Random(number).randbytes(1000) for number in range(4)]
        encoded = {signature_of(block): encode_raw(block) for block in plain}
        objects.put(PACKS + pack_of(1), b"".join(encoded.values()))
        places = {one: Location(pack_of(1), at * 1001, 1001) for at, one in enumerate(encoded)}
        reader, writer = PackStore(objects), PackStore(objects)
        await writer.write(index_of(places, 5))
        await reader.refresh()
        live = list(encoded)[:2]
        objects.put(PACKS + pack_of(2), b"".join(encoded[one] for one in reversed(live)))
        # By a clock that is behind.
        await writer.write(
            index_of({one: Location(pack_of(2), at * 1001, 1001) for at, one in enumerate(reversed(live))}, 4)
        )
        objects.delete(PACKS + pack_of(1))
        assert [await reader.get(one) for one in live] == [encoded[one] for one in live]
        gone = list(encoded)[3]
        assert await reader.get(gone) is None
        assert not reader.has(gone)

    with caplog.at_level(logging.CRITICAL):
        asyncio.run(main())
