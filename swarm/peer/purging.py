"""Orders to purge: what this peer has been told to keep nothing of.

An order is a version that a tracker has sealed an order for. It goes from neighbour to neighbour like a log entry, and
to whoever opens a channel; here it is remembered for good. From then on the version is neither fetched nor served, its
blocks go from memory and disk unless another version here has them too, what the home has imported of it goes, and the
tracker is told. Directories into which it was pulled are the user's: they stay, and are no source of blocks any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from swarm import canonical
from swarm.claims import Version
from swarm.encoding import open_block
from swarm.errors import AetherError, RemoteProtocolError
from swarm.limits import MIB, ORDERS_MAX
from swarm.manifest import Manifest, assemble, parse_root
from swarm.order_messages import PurgedRequest
from swarm.peer.imported import remove_imported
from swarm.peer.wire import Ordered
from swarm.tracker.orders import open_purge

if TYPE_CHECKING:
    from swarm.peer.channels import Channel
    from swarm.peer.node import PeerNode

STATE: Literal["purges"] = "purges"
STATE_MAX_BYTES = 16 * MIB
# A key of the CA that is new is heard of with one of the next announces.
AGAIN_S: Final = 60.0
# Orders told to a neighbour that has come, of those that it may know of: half of what it takes of us at once.
TOLD_MAX: Final = 128

log = logging.getLogger("aetherfs.purge")


class _State(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Every order, and whether a tracker took our word that it is obeyed."""

    format: Literal[2]
    orders: tuple[tuple[bytes, bool], ...]


class Purging:
    """The orders that one peer knows. ``confirm`` is called now and then: what no tracker took is told again."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._orders: dict[Version, bytes] = {}
        self._unconfirmed: dict[Version, int] = {}
        self._known: set[bytes] = set()
        self._confirmed: set[Version] = set()
        self._saved = b""
        self._saving, self._telling = asyncio.Lock(), asyncio.Lock()
        node.exchange.on_order = self.take
        node.exchange.on_opened.append(self.opened)
        node.exchange.knows_order = self._known.__contains__
        self._load()
        node.at_close(self._save)

    def _load(self) -> None:
        """What was ordered before; what was not confirmed is obeyed again, since nobody knows how far that came."""
        node = self._node
        data = node.home.read_state(STATE)
        state = canonical.try_decode(data, _State, limit_bytes=STATE_MAX_BYTES) if data else None
        for order, is_confirmed in state.orders if state is not None else ():
            try:
                purge = open_purge(order, node.access.authority)
            except RemoteProtocolError as error:
                log.warning("an order that was obeyed before does not count any more: %s", error)
                continue
            version = (purge.dataset, purge.version)
            self._remember(version, order)
            if is_confirmed:
                self._confirmed.add(version)
            else:
                node.tasks.start(self._obey(version))
        self._saved = data or b""

    def _remember(self, version: Version, order: bytes) -> None:
        self._orders[version] = order
        self._known.add(order)
        self._node.access.purge(*version)

    async def _save(self) -> None:
        """Write the state if it is not what lies there: once for all orders that came together."""
        async with self._saving:
            orders = tuple((order, version in self._confirmed) for version, order in self._orders.items())
            state = canonical.encode(_State(2, orders)) if orders else b""
            if state == self._saved:
                return
            try:
                await asyncio.to_thread(self._node.home.write_state, STATE, state)
                self._saved = state
            except AetherError as error:
                log.warning("what is purged here is not saved: %s", error)

    def opened(self, channel: Channel) -> None:
        """Tell a neighbour what it may know of: of many some by chance, since others tell it others."""
        readable = [order for (dataset, _), order in self._orders.items() if channel.caller.may_read(dataset)]
        for order in self._node.rng.sample(readable, min(TOLD_MAX, len(readable))):
            channel.send(Ordered(order))

    def take_all(self, orders: Iterable[bytes]) -> None:
        """Take orders out of the object store. One that proves nothing is tried again: it may be under a key of the CA
        that this home has not heard of yet.
        """
        if left := self._take_each(orders):
            self._node.tasks.start(self._take_later(left))

    def _take_each(self, orders: Iterable[bytes]) -> list[bytes]:
        """Those that were not taken."""
        left = []
        for order in orders:
            try:
                self.take(order)
            except RemoteProtocolError as error:
                log.warning("an order in the object store is not obeyed, and tried again later: %s", error)
                left.append(order)
        return left

    async def _take_later(self, left: list[bytes]) -> None:
        while left:
            await asyncio.sleep(AGAIN_S)
            left = self._take_each(left)

    def take(self, order: bytes, source: str = "") -> None:
        """Obey an order that is new here, and pass it on. RemoteProtocolError for one that proves nothing."""
        purge = open_purge(order, self._node.access.authority)
        version = (purge.dataset, purge.version)
        if version in self._orders or len(self._orders) >= ORDERS_MAX:
            return
        self._remember(version, order)
        for channel in self._node.channels.open.values():
            if channel.peer_id != source and channel.caller.may_read(purge.dataset):
                channel.send(Ordered(order))
        self._node.tasks.start(self._obey(version))

    async def _obey(self, version: Version) -> None:
        await self._save()
        await self._node.is_ready.wait()
        await self._node.snapshots.let_go(*version)
        manifest = await self._manifest(version)
        blocks = set(_blocks_of(manifest)) if manifest is not None else set()
        if manifest is None and self._node.extension is None:
            # Its root may have gone from the cache before its blocks did, so any block there may be one of them.
            blocks.update(self._node.memory.held(), self._node.blocks.held())
        if self._node.extension is not None:
            blocks.update(self._node.extension.blocks_of(*version))
        directories = self._node.let_go(*version)
        needed = {one for other in self._node.holdings for one in _blocks_of(other.manifest)}
        await asyncio.to_thread(self._remove, blocks - needed)
        directories -= await self._remove_imported(version)
        self._unconfirmed[version] = max(0, directories)
        await self.confirm()

    async def _remove_imported(self, version: Version) -> int:
        """Remove what this home has imported of a version: how many directories. Not before that is done is it
        confirmed.
        """
        while True:
            try:
                kept = frozenset(self._node.trees.records)
                return await asyncio.to_thread(remove_imported, self._node.home.path, version[1], kept)
            except AetherError as error:
                log.warning("%s@%s is not purged here: %s", version[0], version[1].hex()[:16], error)
                await asyncio.sleep(AGAIN_S)

    async def confirm(self) -> None:
        """Tell a tracker of what is done."""
        if not self._unconfirmed:
            return
        async with self._telling:
            await self._tell()
        await self._save()

    async def _tell(self) -> None:
        for (dataset, version), directories in list(self._unconfirmed.items()):
            path = f"datasets/{dataset}/versions/{version.hex()}/purged"
            try:
                await self._node.tracker.tell(path, PurgedRequest(directories))
            except AetherError as error:
                log.info("no tracker was told that %s is purged here: %s", version.hex()[:16], error)
                return
            self._unconfirmed.pop((dataset, version), None)
            self._confirmed.add((dataset, version))

    async def _manifest(self, version: Version) -> Manifest | None:
        """The version's manifest, out of what is here alone."""
        holding = self._node.holdings.get(*version)
        if holding is not None:
            return holding.manifest
        return await asyncio.to_thread(self._kept_manifest, version[1])

    def _kept_manifest(self, version: bytes) -> Manifest | None:
        kept = self._node.trees.manifest(version)
        if kept is not None:
            return kept
        try:
            root_bytes = self._plain(version)
            root = parse_root(root_bytes)
            return assemble(root_bytes, {ref.signature: self._plain(ref.signature) for ref in root.segment_refs})
        except (KeyError, RemoteProtocolError):
            return None

    def _plain(self, signature: bytes) -> bytes:
        encoded = self._node.store.get(signature)
        if encoded is None:
            raise KeyError(signature)
        return bytes(open_block(encoded, signature))

    def _remove(self, signatures: Iterable[bytes]) -> None:
        for signature in signatures:
            self._node.memory.remove(signature)
            self._node.blocks.remove(signature)


def _blocks_of(manifest: Manifest) -> Iterable[bytes]:
    return (manifest.version, *manifest.segments, *(block.signature for block in manifest.unique))
