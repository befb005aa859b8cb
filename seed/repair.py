"""Mending an object store: what a check found damaged or lacking comes from elsewhere, verified, into new packs.

Where a block lies is written in the packs' own heads too, so an index that is lost is made again from these and from
the manifests. A place that holds another block than was written is taken out of the indexes, so that nobody rests on
it. Blocks come from this seed's own tiers, or through the swarm from any peer that holds the version.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from seed import table
from seed.backfill import INDEXES, PACKS, PackStore
from seed.check import Checker, Findings, damaged_indexes
from seed.marking import reduced
from seed.packs import HEAD_START, Index, Kept, decode_index, head_bytes, make_index, read_head
from seed.seeing import copy_blocks, lay_blocks, write_index
from seed.settle import look
from swarm.claims import Version, keys_below
from swarm.encoding import encode_block, open_block
from swarm.errors import AetherError, NotFoundError, RemoteProtocolError
from swarm.manifest import Manifest
from swarm.names import Reference
from swarm.objects import ObjectStore
from swarm.peer.find import Resolved
from swarm.peer.holdings import StoreSource
from swarm.peer.node import PeerNode
from swarm.peer.pull import manifest_of
from swarm.peer.read import bring

WINDOW_BLOCKS: Final = 64

log = logging.getLogger("aetherfs.seed")


class Repair:
    """One mending of a seed's store."""

    def __init__(self, node: PeerNode, packs: PackStore, progress: Callable[[dict[str, Any]], None]) -> None:
        self._node = node
        self._packs = packs
        self._objects = packs.objects
        self._checker = Checker(packs.objects, node.access.authority)
        self._progress = progress
        self._brought = 0
        self._written = 0

    async def run(self) -> dict[str, Any]:
        """Check, mend, check again: as ``Findings.as_json``, of the second check, with what was done."""
        found = await asyncio.to_thread(self._checker.run, time.time(), progress=self._told)
        if found.is_whole:
            return self._result(found)
        lost = damaged_indexes(found)
        self._written += await asyncio.to_thread(rebuild_places, self._objects) if lost else 0
        wall_time = self._packs.known.next_wall_time(int(time.time()))
        await asyncio.to_thread(copy_blocks, self._objects, found.movable, wall_time)
        self._written += await asyncio.to_thread(drop_places, self._objects, found.bad, found.broken)
        left = await asyncio.to_thread(self._checker.run, time.time(), quick=True)
        for version, lacking in sorted(left.lacking.items()):
            try:
                await self._bring(version, lacking)
            except AetherError as error:
                log.error("%s@%s is not repaired: %s", version[0], version[1].hex()[:16], error)
        await self._packs.refresh()
        left = await asyncio.to_thread(self._checker.run, time.time(), quick=True)
        if not left.lacking:
            # What a damaged index said is said by others now.
            for key in lost:
                await asyncio.to_thread(self._objects.delete, key)
        return self._result(await asyncio.to_thread(self._checker.run, time.time(), progress=self._told))

    def _result(self, found: Findings) -> dict[str, Any]:
        return {**found.as_json(), "repaired_blocks": self._brought, "repaired_indexes": self._written}

    def _told(self, done: int, total: int) -> None:
        self._progress({"event": "progress", "phase": "check", "done_bytes": done, "total_bytes": total})

    async def _bring(self, version: Version, lacking: Sequence[bytes] | None) -> None:
        """Bring what a version lacks; all of which no pack holds if its blocks are not known."""
        await self._packs.refresh()
        scope, _, name = version[0].partition("/")
        resolved = await self._node.finder.resolve(Reference(scope, name, None, version[1]))
        manifest, _ = await manifest_of(self._node, resolved)
        made = {manifest.version: manifest.root_bytes, **manifest.segments}
        blocks = [*made, *(block.signature for block in manifest.unique)]
        wanted = list(lacking) if lacking is not None else [s for s in blocks if not self._packs.has(s)]
        kept = [] if lacking is not None else [Kept(*version, int(time.time()), table.packed(blocks))]
        laid = {signature: encode_block(made[signature]) for signature in wanted if signature in made}
        await self._lay(laid, kept)
        data = [signature for signature in wanted if signature not in made]
        for start in range(0, len(data), WINDOW_BLOCKS):
            await self._lay(await self._fetched(resolved, manifest, data[start : start + WINDOW_BLOCKS]), [])

    async def _fetched(self, resolved: Resolved, manifest: Manifest, wanted: Sequence[bytes]) -> dict[bytes, bytes]:
        """Some data blocks, encoded, from this node's tiers or from other peers."""
        await bring(self._node, resolved, manifest, [manifest.index_of[signature] for signature in wanted])
        found: dict[bytes, bytes] = {}
        for signature in wanted:
            encoded = await StoreSource(self._node.store).read(signature)
            if encoded is not None:
                open_block(encoded, signature)
                found[signature] = bytes(encoded)
        return found

    async def _lay(self, blocks: Mapping[bytes, bytes], kept: Sequence[Kept]) -> None:
        wall_time = self._packs.known.next_wall_time(int(time.time()))
        await asyncio.to_thread(lay_blocks, self._objects, blocks.items(), wall_time, kept)
        self._brought += len(blocks)


def rebuild_places(objects: ObjectStore) -> int:
    """Write down where blocks lie in packs that no readable index names, by the packs' heads: the indexes written.

    Blocking. A pack whose head is damaged is left to lie there.
    """
    named = {pack for _, index in _readable(objects) for pack, _, _ in index.packs}
    written = 0
    for key in keys_below(objects, PACKS):
        pack = key.removeprefix(PACKS)
        if pack in named:
            continue
        try:
            contents = read_head(pack, objects.get_range(key, 0, _head_bytes(objects, key)))
        except (NotFoundError, RemoteProtocolError) as error:
            log.error("nothing is known of what lies in %s: %s", key, error)
            continue
        write_index(objects, make_index(0, {pack: contents.size_bytes}, contents.places, []))
        written += 1
    return written


def _head_bytes(objects: ObjectStore, key: str) -> int:
    return head_bytes(objects.get_range(key, 0, HEAD_START.size))


def drop_places(objects: ObjectStore, bad: set[tuple[str, bytes]], broken: set[str]) -> int:
    """Take places, and all of broken packs, out of the indexes that name them: the indexes written anew. Blocking.

    The successor is written first, and taken back if somebody else has replaced the index meanwhile.
    """
    written = 0
    packs = {pack for pack, _ in bad} | broken
    for key, index in _readable(objects):
        if not packs.intersection(pack for pack, _, _ in index.packs):
            continue
        left = reduced(index, lambda pack, signature: pack not in broken and (pack, signature) not in bad)
        successor = INDEXES + write_index(objects, left) if left is not None else ""
        if key in look(objects).indexes:
            objects.delete(key)
            written += 1
        elif successor:
            objects.delete(successor)
    return written


def _readable(objects: ObjectStore) -> Iterator[tuple[str, Index]]:
    for key in list(keys_below(objects, INDEXES)):
        try:
            yield key, decode_index(objects.get(key))
        except (NotFoundError, RemoteProtocolError):
            continue  # The check has named it.
