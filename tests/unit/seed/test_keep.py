"""A version that a seed's own node publishes: straight into packs, all or nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

import pytest

from seed.backfill import INDEXES, PACKS, PackStore
from seed.packs import PACK_TARGET_BYTES, head_bytes
from seed.uploads import Uploads
from swarm.claims import LEASES
from swarm.encoding import encode_block, encode_raw, open_block
from swarm.errors import FullError, IncompleteError
from swarm.identity import PeerKey
from swarm.manifest import Manifest
from swarm.objects.memory import MemoryObjectStore
from swarm.peer.upload import ChangedWhileUploaded
from swarm.receipt import open_receipt
from swarm.signature import signature_of
from tests.datasets import manifest_of, seeded

SEED = PeerKey(b"s" * 32)


def laid_bytes(pack: bytes) -> int:
    """The encoded blocks in a pack."""
    return len(pack) - head_bytes(pack)


def dataset(size: int, name: str = "large") -> tuple[Manifest, dict[bytes, bytes]]:
    manifest, blocks = manifest_of({name: seeded("content", size), "small": b"few"})
    return manifest, {**blocks, manifest.version: manifest.root_bytes, **manifest.segments}


async def finish(
    uploads: Uploads,
    manifest: Manifest,
    encode: Callable[[bytes], bytes],
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[bytes, list[bytes], int]:
    """Keep a version of which nothing was taken before."""
    async with uploads.keeping("maps/roads") as keeping:
        kept = await keeping.finish(manifest, encode, progress)
    await keeping.done()
    return kept


async def take(uploads: Uploads, blocks: dict[bytes, bytes], ended: Exception | None = None) -> None:
    """Take blocks while the version is being read, which then ends."""
    async with uploads.keeping("maps/roads") as keeping:
        for signature, plain in blocks.items():
            await asyncio.to_thread(keeping.take, signature, encode_raw(plain))
        if ended is not None:
            raise ended


async def keep(uploads: Uploads, manifest: Manifest, blocks: dict[bytes, bytes]) -> tuple[bytes, list[bytes], int]:
    done: list[int] = []
    kept = await finish(uploads, manifest, lambda s: encode_block(blocks[s]), done.append)
    assert done == list(range(1, len(kept[1]) + 1))
    return kept


async def check_kept(objects: MemoryObjectStore, blocks: Mapping[bytes, bytes]) -> PackStore:
    """Whoever opens the store anew has these blocks: that one."""
    fresh = PackStore(objects)
    await fresh.refresh()
    for signature, plain in blocks.items():
        encoded = await fresh.get(signature)
        assert encoded is not None
        assert open_block(encoded, signature) == plain
    return fresh


def test_a_version_over_several_packs_is_read_back() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        manifest, blocks = dataset(PACK_TARGET_BYTES + 5_000_000)
        receipt, new, sent = await keep(Uploads(PackStore(objects), SEED), manifest, blocks)
        stated, sealer = open_receipt(receipt)
        assert (sealer, stated.publisher, stated.version) == (SEED.public, SEED.public, manifest.version)
        assert set(new) == set(blocks)
        assert len(objects.list(PACKS)) == 2
        assert sum(map(laid_bytes, map(objects.get, objects.list(PACKS)))) == sent
        assert objects.list(LEASES) == []
        fresh = await check_kept(objects, blocks)
        assert fresh.has_version("maps/roads", manifest.version)

    asyncio.run(main())


def test_only_what_no_pack_holds_is_written() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        uploads = Uploads(PackStore(objects), SEED)
        await keep(uploads, *dataset(3_000_000))
        renamed, blocks = dataset(3_000_000, "larger")
        _, new, _ = await keep(uploads, renamed, blocks)
        assert 0 < len(new) < 5
        assert not set(new) & {block.signature for block in renamed.unique[:-1]}
        assert (await keep(uploads, renamed, blocks))[1:] == ([], 0)
        assert len(objects.list(INDEXES)) == 2

    asyncio.run(main())


def test_a_directory_that_changes_meanwhile_leaves_no_version() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        packs = PackStore(objects)
        manifest, blocks = dataset(PACK_TARGET_BYTES + 5_000_000)
        gone = random.Random(1).choice([block.signature for block in manifest.unique[-10:]])

        def encode(signature: bytes) -> bytes:
            if signature == gone:
                raise ChangedWhileUploaded("it changes")
            return encode_block(blocks[signature])

        with pytest.raises(ChangedWhileUploaded):
            await finish(Uploads(packs, SEED), manifest, encode)
        assert (objects.list(INDEXES), objects.list(LEASES)) == ([], [])
        assert not any(packs.has(signature) for signature in blocks)

    asyncio.run(main())


class Full(MemoryObjectStore):
    def put(self, key: str, data: bytes) -> None:
        if key.startswith(PACKS):
            raise FullError("the store is full")
        super().put(key, data)


@pytest.mark.parametrize("size", [1_000_000, PACK_TARGET_BYTES + 5_000_000])
def test_a_full_store_is_told_and_nothing_counts(size: int) -> None:
    async def main() -> None:
        objects = Full()
        manifest, blocks = dataset(size)
        with pytest.raises(FullError):
            await finish(Uploads(PackStore(objects), SEED), manifest, lambda s: encode_block(blocks[s]))
        assert (objects.list(INDEXES), objects.list(LEASES)) == ([], [])

    asyncio.run(main())


# ---- blocks that come while the version is still being read ----------------------------------------------------------


def test_what_was_taken_early_is_not_asked_for_again() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        packs = PackStore(objects)
        manifest, blocks = dataset(PACK_TARGET_BYTES + 5_000_000)
        early = manifest.unique[:-3]
        late = [manifest.version, *manifest.segments, *(block.signature for block in manifest.unique[-3:])]
        asked: list[bytes] = []

        def encode(signature: bytes) -> bytes:
            asked.append(signature)
            return encode_block(blocks[signature])

        async with Uploads(packs, SEED).keeping("maps/roads") as keeping:
            for block in [*early, *early[:3]]:
                await asyncio.to_thread(keeping.take, block.signature, encode_raw(blocks[block.signature]))
            assert not packs.has(early[0].signature)
            assert objects.list(LEASES) != []
            _, new, sent = await keeping.finish(manifest, encode, lambda done: None)
        await keeping.done()
        assert sorted(asked) == sorted(late)
        assert set(new) == set(blocks)
        assert sum(map(laid_bytes, map(objects.get, objects.list(PACKS)))) == sent
        assert objects.list(LEASES) == []
        await check_kept(objects, blocks)

    asyncio.run(main())


def test_once_all_is_read_no_block_waits_for_its_pack_to_fill() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        packs = PackStore(objects)
        manifest, blocks = dataset(1_000_000)
        async with Uploads(packs, SEED).keeping("maps/roads") as keeping:
            for block in manifest.unique:
                keeping.take(block.signature, encode_raw(blocks[block.signature]))
            keeping.all_taken()
            await asyncio.to_thread(keeping.early.handed_over)
            assert len(objects.list(PACKS)) == 1
            await keeping.finish(manifest, lambda signature: encode_block(blocks[signature]), lambda done: None)
        await check_kept(objects, blocks)

    asyncio.run(main())


def test_what_was_taken_and_is_not_in_the_version_does_not_count() -> None:
    async def main() -> None:
        packs = PackStore(MemoryObjectStore())
        manifest, blocks = dataset(1_000_000)
        stray = seeded("stray", 100_000)
        async with Uploads(packs, SEED).keeping("maps/roads") as keeping:
            keeping.take(signature_of(stray), encode_raw(stray))
            _, new, _ = await keeping.finish(manifest, lambda s: encode_block(blocks[s]), lambda done: None)
        assert signature_of(stray) not in new
        assert not packs.has(signature_of(stray))
        assert all(packs.has(signature) for signature in blocks)

    asyncio.run(main())


def test_a_publish_that_ends_while_it_reads_leaves_nothing_that_counts() -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        packs = PackStore(objects)
        _, blocks = dataset(PACK_TARGET_BYTES + 5_000_000)
        with pytest.raises(IncompleteError):
            await take(Uploads(packs, SEED), blocks, IncompleteError("stopped"))
        assert (objects.list(INDEXES), objects.list(LEASES)) == ([], [])
        assert not any(packs.has(signature) for signature in blocks)

    asyncio.run(main())


def test_a_full_store_ends_the_reading() -> None:
    async def main() -> None:
        # Two packs are being written while a third fills.
        _, blocks = dataset(4 * PACK_TARGET_BYTES)
        with pytest.raises(FullError):
            await take(Uploads(PackStore(Full()), SEED), blocks)

    asyncio.run(main())
