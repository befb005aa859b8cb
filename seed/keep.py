"""Keeping a version for good: its blocks into packs, then the index that makes them count.

A pack is written while the next one fills. What was written before a failure is garbage, as no index names it. Blocks
of a version that this very node reads are laid into packs while it still reads on.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Final

from seed import table
from seed.backfill import PACKS, PackStore
from seed.packs import Kept, Location, PackBuilder, make_index
from swarm.encoding import smaller
from swarm.objects.threads import Threads

# Blocks that are encoded in one go in a thread, and how many such goes are under way.
BATCH: Final = 8
AHEAD: Final = 3
# Blocks that wait to be laid into packs while their version is read: at most so many MiB, or a few packs' writing.
LAID_AHEAD: Final = 32


class PackWriter:
    """Lays blocks into new packs of a store. ``finish`` or ``abandon`` ends it."""

    def __init__(self, packs: PackStore) -> None:
        self._store = packs
        self._builder = PackBuilder()
        self._packs: dict[str, int] = {}
        self._places: dict[bytes, Location] = {}
        self._writing: asyncio.Task[None] | None = None

    async def add(self, signature: bytes, encoded: bytes) -> None:
        """Take a block that no pack holds. FullError and others when a pack cannot be written."""
        self._builder.add(signature, encoded)
        if self._builder.is_full:
            await self._flush()

    def add_now(self, signature: bytes, encoded: bytes) -> None:
        """As ``add``, blocking, and not beside it."""
        self._builder.add(signature, encoded)
        if self._builder.is_full:
            self._write(self._next())

    def end_pack_now(self) -> None:
        """Write what there is, blocking. What comes after goes into another pack."""
        if self._builder.size_bytes:
            self._write(self._next())

    async def _flush(self) -> None:
        await self._written()
        self._writing = asyncio.create_task(asyncio.to_thread(self._write, self._next()))

    def _next(self) -> PackBuilder:
        """The blocks of the pack that is to be written; another one begins."""
        full, self._builder = self._builder, PackBuilder()
        return full

    def _write(self, full: PackBuilder) -> None:
        pack = secrets.token_hex(16)
        data, places = full.finish(pack)
        self._store.objects.put(PACKS + pack, data)
        self._packs[pack] = len(data)
        self._places |= places

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def finish(self, dataset: str, version: bytes, blocks: Iterable[bytes]) -> None:
        """Write what is left and the index of a version that consists of ``blocks``: from then on it is kept."""
        if self._builder.size_bytes:
            await self._flush()
        await self._written()
        needed = set(blocks)
        # What was laid out and is not in the version after all is left to lie there.
        places = {signature: place for signature, place in self._places.items() if signature in needed}
        wall_now = int(time.time())
        kept = Kept(dataset, version, wall_now, table.packed(needed))
        await self._store.write(make_index(self._store.known.next_wall_time(wall_now), self._packs, places, [kept]))

    async def abandon(self) -> None:
        """Wait for what is under way, whatever comes of it."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)


class EarlyPacks:
    """Lays blocks into packs while their version is still being read, in a thread of its own.

    ``take`` is for one thread. ``handed_over`` ends it, or ``close``.
    """

    def __init__(self, packs: PackStore) -> None:
        self._store = packs
        self._writer = PackWriter(packs)
        self._taken: set[bytes] = set()
        self._thread = Threads(1, "packs")
        self._under_way: deque[Future[None]] = deque()
        # The encoded bytes of each block that was laid out.
        self.laid: dict[bytes, int] = {}

    def take(self, signature: bytes, raw: bytes) -> None:
        """Take a verified block, raw encoded. Waits while many are under way; raises what befell an earlier one."""
        if signature in self._taken or self._store.has(signature):
            return
        self._taken.add(signature)
        if len(self._under_way) >= LAID_AHEAD:
            self._under_way.popleft().result()
        self._under_way.append(self._thread.submit(self._lay, signature, raw))

    def all_taken(self) -> None:
        """Nothing is taken for a while: what was is written meanwhile."""
        self._under_way.append(self._thread.submit(self._writer.end_pack_now))

    def _lay(self, signature: bytes, raw: bytes) -> None:
        encoded = bytes(smaller(raw))
        self._writer.add_now(signature, encoded)
        self.laid[signature] = len(encoded)

    def handed_over(self) -> PackWriter:
        """The writer with all that was taken. Blocking; raises what befell one."""
        while self._under_way:
            self._under_way.popleft().result()
        return self._writer

    def close(self) -> None:
        """Give up what still waits, and wait for what is being written. Blocking."""
        self._thread.shutdown(cancel_futures=True)


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
