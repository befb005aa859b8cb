"""Reading blocks back from packs: an extent at a time, once for all who ask, into the seed's memory.

An extent is an aligned stretch of EXTENT_BYTES of a pack. The first asker's read serves all others that come meanwhile
(single flight) and those that come soon after (a bounded cache of extents), so a rollout costs about one read per
extent.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from seed.known import Known
from seed.packs import Index, Location, decode_index, encode_index
from seed.rereads import Extent, Rereads
from swarm.encoding import open_block
from swarm.errors import AetherError, NotFoundError, RemoteProtocolError
from swarm.limits import MIB
from swarm.objects import ObjectStore

EXTENT_BYTES: Final = 8 * MIB
DEFAULT_MEMORY_BYTES: Final = 128 * MIB
INDEXES: Final = "indexes/"
PACKS: Final = "packs/"
# Index objects that are read at a time.
LOADING: Final = 8
# What was listed may be merged and gone when it is read: then the list is read again, so often.
REFRESH_ROUNDS: Final = 8

log = logging.getLogger("aetherfs.seed")


class PackStore:
    """Blocks in packs of an object store. What the indexes say of them is ``known``."""

    def __init__(self, objects: ObjectStore, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self.objects = objects
        self.known = Known()
        self._refused: set[str] = set()
        self._refreshing = asyncio.Lock()
        self._begun = 0
        self._extents: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._reading: dict[tuple[str, int], asyncio.Task[bytes]] = {}
        self._rereads = Rereads()
        self._memory_bytes = memory_bytes
        self._memory_used = 0

    # ---- indexes ------------------------------------------------------------------------------------------------

    async def refresh(self) -> None:
        """Read the indexes that came, also other seeds', and forget those that went. One that is damaged is passed
        over, and logged. Who asks while it is done waits for one that begins after that.
        """
        begun = self._begun
        async with self._refreshing:
            if self._begun > begun:
                return
            self._begun += 1
            try:
                await self._rounds()
            except BaseException:
                self._begun -= 1
                raise

    async def _rounds(self) -> None:
        for _ in range(REFRESH_ROUNDS):
            if await self._refreshed():
                return

    async def _refreshed(self) -> bool:
        """One round of it; False when an index went while it was read."""
        before = set(self.known.keys()) | self._refused
        listed = set(await asyncio.to_thread(self.listed, INDEXES))
        slots = asyncio.Semaphore(LOADING)
        found = await asyncio.gather(*(self._load(key, slots) for key in sorted(listed - before)))
        # Those that came are there before their predecessors go; what was written meanwhile is not in the list.
        for key in before - listed:
            self.known.forget(key)
            self._refused.discard(key)
        return all(found)

    def listed(self, prefix: str) -> list[str]:
        """All keys below a prefix. Blocking."""
        found: list[str] = []
        while keys := self.objects.list(prefix, after=found[-1] if found else ""):
            found += keys
        return found

    async def _load(self, key: str, slots: asyncio.Semaphore) -> bool:
        async with slots:
            try:
                index, size = await asyncio.to_thread(self._read_index, key)
            except NotFoundError:
                return False
            except RemoteProtocolError as error:
                log.error("index %s is not used: %s", key, error)
                self._refused.add(key)
                return True
        self.known.add(key, index, size)
        return True

    def _read_index(self, key: str) -> tuple[Index, int]:
        data = self.objects.get(key)
        return decode_index(data), len(data)

    async def write(self, index: Index) -> str:
        """Write an index object: the moment from which its blocks are kept. Its key."""
        key = INDEXES + secrets.token_hex(16)
        data = await asyncio.to_thread(encode_index, index)
        await asyncio.to_thread(self.objects.put, key, data)
        self.known.add(key, index, len(data))
        return key

    async def remove(self, keys: Iterable[str]) -> None:
        """Delete index objects whose successor is written."""
        for key in keys:
            await asyncio.to_thread(self.objects.delete, key)
            self.known.forget(key)

    # ---- blocks -------------------------------------------------------------------------------------------------

    def has(self, signature: bytes) -> bool:
        return self.known.has(signature)

    def has_version(self, dataset: str, version: bytes) -> bool:
        return self.known.has_version(dataset, version)

    async def get(self, signature: bytes) -> bytes | None:
        """The encoded block, verified; None if no pack holds it (any more).

        A pack that is gone may have been packed anew: then the indexes are looked at again, once.
        """
        place = self.known.find(signature)
        if place is None:
            return None
        try:
            return await self._read_block(signature, place)
        except NotFoundError as error:
            log.info("pack %s is gone (%s): looking where its blocks lie now", place.pack, error)
        await self.refresh()
        self.known.forget_pack(place.pack)
        place = self.known.find(signature)
        try:
            return await self._read_block(signature, place) if place is not None else None
        except NotFoundError as error:
            log.error("block %s is lost: %s", signature.hex()[:16], error)
            return None

    async def _read_block(self, signature: bytes, place: Location) -> bytes | None:
        """The encoded block, verified; None if it lies damaged. Extents that were damaged on the way are read again:
        see ``rereads``.
        """
        start, end = place.offset, place.offset + place.length
        extents = [(place.pack, number) for number in range(start // EXTENT_BYTES, (end - 1) // EXTENT_BYTES + 1)]
        is_again = False
        while True:
            read = [await self._extent(pack, number) for pack, number in extents]
            parts = zip((number * EXTENT_BYTES for _, number in extents), read, strict=True)
            encoded = b"".join(data[max(0, start - base) : end - base] for base, data in parts)
            try:
                await asyncio.to_thread(open_block, encoded, signature)
            except RemoteProtocolError as error:
                if not self._forget_damaged(dict(zip(extents, read, strict=True))):
                    log.error("block %s cannot be read from pack %s: %s", signature.hex()[:16], place.pack, error)
                    return None
                log.warning("pack %s came damaged, and is read again: %s", place.pack, error)
                is_again = True
                continue
            for extent in extents if is_again else ():
                self._rereads.mended(extent)
            return encoded

    def _forget_damaged(self, read: Mapping[Extent, bytes]) -> bool:
        """Let go of extents that gave a wrong block; whether they may be read again. What others have read again
        meanwhile stays.
        """
        now = asyncio.get_running_loop().time()
        same = [extent for extent, data in read.items() if self._extents.get(extent, data) is data]
        may = all(self._rereads.may(extent, now) for extent in same)
        for extent in same if may else ():
            self._memory_used -= len(self._extents.pop(extent, b""))
        return may

    async def _extent(self, pack: str, number: int) -> bytes:
        key = (pack, number)
        kept = self._extents.get(key)
        if kept is not None:
            self._extents.move_to_end(key)
            return kept
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(pack, number))
            task.add_done_callback(lambda done: self._read_done(key, done))
        return await asyncio.shield(task)

    async def _read(self, pack: str, number: int) -> bytes:
        return await asyncio.to_thread(self.objects.get_range, PACKS + pack, number * EXTENT_BYTES, EXTENT_BYTES)

    def _read_done(self, key: tuple[str, int], task: asyncio.Task[bytes]) -> None:
        del self._reading[key]
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            if not isinstance(error, AetherError):
                log.error("reading a pack failed", exc_info=error)
            return
        self._extents[key] = task.result()
        self._memory_used += len(task.result())
        while self._memory_used > self._memory_bytes and len(self._extents) > 1:
            self._memory_used -= len(self._extents.popitem(last=False)[1])

    async def read(self, signature: bytes) -> bytes | None:
        """The name under which a Holding reads."""
        return await self.get(signature)
