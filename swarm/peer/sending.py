"""Sending blocks to a seed while the rest of a directory is still being read.

The thread that reads hands each block over as it is cut and waits when too much is under way. Blocks go in batches: ask
which the seed lacks, compress these, send them. It is a head start and nothing more: when the seed fails nothing is
sent any more, and ``upload`` then brings what is missing, there or to another seed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from swarm.encoding import Encoded, smaller
from swarm.errors import AetherError
from swarm.peer.upload import AT_ONCE, BATCH_BYTES, BATCH_MAX_BLOCKS, SeedClient

# Batches that wait to be sent.
WAITING: Final = 2

log = logging.getLogger("aetherfs.publish")

Blocks = list[tuple[bytes, Encoded]]


class Sending:
    """One publish's head start. ``take`` and ``all_taken`` are for the thread that reads; the rest is for the loop.

    ``seed`` gives a seed to send to; it is asked when there is something to send.
    """

    def __init__(self, dataset: str, seed: Callable[[], Awaitable[SeedClient | None]]) -> None:
        self.sent: dict[bytes, int] = {}
        self.client: SeedClient | None = None
        self.session = ""
        # Who gave the receipt, in which session.
        self.kept_by: tuple[SeedClient, str] | None = None
        self._dataset = dataset
        self._seed = seed
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Blocks | None] = asyncio.Queue(WAITING)
        self._opening = asyncio.Lock()
        self._taken: set[bytes] = set()
        self._batch: Blocks = []
        self._batch_bytes = 0
        self._has_failed = False
        self._defect: Exception | None = None
        self._tasks = [asyncio.create_task(self._send_all()) for _ in range(AT_ONCE)]

    # ---- in the thread that reads -------------------------------------------------------------------------------

    def take(self, signature: bytes, raw: Encoded) -> None:
        """A block, raw encoded. Waits while much is under way."""
        if self._has_failed or signature in self._taken:
            return
        self._taken.add(signature)
        self._batch.append((signature, raw))
        self._batch_bytes += len(raw)
        if self._batch_bytes >= BATCH_BYTES or len(self._batch) >= BATCH_MAX_BLOCKS:
            self.all_taken()

    def all_taken(self) -> None:
        """Nothing is taken for a while: send what there is."""
        if self._batch:
            batch, self._batch, self._batch_bytes = self._batch, [], 0
            asyncio.run_coroutine_threadsafe(self._queue.put(batch), self._loop).result()

    # ---- on the loop --------------------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Wait until all that was taken is with the seed, or given up."""
        for _ in self._tasks:
            await self._queue.put(None)
        await asyncio.gather(*self._tasks)
        if self._defect is not None:
            raise self._defect

    async def done(self) -> None:
        """The log names the version."""
        if self.kept_by is not None:
            client, session = self.kept_by
            await client.done(session)

    async def close(self) -> None:
        """End it, whatever is under way. The thread no longer waits."""
        self._has_failed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while not self._queue.empty():
            self._queue.get_nowait()

    async def _send_all(self) -> None:
        while (batch := await self._queue.get()) is not None:
            if self._has_failed:
                continue
            try:
                await self._send(batch)
            except AetherError as error:
                self._has_failed = True
                log.info("blocks are not sent ahead: %s", error)
            except Exception as error:  # told by ``finish``: the thread that reads must not wait for ever
                self._has_failed = True
                self._defect = error

    async def _send(self, batch: Blocks) -> None:
        client = await self._open()
        if client is None:
            self._has_failed = True
            return
        missing = set(await client.missing(self._dataset, self.session, [signature for signature, _ in batch]))
        lacking = [(signature, raw) for signature, raw in batch if signature in missing]
        if lacking:
            encoded = await asyncio.to_thread(lambda: [(signature, smaller(raw)) for signature, raw in lacking])
            await client.bring(self.session, encoded)
            self.sent.update((signature, len(data)) for signature, data in encoded)

    async def _open(self) -> SeedClient | None:
        async with self._opening:
            if self.client is None:
                client = await self._seed()
                if client is not None:
                    self.session = await client.begin(self._dataset)
                self.client = client
            return self.client

    @property
    def is_usable(self) -> bool:
        """Whether the session goes on."""
        return self.client is not None and not self._has_failed
