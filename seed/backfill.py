"""Reading blocks back from packs: an extent at a time, once for all who ask, into the seed's memory.

An extent is an aligned stretch of EXTENT_BYTES of a pack. The first asker's read serves all others that come meanwhile
(single flight) and those that come soon after (a bounded cache of extents), so a rollout costs about one read per
extent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from seed.packs import Index, Location, decode_index, encode_index
from swarm.encoding import open_block
from swarm.errors import AetherError, NotFoundError, RemoteProtocolError
from swarm.limits import MIB
from swarm.objects import ObjectStore

EXTENT_BYTES: Final = 8 * MIB
DEFAULT_MEMORY_BYTES: Final = 128 * MIB
INDEXES: Final = "indexes/"
PACKS: Final = "packs/"

log = logging.getLogger("aetherfs.seed")


@dataclass(frozen=True, slots=True)
class _Place:
    pack: str
    offset: int
    length: int


class PackStore:
    """Blocks in packs of an object store, and which versions of which datasets they make up."""

    def __init__(self, objects: ObjectStore, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self.objects = objects
        self._places: dict[bytes, _Place] = {}
        self._datasets: dict[bytes, frozenset[str]] = {}
        self._versions: dict[tuple[str, bytes], frozenset[bytes]] = {}
        self._indexes: set[str] = set()
        self._extents: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._reading: dict[tuple[str, int], asyncio.Task[bytes]] = {}
        self._memory_bytes = memory_bytes
        self._memory_used = 0

    async def refresh(self) -> None:
        """Read the index objects that are not known yet, also other seeds'. One that is damaged is passed over, and
        logged.
        """
        after = ""
        while keys := await asyncio.to_thread(self.objects.list, INDEXES, after=after):
            after = keys[-1]
            for key in keys:
                if key not in self._indexes:
                    await self._load(key)

    async def _load(self, key: str) -> None:
        try:
            index = decode_index(await asyncio.to_thread(self.objects.get, key))
        except (NotFoundError, RemoteProtocolError) as error:
            log.error("index %s is not used: %s", key, error)
            return
        self.add(key, index)

    def add(self, key: str, index: Index) -> None:
        """Take an index into account."""
        self._indexes.add(key)
        for location in index.locations:
            pack = index.packs[location.pack]
            self._places.setdefault(location.signature, _Place(pack, location.offset, location.length))
        self._versions[index.dataset, index.version] = frozenset(index.version_blocks)
        alone = frozenset([index.dataset])
        for signature in index.version_blocks:
            known = self._datasets.get(signature)
            if known is None:
                self._datasets[signature] = alone
            elif index.dataset not in known:
                self._datasets[signature] = known | alone

    async def write(self, key: str, index: Index) -> None:
        """Write an index object: the moment from which its blocks are kept."""
        await asyncio.to_thread(self.objects.put, key, encode_index(index))
        self.add(key, index)

    def has(self, signature: bytes) -> bool:
        return signature in self._places

    def has_version(self, dataset: str, version: bytes) -> bool:
        return (dataset, version) in self._versions

    def datasets_of(self, signature: bytes) -> frozenset[str]:
        """The datasets with a version that the block is part of."""
        return self._datasets.get(signature, frozenset()) if signature in self._places else frozenset()

    async def get(self, signature: bytes) -> bytes | None:
        """The encoded block, verified; None if no pack holds it (any more)."""
        place = self._places.get(signature)
        if place is None:
            return None
        encoded = b""
        start, end = place.offset, place.offset + place.length
        try:
            for number in range(start // EXTENT_BYTES, (end - 1) // EXTENT_BYTES + 1):
                base = number * EXTENT_BYTES
                extent = await self._extent(place.pack, number)
                encoded += extent[max(0, start - base) : end - base]
            await asyncio.to_thread(open_block, encoded, signature)
        except (NotFoundError, RemoteProtocolError) as error:
            log.error("block %s cannot be read from pack %s: %s", signature.hex()[:16], place.pack, error)
            return None
        return encoded

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


__all__ = ["EXTENT_BYTES", "INDEXES", "PACKS", "Location", "PackStore"]
