"""A version that this very node publishes: its blocks go straight into packs, while the rest is still being read."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from typing import Final

from seed.backfill import PackStore
from seed.shelf import Shelf
from swarm.encoding import smaller
from swarm.objects.threads import Threads

# Blocks that are encoded in one go in a thread, and how many such goes are under way.
BATCH: Final = 8
AHEAD: Final = 3
# Blocks that wait to be encoded and laid into packs while their version is read: at most so many MiB.
LAID_AHEAD: Final = 32
ENCODING_THREADS: Final = 2


class EarlyPacks:
    """Lays blocks on a shelf while their version is still being read, in threads of its own.

    ``take`` is for one thread. ``handed_over`` ends it, or ``close``.
    """

    def __init__(self, packs: PackStore, shelf: Shelf) -> None:
        self.shelf = shelf
        self._store = packs
        self._taken: set[bytes] = set()
        self._threads = Threads(ENCODING_THREADS, "encoding")
        self._under_way: deque[Future[None]] = deque()
        self._lock = threading.Lock()
        # The encoded bytes of each block that was laid out.
        self.laid: dict[bytes, int] = {}

    def take(self, signature: bytes, raw: bytes) -> None:
        """Take a verified block, raw encoded. Waits while many are under way; raises what befell an earlier one."""
        if signature in self._taken or self._store.has(signature) or self.shelf.has(signature):
            return
        self._taken.add(signature)
        if len(self._under_way) >= LAID_AHEAD:
            self._under_way.popleft().result()
        self._under_way.append(self._threads.submit(self._lay, signature, raw))

    def all_taken(self) -> None:
        """Nothing is taken for a while: what was is written meanwhile."""
        waited_for = list(self._under_way)
        self._under_way.append(self._threads.submit(self._end_pack, waited_for))

    def _end_pack(self, waited_for: Sequence[Future[None]]) -> None:
        for one in waited_for:
            one.result()
        self.shelf.end_pack()

    def _lay(self, signature: bytes, raw: bytes) -> None:
        encoded = bytes(smaller(raw))
        self.shelf.add([(signature, encoded)])
        with self._lock:
            self.laid[signature] = len(encoded)

    def handed_over(self) -> None:
        """Wait until all that was taken is laid out. Blocking; raises what befell one."""
        while self._under_way:
            self._under_way.popleft().result()

    def close(self) -> None:
        """Give up what still waits, and wait for what is being laid out. Blocking."""
        self._threads.shutdown(cancel_futures=True)


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
