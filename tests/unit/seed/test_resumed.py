"""Publishes that are interrupted, and seeds that are killed: what lies in full packs is not sent again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator

import pytest

from seed.backfill import INDEXES, PACKS, PackStore
from seed.shelf import Room
from seed.uploads import Uploads
from swarm.claims import LEASES
from swarm.encoding import encode_block, open_block
from swarm.errors import FullError, IntegrityError, NotFoundError
from swarm.manifest import Manifest
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.receipt import open_receipt
from swarm.signature import signature_of
from tests.unit.seed.stopping import Killed, Stopping
from tests.unit.seed.test_packs import ALICE, MALLORY, SEED, blocks_of, manifest_of

BLOCK_BYTES = 70_000
PACK_BYTES = 7 * BLOCK_BYTES
DATASET = "maps/roads"


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seed.packs.PACK_TARGET_BYTES", PACK_BYTES)


def everything(blocks: list[bytes]) -> tuple[Manifest, dict[bytes, bytes]]:
    manifest = manifest_of(blocks)
    return manifest, {signature_of(block): block for block in blocks} | dict(manifest.segments)


def may_read(dataset: str) -> bool:
    return dataset == DATASET


async def opened(objects: ObjectStore) -> Uploads:
    """A seed that has just started."""
    packs = PackStore(objects)
    await packs.refresh()
    return Uploads(packs, SEED)


async def publish(uploads: Uploads, blocks: list[bytes], brought: list[bytes]) -> tuple[bytes, Manifest]:
    """Bring what is missing, block by block, and commit: the receipt. ``brought`` is told of each."""
    manifest, data = everything(blocks)
    session = uploads.session(await uploads.begin(DATASET, ALICE.public), ALICE.public)
    for signature in await uploads.missing(session, data, may_read):
        await uploads.bring(session, [(signature, encode_block(data[signature]))])
        brought.append(signature)
    return await uploads.commit(session, manifest.root_bytes, may_read), manifest


def packed_signatures(objects: MemoryObjectStore) -> int:
    """Blocks in all packs, also those that lie in two."""
    total = sum(len(objects.get(key)) for key in objects.list(PACKS))
    return total // BLOCK_BYTES


def test_another_seed_goes_on_behind_the_full_packs() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        blocks = blocks_of(1, 40, BLOCK_BYTES)
        first = await opened(objects)
        session = first.session(await first.begin(DATASET, ALICE.public), ALICE.public)
        for block in blocks[:33]:
            await first.bring(session, [(signature_of(block), encode_block(block))])
        await first.close()
        lying = len(objects.list(PACKS)) * 7
        assert 21 <= lying <= 28
        # The first one is never heard of again.
        second = await opened(objects)
        brought: list[bytes] = []
        receipt, manifest = await publish(second, blocks, brought)
        assert open_receipt(receipt)[0].version == manifest.version
        assert len(brought) == 40 - lying + len(manifest.segments)
        await readable(objects, blocks)

    asyncio.run(main())


def test_what_another_publisher_or_dataset_left_is_not_taken_up() -> None:
    """Its packs prove nothing of who brings the same."""

    async def main() -> None:
        objects = MemoryObjectStore()
        blocks = blocks_of(1, 20, BLOCK_BYTES)
        first = await opened(objects)
        for publisher, dataset in ((ALICE, "maps/rails"), (MALLORY, DATASET)):
            session = first.session(await first.begin(dataset, publisher.public), publisher.public)
            for block in blocks:
                await first.bring(session, [(signature_of(block), encode_block(block))])
        await first.close()
        second = await opened(objects)
        session = second.session(await second.begin(DATASET, ALICE.public), ALICE.public)
        wanted = [signature_of(block) for block in blocks]
        assert await second.missing(session, wanted, may_read) == wanted

    asyncio.run(main())


def test_a_pack_whose_head_is_damaged_is_not_taken_up() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        blocks = blocks_of(1, 20, BLOCK_BYTES)
        first = await opened(objects)
        session = first.session(await first.begin(DATASET, ALICE.public), ALICE.public)
        for block in blocks:
            await first.bring(session, [(signature_of(block), encode_block(block))])
        await first.close()
        for key in objects.list(PACKS):
            data = bytearray(objects.get(key))
            data[60] ^= 1
            objects.put(key, bytes(data))
        brought: list[bytes] = []
        _, manifest = await publish(await opened(objects), blocks, brought)
        assert len(brought) == 20 + len(manifest.segments)
        await readable(objects, blocks)

    asyncio.run(main())


async def readable(objects: ObjectStore, blocks: list[bytes]) -> None:
    fresh = PackStore(objects)
    await fresh.refresh()
    for block in blocks:
        encoded = await fresh.get(signature_of(block))
        assert encoded is not None
        assert open_block(encoded, signature_of(block)) == block


@pytest.mark.parametrize("is_made", [False, True])
def test_a_seed_that_is_killed_at_any_call_loses_nothing_that_it_gave_a_receipt_for(is_made: bool) -> None:
    async def main() -> None:
        blocks = blocks_of(1, 20, BLOCK_BYTES)
        manifest, _ = everything(blocks)
        for last in range(1, 100):
            objects = MemoryObjectStore()
            receipt: bytes | None = None
            uploads = await opened(Stopping(objects, last + 1, is_made=is_made))
            brought: list[bytes] = []
            with contextlib.suppress(Killed):
                receipt, _ = await publish(uploads, blocks, brought)
            await uploads.close()
            if receipt is not None:
                await readable(objects, blocks)
            packs_before = len(objects.list(PACKS))
            again: list[bytes] = []
            second = await opened(objects)
            await publish(second, blocks, again)
            await readable(objects, blocks)
            fresh = PackStore(objects)
            await fresh.refresh()
            assert fresh.has_version(DATASET, manifest.version)
            # Of each full pack that is there nothing was sent again, and no other pack was written for it.
            assert len(again) <= len(set(brought)) + 20 + len(manifest.segments) - 6 * min(packs_before, 3)
            assert packed_signatures(objects) <= 20 + 1
            if receipt is not None:
                assert again == []
                break
        assert last > 6

    asyncio.run(main())


class Slow(MemoryObjectStore):
    """Packs are written when they may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = threading.Event()

    def put(self, key: str, data: bytes) -> None:
        if key.startswith(PACKS):
            assert self.may_write.wait(30)
        super().put(key, data)


def test_packs_are_written_while_more_comes_and_no_more_is_taken_than_there_is_room_for() -> None:
    async def main() -> None:
        objects = Slow()
        packs = PackStore(objects)
        uploads = Uploads(packs, SEED, Room(3 * PACK_BYTES, deadline_s=0.2))
        session = uploads.session(await uploads.begin(DATASET, ALICE.public), ALICE.public)
        taken = 0

        async def bring_for_ever() -> None:
            nonlocal taken
            for block in many_blocks():
                await uploads.bring(session, [(signature_of(block), encode_block(block))])
                taken += 1

        with pytest.raises(FullError, match="as much as it can hold"):
            await bring_for_ever()
        assert 2 * PACK_BYTES <= taken * BLOCK_BYTES <= 3 * PACK_BYTES
        objects.may_write.set()
        # There is room again, and what was taken is there.
        blocks = [block for _, block in zip(range(taken + 30), many_blocks(), strict=False)]
        brought: list[bytes] = []
        await publish(uploads, blocks, brought)
        assert len(brought) <= 30 + 3
        await readable(objects, blocks)

    asyncio.run(main())


def many_blocks() -> Iterator[bytes]:
    rng = random.Random(3)
    while True:
        yield rng.randbytes(BLOCK_BYTES)


class Refusing(MemoryObjectStore):
    """Takes no packs for a while."""

    is_full = True

    def put(self, key: str, data: bytes) -> None:
        if self.is_full and key.startswith(PACKS):
            raise FullError("the store is full")
        super().put(key, data)


def test_what_a_full_store_refused_takes_no_room_for_good() -> None:
    async def main() -> None:
        objects = Refusing()
        uploads = Uploads(PackStore(objects), SEED, Room(3 * PACK_BYTES, deadline_s=1))
        blocks = blocks_of(1, 40, BLOCK_BYTES)
        together = [(signature_of(block), encode_block(block)) for block in blocks[:17]]
        for _ in range(10):
            session = uploads.session(await uploads.begin(DATASET, ALICE.public), ALICE.public)
            await uploads.bring(session, together)
            await uploads._close(session)
        objects.is_full = False
        await publish(uploads, blocks, [])
        await readable(objects, blocks)

    asyncio.run(main())


def test_many_publishers_share_the_room_and_all_get_on() -> None:
    """None has filled a pack when there is no more room: those with the most write what they have."""

    async def main() -> None:
        objects = MemoryObjectStore()
        uploads = Uploads(PackStore(objects), SEED, Room(2 * PACK_BYTES, deadline_s=20))

        async def one(number: int) -> None:
            dataset = f"maps/{number}"
            session = uploads.session(await uploads.begin(dataset, ALICE.public), ALICE.public)
            blocks = blocks_of(number, 5, BLOCK_BYTES)
            manifest, data = everything(blocks)
            for signature, plain in data.items():
                await uploads.bring(session, [(signature, encode_block(plain))])
            await asyncio.sleep(0)
            await uploads.commit(session, manifest.root_bytes, lambda name: name == dataset)
            await uploads.done(session.id)

        await asyncio.gather(*(one(number) for number in range(12)))
        assert len(objects.list(INDEXES)) == 12
        assert objects.list(LEASES) == []

    asyncio.run(main())


def test_the_same_blocks_at_once_are_laid_out_once() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        uploads = await opened(objects)
        blocks = blocks_of(1, 20, BLOCK_BYTES)
        await asyncio.gather(*(publish(uploads, blocks, []) for _ in range(4)))
        assert packed_signatures(objects) <= 20 + 1
        await readable(objects, blocks)

    asyncio.run(main())


def test_nothing_is_taken_that_is_not_what_it_says_and_no_session_is_a_stranger_s() -> None:
    async def main() -> None:
        uploads = await opened(MemoryObjectStore())
        session = uploads.session(await uploads.begin(DATASET, ALICE.public), ALICE.public)
        block = blocks_of(1, 1, BLOCK_BYTES)[0]
        with pytest.raises(IntegrityError):
            await uploads.bring(session, [(signature_of(block), encode_block(block)), (bytes(32), b"\0x")])
        assert await uploads.missing(session, [signature_of(block), bytes(32)], may_read) == [
            signature_of(block),
            bytes(32),
        ]
        with pytest.raises(NotFoundError):
            uploads.session(session.id, MALLORY.public)

    asyncio.run(main())
