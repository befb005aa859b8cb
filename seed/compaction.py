"""Merging index objects in the background, beside other seeds that do the same, and safe to be killed at any point.

The successor is written first and its predecessors are deleted then, so at every moment the indexes that are there say
all. Two seeds may merge the same ones at once: each looks, once its own successor is written, whether all predecessors
are still there; if not, another seed's successor says it all, and its own is taken back. Whoever deletes a predecessor
has written a successor that stays: so at least one does, and of two that do the next merging makes one again.

Of several places of a block a successor names one. So the look comes once it is written, as for whoever makes something
rest on a pack: what ``gc`` has condemned is not merged, and what it condemns later it finds named by the successor.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from seed.backfill import PackStore
from seed.merging import chosen, merged
from seed.packs import Index, decode_index
from seed.settle import look
from swarm.errors import AetherError, NotFoundError, RemoteProtocolError

# A merging that takes longer is given up. Shorter than any grace that packs are given.
MERGE_DEADLINE_S: Final = 300.0
# So often a seed looks for something to merge, at a moment of its own.
LOOK_EVERY_S: Final = 60.0
# And for the first time soon: a bucket that no seed has looked after may have many.
FIRST_LOOK_S: Final = 5.0
ROUNDS_MAX: Final = 64

log = logging.getLogger("aetherfs.seed")


class Compactor:
    """Merges the indexes of one store."""

    def __init__(self, packs: PackStore, rng: random.Random) -> None:
        self._packs = packs
        self._rng = rng

    async def run(self) -> None:
        """Look now and then until cancelled."""
        wait_s = FIRST_LOOK_S
        while True:
            await asyncio.sleep(wait_s * self._rng.uniform(0.5, 1.5))
            wait_s = LOOK_EVERY_S
            try:
                await self._packs.refresh()
                for _ in range(ROUNDS_MAX):
                    if not await self.once():
                        break
            except AetherError as error:
                log.warning("the indexes are not merged: %s", error)

    async def once(self) -> bool:
        """Merge some indexes, if there are enough. Whether there may be more to merge."""
        standing = await asyncio.to_thread(look, self._packs.objects)
        keys = chosen({key: size for key, size in self._packs.known.sizes().items() if key in standing.indexes})
        if not keys:
            return False
        began = time.monotonic()
        try:
            successor = await asyncio.to_thread(self._merged, keys)
        except NotFoundError:
            await self._packs.refresh()
            return True
        except RemoteProtocolError as error:
            log.error("an index cannot be read any more: %s", error)
            return False
        if time.monotonic() - began > MERGE_DEADLINE_S:
            return False
        mine = await self._packs.write(successor)
        if time.monotonic() - began > MERGE_DEADLINE_S or not await asyncio.to_thread(self._stands, successor, keys):
            await self._packs.remove([mine])
            await self._packs.refresh()
            return True
        await self._packs.remove(keys)
        return True

    def _merged(self, keys: list[str]) -> Index:
        return merged([decode_index(self._packs.objects.get(key)) for key in keys])

    def _stands(self, successor: Index, keys: list[str]) -> bool:
        """Whether the predecessors are there, and no pack is condemned that only the successor still names."""
        standing = look(self._packs.objects)
        return set(keys) <= standing.indexes and {pack for pack, _, _ in successor.packs} <= standing.packs
