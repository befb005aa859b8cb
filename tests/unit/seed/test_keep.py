"""A version that a seed's own node publishes: straight into packs, all or nothing."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from seed.backfill import INDEXES, PACKS, PackStore
from seed.packs import PACK_TARGET_BYTES
from seed.uploads import LEASES, Uploads
from swarm.encoding import encode_block, open_block
from swarm.errors import FullError
from swarm.identity import PeerKey
from swarm.manifest import Manifest
from swarm.objects.memory import MemoryObjectStore
from swarm.peer.upload import ChangedWhileUploaded
from swarm.receipt import open_receipt
from tests.datasets import manifest_of, seeded

SEED = PeerKey(b"s" * 32)


def dataset(size: int, name: str = "large") -> tuple[Manifest, dict[bytes, bytes]]:
    manifest, blocks = manifest_of({name: seeded("content", size), "small": b"few"})
    return manifest, {**blocks, manifest.version: manifest.root_bytes, **manifest.segments}


async def keep(uploads: Uploads, manifest: Manifest, blocks: dict[bytes, bytes]) -> tuple[bytes, list[bytes], int]:
    done: list[int] = []
    kept = await uploads.keep_own("maps/roads", manifest, lambda s: encode_block(blocks[s]), done.append)
    assert done == list(range(1, len(kept[1]) + 1))
    return kept


def test_a_version_over_several_packs_is_read_back(tmp_path: Path) -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        manifest, blocks = dataset(PACK_TARGET_BYTES + 5_000_000)
        receipt, new, sent = await keep(Uploads(PackStore(objects), SEED, tmp_path), manifest, blocks)
        stated, sealer = open_receipt(receipt)
        assert (sealer, stated.publisher, stated.version) == (SEED.public, SEED.public, manifest.version)
        assert set(new) == set(blocks)
        assert len(objects.list(PACKS)) == 2
        assert sum(len(objects.get(key)) for key in objects.list(PACKS)) == sent
        assert objects.list(LEASES) == []
        fresh = PackStore(objects)
        await fresh.refresh()
        assert fresh.has_version("maps/roads", manifest.version)
        for signature, plain in blocks.items():
            encoded = await fresh.get(signature)
            assert encoded is not None
            assert open_block(encoded, signature) == plain

    asyncio.run(main())


def test_only_what_no_pack_holds_is_written(tmp_path: Path) -> None:
    async def main() -> None:
        objects = MemoryObjectStore()
        uploads = Uploads(PackStore(objects), SEED, tmp_path)
        await keep(uploads, *dataset(3_000_000))
        renamed, blocks = dataset(3_000_000, "larger")
        _, new, _ = await keep(uploads, renamed, blocks)
        assert 0 < len(new) < 5
        assert not set(new) & {block.signature for block in renamed.unique[:-1]}
        assert (await keep(uploads, renamed, blocks))[1:] == ([], 0)
        assert len(objects.list(INDEXES)) == 2

    asyncio.run(main())


def test_a_directory_that_changes_meanwhile_leaves_no_version(tmp_path: Path) -> None:
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
            await Uploads(packs, SEED, tmp_path).keep_own("maps/roads", manifest, encode, lambda done: None)
        assert (objects.list(INDEXES), objects.list(LEASES)) == ([], [])
        assert not any(packs.has(signature) for signature in blocks)

    asyncio.run(main())


class Full(MemoryObjectStore):
    def put(self, key: str, data: bytes) -> None:
        if key.startswith(PACKS):
            raise FullError("the store is full")
        super().put(key, data)


@pytest.mark.parametrize("size", [1_000_000, PACK_TARGET_BYTES + 5_000_000])
def test_a_full_store_is_told_and_nothing_counts(tmp_path: Path, size: int) -> None:
    async def main() -> None:
        objects = Full()
        manifest, blocks = dataset(size)
        with pytest.raises(FullError):
            await Uploads(PackStore(objects), SEED, tmp_path).keep_own(
                "maps/roads", manifest, lambda s: encode_block(blocks[s]), lambda done: None
            )
        assert (objects.list(INDEXES), objects.list(LEASES)) == ([], [])

    asyncio.run(main())
