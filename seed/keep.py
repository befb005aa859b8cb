"""Keeping a version for good: its blocks into packs, then the index that makes them count.

A pack is written while the next one fills. What was written before a failure is garbage, as no index names it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Final

from seed.backfill import INDEXES, PACKS, PackStore
from seed.packs import Index, Location, PackBuilder

# Blocks that are encoded in one go in a thread, and how many such goes are under way.
BATCH: Final = 8
AHEAD: Final = 3


class PackWriter:
    """Lays blocks into new packs of a store. ``finish`` or ``abandon`` ends it."""

    def __init__(self, packs: PackStore) -> None:
        self._store = packs
        self._builder = PackBuilder()
        self._packs: list[str] = []
        self._locations: list[Location] = []
        self._writing: asyncio.Task[list[Location]] | None = None

    async def add(self, signature: bytes, encoded: bytes) -> None:
        """Take a block that no pack holds. FullError and others when a pack cannot be written."""
        self._builder.add(signature, encoded)
        if self._builder.is_full:
            await self._flush()

    async def _flush(self) -> None:
        await self._written()
        pack = secrets.token_hex(16)
        full, self._builder = self._builder, PackBuilder()
        self._writing = asyncio.create_task(asyncio.to_thread(self._write, pack, full, len(self._packs)))
        self._packs.append(pack)

    def _write(self, pack: str, full: PackBuilder, number: int) -> list[Location]:
        data, locations = full.finish(number)
        self._store.objects.put(PACKS + pack, data)
        return locations

    async def _written(self) -> None:
        if self._writing is not None:
            self._locations += await self._writing
            self._writing = None

    async def finish(self, dataset: str, version: bytes, blocks: Iterable[bytes]) -> None:
        """Write what is left and the index of a version that consists of ``blocks``: from then on it is kept."""
        if self._builder.size_bytes:
            await self._flush()
        await self._written()
        index = Index(1, dataset, version, tuple(self._packs), tuple(self._locations), tuple(dict.fromkeys(blocks)))
        await self._store.write(INDEXES + secrets.token_hex(16), index)

    async def abandon(self) -> None:
        """Wait for what is under way, whatever comes of it."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)


async def encoded_in_threads(
    signatures: Sequence[bytes], encode: Callable[[bytes], bytes]
) -> AsyncGenerator[tuple[bytes, bytes], None]:
    """Each of the blocks with its encoded bytes, in order, made some at a time and some ahead."""
    batches = (signatures[start : start + BATCH] for start in range(0, len(signatures), BATCH))
    under_way: deque[asyncio.Task[list[tuple[bytes, bytes]]]] = deque()
    try:
        for batch in batches:
            under_way.append(asyncio.create_task(asyncio.to_thread(_encoded, batch, encode)))
            if len(under_way) == AHEAD:
                for made in await under_way.popleft():
                    yield made
        while under_way:
            for made in await under_way.popleft():
                yield made
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


def _encoded(signatures: Sequence[bytes], encode: Callable[[bytes], bytes]) -> list[tuple[bytes, bytes]]:
    return [(signature, encode(signature)) for signature in signatures]
