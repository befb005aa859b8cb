"""Packs and backfill: what is written comes back, with few reads; uploads: possession, resume, receipts."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import pytest

from seed import rereads
from seed.backfill import DEFAULT_MEMORY_BYTES, INDEXES, PACKS, PackStore, VersionSource
from seed.packs import PackBuilder, head_bytes, read_head
from seed.uploads import Uploads
from swarm.encoding import encode_block, encode_raw, open_block
from swarm.errors import IntegrityError, NotFoundError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.manifest import BlockEntry, FileEntry, Manifest, build
from swarm.objects.memory import MemoryObjectStore
from swarm.peer.shares import group_of, shares
from swarm.receipt import open_receipt
from swarm.signature import signature_of
from swarm.store.disk import DiskStore
from swarm.store.memory import MemoryStore
from swarm.store.tiers import Tiers

SEED = PeerKey(b"s" * 32)
ALICE, MALLORY = PeerKey(b"a" * 32), PeerKey(b"m" * 32)


class Counting(MemoryObjectStore):
    """Counts ranged reads and their bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.read_bytes = 0
        self._counting = threading.Lock()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        data = super().get_range(key, start, length)
        with self._counting:
            self.reads += 1
            self.read_bytes += len(data)
        return data


class Flipping(Counting):
    """Changes a bit of the next so many ranges, and of all those of a key for good."""

    def __init__(self) -> None:
        super().__init__()
        self.flips = 0
        self.damaged = ""

    def get_range(self, key: str, start: int, length: int) -> bytes:
        data = super().get_range(key, start, length)
        if self.flips > 0 or key == self.damaged:
            self.flips -= 1
            middle = len(data) // 2
            return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        return data


def blocks_of(seed: int, count: int, size: int = 300_000) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(size) for _ in range(count)]


def manifest_of(blocks: list[bytes]) -> Manifest:
    content = b"".join(blocks)
    entry = FileEntry("f", 0, len(content), 0o644, 0, signature_of(content), bytes(32), "")
    return build([entry], [BlockEntry(signature_of(block), len(block)) for block in blocks])


async def upload(
    uploads: Uploads, publisher: PeerKey, dataset: str, blocks: list[bytes]
) -> tuple[bytes, Manifest, int]:
    """Publish blocks as one file: the receipt, the manifest, and how many blocks had to be brought."""
    manifest = manifest_of(blocks)
    data = {signature_of(block): block for block in blocks} | {manifest.version: manifest.root_bytes}
    data |= dict(manifest.segments)
    session = uploads.session(await uploads.begin(dataset, publisher.public), publisher.public)

    def may_read(name: str) -> bool:
        return name.split("/")[0] == dataset.split("/")[0]

    missing = await uploads.missing(session, data, may_read)
    for signature in missing:
        await uploads.bring(session, [(signature, encode_block(data[signature]))])
    receipt = await uploads.commit(session, manifest.root_bytes, may_read)
    await uploads.done(session.id)
    return receipt, manifest, len(missing)


async def laid(objects: MemoryObjectStore, blocks: list[bytes]) -> VersionSource:
    """A version in packs there, as somebody reads it who opens the store anew."""
    _, manifest, _ = await upload(Uploads(PackStore(objects), SEED), ALICE, "maps/roads", blocks)
    fresh = PackStore(objects)
    await fresh.refresh()
    return VersionSource(fresh, manifest)


def test_an_upload_is_packed_and_read_back_with_one_read_for_all_who_ask() -> None:
    async def main() -> None:
        objects = Counting()
        store = PackStore(objects)
        blocks = blocks_of(1, 60)
        receipt, manifest, brought = await upload(Uploads(store, SEED), ALICE, "maps/roads", blocks)
        assert brought == 60 + 1 + len(manifest.segments)
        stated, sealer = open_receipt(receipt)
        assert sealer == SEED.public
        assert (stated.version, stated.publisher, stated.blocks) == (manifest.version, ALICE.public, 60)
        assert len(objects.list(PACKS)) == 1
        assert len(objects.list(INDEXES)) == 1
        assert objects.list("uploads/") == []

        for memory_bytes, most in ((DEFAULT_MEMORY_BYTES, 1), (0, 4)):
            fresh = PackStore(objects, memory_bytes)
            await fresh.refresh()
            source = VersionSource(fresh, manifest)
            objects.reads = objects.read_bytes = 0
            wanted = [signature_of(block) for block in blocks] * 4
            random.Random(2).shuffle(wanted)
            found = await asyncio.gather(*(source.read(signature) for signature in wanted))
            assert found == [encode_raw(next(b for b in blocks if signature_of(b) == s)) for s in wanted]
            # A group of neighbouring blocks at a time, and nothing but blocks that were asked for.
            groups = -(-60 // group_of(60))
            assert groups <= objects.reads <= most * groups
            if most == 1:
                assert objects.read_bytes == 60 * 300_001

    asyncio.run(main())


def test_an_extent_that_was_damaged_on_the_way_is_read_again_and_never_given() -> None:
    async def main() -> None:
        objects = Flipping()
        blocks = blocks_of(1, 10)
        source = await laid(objects, blocks)
        objects.reads, objects.flips = 0, 2
        right = [encode_raw(block) for block in blocks]
        first = await asyncio.gather(*(source.read(signature_of(block)) for block in blocks))
        assert first == right
        assert objects.reads == 3
        assert [await source.read(signature_of(block)) for block in blocks] == right
        assert objects.reads == 3

    asyncio.run(main())


def test_what_lies_damaged_is_not_read_again_for_each_who_asks() -> None:
    async def main() -> None:
        objects = Flipping()
        blocks = blocks_of(1, 10)
        source = await laid(objects, blocks)
        objects.reads, objects.damaged = 0, objects.list(PACKS)[0]
        for _ in range(5):
            found = [await source.read(signature_of(block)) for block in blocks]
            assert found.count(None) == 1
            assert all(given in (None, encode_raw(block)) for given, block in zip(found, blocks, strict=True))
        assert objects.reads == 1 + rereads.AT_ONCE

    asyncio.run(main())


def test_rereads_have_a_budget_and_come_back() -> None:
    budget = rereads.Rereads()
    extent = ("pack", 0)
    assert [budget.may(extent, 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert budget.may(("pack", 1), 0.0)
    assert [budget.may(extent, rereads.EVERY_S) for _ in range(2)] == [True, False]
    budget.mended(extent)
    assert budget.may(extent, rereads.EVERY_S)
    for number in range(2 * rereads.EXTENTS_MAX):
        budget.may(("other", number), 0.0)
    assert len(budget._spent) == rereads.EXTENTS_MAX


def test_blocks_of_an_earlier_version_are_not_brought_again() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        uploads = Uploads(PackStore(objects), SEED)
        blocks = blocks_of(1, 10, 70_000)
        await upload(uploads, ALICE, "maps/roads", blocks)
        packed = sum(len(objects.get(key)) for key in objects.list(PACKS))
        _, manifest, brought = await upload(uploads, ALICE, "maps/roads", [*blocks, b"new" * 400])
        assert brought == 1 + 1 + len(manifest.segments)
        assert sum(len(objects.get(key)) for key in objects.list(PACKS)) < packed + 3000

    asyncio.run(main())


def test_who_may_not_read_a_block_has_to_bring_it() -> None:
    async def main() -> None:
        uploads = Uploads(PackStore(MemoryObjectStore()), SEED)
        blocks = blocks_of(1, 5, 70_000)
        _, manifest, _ = await upload(uploads, ALICE, "maps/roads", blocks)
        session = uploads.session(await uploads.begin("mine/x", MALLORY.public), MALLORY.public)
        wanted = [signature_of(block) for block in blocks]

        def mine(dataset: str) -> bool:
            return dataset.startswith("mine/")

        assert await uploads.missing(session, wanted, mine) == wanted
        with pytest.raises(NotFoundError, match="missing"):
            await uploads.commit(session, manifest.root_bytes, mine)
        with pytest.raises(NotFoundError):
            uploads.session(session.id, ALICE.public)

    asyncio.run(main())


def test_a_block_that_is_not_what_it_says_is_refused() -> None:
    async def main() -> None:
        uploads = Uploads(PackStore(MemoryObjectStore()), SEED)
        session = uploads.session(await uploads.begin("maps/roads", ALICE.public), ALICE.public)
        signature = signature_of(b"right")
        for encoded in (encode_raw(b"wrong"), b"", b"\x07right", b"\x01not zstd"):
            with pytest.raises(IntegrityError):
                await uploads.bring(session, [(signature, encoded)])
        assert await uploads.missing(session, [signature], lambda dataset: True) == [signature]

    asyncio.run(main())


def test_a_manifest_that_lies_about_a_size_is_not_kept() -> None:
    async def main() -> None:
        uploads = Uploads(PackStore(MemoryObjectStore()), SEED)
        plain = b"x" * 70_000
        entry = FileEntry("f", 0, 60_000, 0o644, 0, bytes(32), bytes(32), "")
        lying = build([entry], [BlockEntry(signature_of(plain), 60_000)])
        session = uploads.session(await uploads.begin("maps/roads", ALICE.public), ALICE.public)
        await uploads.bring(session, [(signature_of(plain), encode_block(plain))])
        for signature, data in lying.segments.items():
            await uploads.bring(session, [(signature, encode_block(data))])
        with pytest.raises(RemoteProtocolError):
            await uploads.commit(session, lying.root_bytes, lambda dataset: True)

    asyncio.run(main())


def test_a_pack_says_itself_what_lies_in_it() -> None:
    builder = PackBuilder()
    blocks = {signature_of(plain): plain for plain in (b"", b"a", b"bc" * 5000)}
    for signature, plain in blocks.items():
        builder.add(signature, encode_block(plain))
    data, places = builder.finish("a pack")
    assert {one: data[at.offset : at.offset + at.length] for one, at in places.items()} == {
        one: encode_block(plain) for one, plain in blocks.items()
    }
    assert (builder.size_bytes, builder.is_full) == (0, False)
    start = head_bytes(data[:100])
    assert start < 300
    assert read_head("a pack", data[:start]) == (len(data), places, {one: len(plain) for one, plain in blocks.items()})
    for at in range(start):
        damaged = bytearray(data[:start])
        damaged[at] ^= 1
        with pytest.raises(RemoteProtocolError):
            read_head("a pack", bytes(damaged[: head_bytes(bytes(damaged))]))
    with pytest.raises(RemoteProtocolError):
        head_bytes(data[:20])


def test_two_seeds_that_are_asked_for_their_shares_read_each_byte_once() -> None:
    async def main() -> None:
        objects = Counting()
        blocks = blocks_of(1, 200)
        _, manifest, _ = await upload(Uploads(PackStore(objects), SEED), ALICE, "maps/roads", blocks)
        found = shares(["one", "two"], 200, group_of(200))
        objects.reads = objects.read_bytes = 0
        for share, _ in found.values():
            assert share
            seed = PackStore(objects)
            await seed.refresh()
            source = VersionSource(seed, manifest)
            wanted = [block.signature for index, block in enumerate(manifest.unique) if share >> index & 1]
            random.Random(3).shuffle(wanted)
            assert all(await asyncio.gather(*map(source.read, wanted)))
        assert objects.read_bytes == 200 * 300_001
        assert objects.reads <= 2 * -(-200 // group_of(200))

    asyncio.run(main())


def test_what_was_read_lies_on_disk_for_the_next_process_and_is_not_believed_blindly(tmp_path: Path) -> None:
    async def main() -> None:
        objects = Counting()
        blocks = blocks_of(1, 30)
        _, manifest, _ = await upload(Uploads(PackStore(objects), SEED), ALICE, "maps/roads", blocks)

        async def read_all() -> int:
            """By a seed that has just started; how many reads it took."""
            store = PackStore(objects)
            store.tiers = Tiers([MemoryStore(1 << 30), DiskStore(tmp_path / "blocks", 1 << 30)], writable=2)
            await store.refresh()
            source = VersionSource(store, manifest)
            before = objects.reads
            for block in blocks:
                encoded = await source.read(signature_of(block))
                assert encoded is not None
                assert open_block(encoded, signature_of(block)) == block
            return objects.reads - before

        assert await read_all() > 0
        assert await read_all() == 0
        damaged = next((tmp_path / "blocks").rglob(signature_of(blocks[4]).hex()))
        data = bytearray(damaged.read_bytes())
        data[100] ^= 1
        damaged.write_bytes(data)
        assert await read_all() == 1
        assert await read_all() == 0

    asyncio.run(main())
