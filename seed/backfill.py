"""Blocks in packs of an object store: what the indexes say of them, and reading them.

What is read lies in the seed's tiers afterwards, memory and disk, verified. A block that is not there is read together
with those that will be asked for with it (``extents``), once for all who ask meanwhile (single flight).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from seed.extents import Extent, extent_with
from seed.known import Known
from seed.packs import Index, Location, decode_index, encode_index
from seed.rereads import Rereads
from swarm.claims import keys_below
from swarm.encoding import Encoded, open_block
from swarm.errors import AetherError, FullError, NotFoundError, RemoteProtocolError
from swarm.limits import MIB
from swarm.manifest import Manifest
from swarm.objects import ObjectStore
from swarm.peer.shares import group_of
from swarm.store import Store
from swarm.store.memory import MemoryStore

DEFAULT_MEMORY_BYTES: Final = 128 * MIB
INDEXES: Final = "indexes/"
PACKS: Final = "packs/"
# Extents that are read at a time: the memory that reading takes.
READING: Final = 4
# Index objects that are read at a time.
LOADING: Final = 8
DAMAGED_MAX: Final = 4096
# What was listed may be merged and gone when it is read: then the list is read again, so often.
REFRESH_ROUNDS: Final = 8

log = logging.getLogger("aetherfs.seed")


class PackStore:
    """What the indexes say is ``known``. ``tiers`` keep what was read, until told otherwise in memory only."""

    def __init__(self, objects: ObjectStore, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self.objects = objects
        self.known = Known()
        self._refused: set[str] = set()
        self._refreshing = asyncio.Lock()
        self._begun = 0
        self.tiers: Store = MemoryStore(memory_bytes)
        self._reading: dict[tuple[str, int, int], asyncio.Task[dict[bytes, Encoded]]] = {}
        self._slots = asyncio.Semaphore(READING)
        self._rereads = Rereads()
        # Blocks that were wrong also when they were read again.
        self._damaged: OrderedDict[bytes, None] = OrderedDict()

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
        return list(keys_below(self.objects, prefix))

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

    async def get(self, signature: bytes, group: Sequence[bytes] = ()) -> Encoded | None:
        """The encoded block, verified; None if no pack holds it (any more). ``group``: what is read along with it.

        A pack that is gone may have been packed anew: then the indexes are looked at again, once.
        """
        kept = await asyncio.to_thread(self.tiers.get, signature)
        if kept is not None:
            return kept
        for is_last in (False, True):
            places = self._places(signature, group)
            if not places:
                return None
            extent = extent_with(signature, places)
            if signature in self._damaged and not self._may_reread(extent):
                return None
            try:
                return (await self._read_once(extent)).get(signature)
            except NotFoundError as error:
                log.log(logging.ERROR if is_last else logging.INFO, "pack %s is gone: %s", extent.pack, error)
            if not is_last:
                await self.refresh()
            self.known.forget_pack(extent.pack)
        return None

    def _places(self, signature: bytes, group: Sequence[bytes]) -> dict[bytes, Location]:
        """Where a block lies, and those of its group; empty if it lies nowhere."""
        place = self.known.find(signature)
        if place is None:
            return {}
        others = ((one, self.known.find(one)) for one in group if one != signature)
        return {signature: place} | {one: at for one, at in others if at is not None}

    async def _read_once(self, extent: Extent) -> dict[bytes, Encoded]:
        """The blocks of an extent, by one reading for all who ask while it lasts."""
        key = (extent.pack, extent.start, extent.length)
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._read(extent))
            task.add_done_callback(lambda done: self._read_done(key, done))
        return await asyncio.shield(task)

    async def _read(self, extent: Extent) -> dict[bytes, Encoded]:
        """The blocks of an extent. One that came damaged on the way is read again: see ``rereads``."""
        async with self._slots:
            found, damaged = await asyncio.to_thread(self._fetch, extent)
            if damaged:
                found, damaged = await self._read_again(extent, found, damaged)
        await asyncio.to_thread(self.keep, found)
        for signature in found:
            self._damaged.pop(signature, None)
        for signature in damaged:
            log.error("block %s cannot be read from pack %s: it lies damaged", signature.hex()[:16], extent.pack)
            self._damaged[signature] = None
            if len(self._damaged) > DAMAGED_MAX:
                self._damaged.popitem(last=False)
        return found

    async def _read_again(
        self, extent: Extent, found: dict[bytes, Encoded], damaged: list[bytes]
    ) -> tuple[dict[bytes, Encoded], list[bytes]]:
        while damaged and self._may_reread(extent):
            log.warning("pack %s came damaged, and is read again", extent.pack)
            again, damaged = await asyncio.to_thread(self._fetch, extent)
            found |= again
        damaged = [signature for signature in damaged if signature not in found]
        if not damaged:
            self._rereads.mended((extent.pack, extent.start))
        return found, damaged

    def _may_reread(self, extent: Extent) -> bool:
        return self._rereads.may((extent.pack, extent.start), asyncio.get_running_loop().time())

    def _fetch(self, extent: Extent) -> tuple[dict[bytes, Encoded], list[bytes]]:
        """Those blocks of an extent that are what they should be, and those that are not."""
        data = self.objects.get_range(PACKS + extent.pack, extent.start, extent.length)
        found: dict[bytes, Encoded] = {}
        damaged: list[bytes] = []
        for signature, encoded in extent.cut(data):
            try:
                open_block(encoded, signature)
                found[signature] = encoded
            except RemoteProtocolError:
                damaged.append(signature)
        return found, damaged

    def keep(self, found: Mapping[bytes, Encoded]) -> None:
        """Have verified blocks in the tiers."""
        try:
            for signature, encoded in found.items():
                self.tiers.put(signature, encoded)
        except FullError as error:
            log.warning("what was read is not kept: %s", error)

    def _read_done(self, key: tuple[str, int, int], task: asyncio.Task[dict[bytes, Encoded]]) -> None:
        del self._reading[key]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AetherError):
            log.error("reading a pack failed", exc_info=error)

    async def read(self, signature: bytes) -> Encoded | None:
        """The name under which a Holding reads."""
        return await self.get(signature)


FromOthers = Callable[[int, bytes], Awaitable["Encoded | None"]]


class VersionSource:
    """The blocks of one version out of packs, a group of neighbours at a time.

    ``from_others`` may give a block of the group of that number, which another seed reads. What is read is on the
    account that ``charge`` opens.
    """

    def __init__(
        self,
        packs: PackStore,
        manifest: Manifest,
        from_others: FromOthers | None = None,
        charge: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._charge = charge
        self._packs = packs
        self._manifest = manifest
        self._from_others = from_others
        self._group = group_of(len(manifest.unique))

    async def read(self, signature: bytes) -> Encoded | None:
        """An encoded block of the version."""
        index = self._manifest.index_of.get(signature)
        if index is None:
            return None
        kept = await asyncio.to_thread(self._packs.tiers.get, signature)
        if kept is not None:
            return kept
        if self._from_others is not None:
            given = await self._from_others(index // self._group, signature)
            if given is not None:
                await asyncio.to_thread(self._packs.keep, {signature: given})
                return given
        return await self.read_own(signature)

    async def read_own(self, signature: bytes) -> Encoded | None:
        """The same, whosever it is to read."""
        index = self._manifest.index_of.get(signature)
        if index is None:
            return None
        start = index // self._group * self._group
        group = [block.signature for block in self._manifest.unique[start : start + self._group]]
        with self._charge():
            return await self._packs.get(signature, group)
