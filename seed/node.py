"""A seed: a peer with an object store behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Final

from seed import table
from seed.backfill import PackStore, VersionSource
from seed.compaction import Compactor
from seed.costs import CostKeeper
from seed.fellows import Fellows
from seed.housekeeping import Housekeeping
from seed.repair import Repair
from seed.routes import BlockRoutes
from seed.trackers import watch_trackers
from seed.uploads import Uploads
from swarm.encoding import Encoded, open_block
from swarm.errors import AetherError, IncompleteError, LocalProtocolError, RemoteProtocolError, UnreachableError
from swarm.http.routes import Route
from swarm.limits import ROOT_MAX_BYTES
from swarm.manifest import Manifest, assemble, parse_root
from swarm.names import Reference
from swarm.objects import ObjectStore
from swarm.objects.accounts import Accounts
from swarm.objects.meter import Account, charged
from swarm.peer.agent import start_peer
from swarm.peer.extension import Keeping
from swarm.peer.health import health_routes
from swarm.peer.holdings import Holding
from swarm.peer.node import PeerNode
from swarm.peer.settings import NodeSettings
from swarm.peer.wire import SEED
from swarm.store.tiers import Tiers
from swarm.tracker.orders import purge_orders, quota

LOOK_S: Final = 1.0
POSTPONED_MAX: Final = 256
ALL_AGAIN_S: Final = 5.0
ALL_AGAIN_MAX_S: Final = 300.0

log = logging.getLogger("aetherfs.seed")


class SeedExtension:
    """What a seed adds to a peer: the Block API, and every version in the object store."""

    def __init__(self, objects: ObjectStore, accounts: Accounts) -> None:
        self.packs = PackStore(objects)
        self.accounts = accounts
        # Versions that were asked for while the object store was away.
        self._postponed: dict[tuple[str, bytes], None] = {}
        self._looking: asyncio.Task[None] | None = None
        self._node: PeerNode | None = None
        self._uploads: Uploads | None = None
        self._fellows: Fellows | None = None

    def routes(self, node: PeerNode) -> list[Route]:
        self._node = node
        self._fellows = Fellows(node)
        self.packs.tiers = Tiers([node.memory, node.blocks], writable=2)
        objects, authority = self.packs.objects, node.access.authority
        self._uploads = Uploads(self.packs, node.key, limit_of=lambda scope: quota(objects, authority, scope))
        node.at_close(self._uploads.close)
        blocks = BlockRoutes(self._uploads, node.access, node.holdings, self.accounts)
        return [*blocks.routes(), *health_routes(node, "member")]

    @contextlib.asynccontextmanager
    async def keeping(self, dataset: str) -> AsyncIterator[Keeping]:
        """Keep a version that this node publishes: see ``Uploads.keeping``."""
        if self._uploads is None:
            raise LocalProtocolError("a seed keeps a version before it is a node's")
        account = Account()
        with charged(account):
            async with self._uploads.keeping(dataset) as keeping:
                yield keeping
        if keeping.version:
            self.accounts.published(dataset, keeping.version, account.spent, time.time())

    def receiving(self) -> int:
        """Begin no upload any more: how many others have under way."""
        if self._uploads is None:
            return 0
        self._uploads.is_ending = True
        return self._uploads.under_way()

    def blocks_of(self, dataset: str, version: bytes) -> Sequence[bytes]:
        """What a version consists of, by the indexes."""
        if not self.packs.has_version(dataset, version):
            return []
        return list(table.each(self.packs.known.blocks_of(dataset, version)))

    async def repair(self, progress: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Check and mend the object store: see ``Repair``."""
        if self._node is None:
            raise LocalProtocolError("a seed repairs its store before it is a node's")
        return await Repair(self._node, self.packs, progress).run()

    async def load(self, dataset: str, version: bytes) -> Holding | None:
        """A version out of the packs, as an origin. None unless its entry is known or a tracker can show it.

        None too while the object store is away: it is held, and told of, when that is back.
        """
        try:
            return await self._loaded(dataset, version)
        except UnreachableError as error:
            log.info("%s@%s waits for the object store: %s", dataset, version.hex()[:12], error)
            self._postpone(dataset, version)
            return None

    async def _loaded(self, dataset: str, version: bytes) -> Holding | None:
        if not self.packs.has_version(dataset, version):
            await self.packs.refresh()
        if self._node is None or not self.packs.has_version(dataset, version):
            return None
        entry = self._node.access.entry_of(dataset, version)
        if entry is None:
            return None
        try:
            with self._charged(dataset, version):
                manifest = await self._manifest(version)
        except (IncompleteError, RemoteProtocolError):
            return None
        from_others = partial(self._from_others, dataset, version)
        source = VersionSource(self.packs, manifest, from_others, partial(self._charged, dataset, version))
        return Holding(dataset, manifest, entry, source, None, origin=SEED)

    def _charged(self, dataset: str, version: bytes) -> contextlib.AbstractContextManager[None]:
        return charged(self.accounts.rollout(dataset, version, time.time()))

    def _postpone(self, dataset: str, version: bytes) -> None:
        if self._node is not None and len(self._postponed) < POSTPONED_MAX:
            self._postponed[dataset, version] = None
            if self._looking is None or self._looking.done():
                self._looking = self._node.tasks.start(self._when_back(self._node))

    async def _when_back(self, node: PeerNode) -> None:
        """Hold what was asked for while the object store was away, as soon as it is back."""
        while self._postponed:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(UnreachableError):
                for dataset, version in list(self._postponed):
                    holding = await self._loaded(dataset, version)
                    del self._postponed[dataset, version]
                    if holding is not None:
                        node.holdings.add(holding)

    async def _from_others(self, dataset: str, version: bytes, group: int, signature: bytes) -> Encoded | None:
        return await self._fellows.get(dataset, version, group, signature) if self._fellows is not None else None

    async def read(self, signature: bytes) -> Encoded | None:
        """A block out of the packs, with its neighbours in a version that is held here."""
        holdings = self._node.holdings if self._node is not None else ()
        manifest = next((held.manifest for held in holdings if signature in held.manifest.index_of), None)
        source = self.packs if manifest is None else VersionSource(self.packs, manifest)
        return await source.read(signature)

    async def _manifest(self, version: bytes) -> Manifest:
        root_bytes = await self._plain(version, ())
        if len(root_bytes) > ROOT_MAX_BYTES:
            raise RemoteProtocolError("a root in the packs is longer than it may be")
        root = parse_root(root_bytes)
        listed = [ref.signature for ref in root.segment_refs]
        segments = {signature: await self._plain(signature, listed) for signature in listed}
        return await asyncio.to_thread(assemble, root_bytes, segments)

    async def _plain(self, signature: bytes, group: Sequence[bytes]) -> bytes:
        encoded = await self.packs.get(signature, group)
        if encoded is None:
            raise IncompleteError(f"block {signature.hex()[:16]} is not in the packs")
        return bytes(open_block(encoded, signature))

    async def announce_all(self, node: PeerNode) -> None:
        """Hold every tagged version in the object store, so that it is announced even when no tracker is there to
        ask. A seed may start before any tracker does: then it is asked for later.
        """
        wait_s = ALL_AGAIN_S
        while True:
            try:
                await self._hold_all(node)
                await node.announcer.announce_records()
                return
            except AetherError as error:
                log.info("what is in the object store is announced later: %s", error)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, ALL_AGAIN_MAX_S)

    async def _hold_all(self, node: PeerNode) -> None:
        cursor = ""
        while True:
            page = await node.tracker.datasets(cursor=cursor)
            for dataset in page.datasets:
                for tag in (await node.tracker.dataset(dataset)).tags:
                    scope, _, name = dataset.partition("/")
                    found = await node.tracker.lookup(Reference(scope, name, tag.tag))
                    node.access.learn(found.data)
                    node.ledger.record(found.entry, found.data)
                    await node.holdings.find(dataset, found.version)
            cursor = page.next
            if not cursor:
                return

    def heard(self, node: PeerNode, entry: bytes) -> None:
        """Another seed may have written what a new entry names: announce it from here too, tracker or not."""
        known = node.access.learn(entry)
        versions = [move.version for move in known.moves if move.version is not None]
        node.tasks.start(self._take_over(node, known.dataset, versions))

    async def _take_over(self, node: PeerNode, dataset: str, versions: list[bytes]) -> None:
        try:
            found = [await node.holdings.find(dataset, version) for version in dict.fromkeys(versions)]
        except AetherError as error:
            log.info("what was published to %s is looked for when it is asked for: %s", dataset, error)
            return
        if any(found):
            await node.announcer.announce_records()


async def start_seed(settings: NodeSettings, objects: ObjectStore) -> PeerNode:
    """A seed over an object store, on an enrolled home. The store stays its opener's to close, after the seed."""
    keeper = await asyncio.to_thread(CostKeeper, objects, settings.home.key().peer_id)
    extension = SeedExtension(objects, keeper.accounts)
    # Before anybody can ask for what lies in the packs; a store that fails leaves no node behind.
    await extension.packs.refresh()
    node = await start_peer(settings, extension)
    node.set_objects(objects)
    node.costs = keeper.costs
    node.at_close(keeper.close)
    node.tasks.start(keeper.run())
    node.purging.take_all(await asyncio.to_thread(purge_orders, objects))
    node.tasks.start(extension.announce_all(node))
    node.tasks.start(Compactor(extension.packs, random.Random(secrets.randbits(128))).run())
    node.tasks.start(watch_trackers(node, objects))
    node.exchange.on_news = lambda entry: extension.heard(node, entry)
    node.tasks.start(Housekeeping(objects, node.access.authority, random.Random(secrets.randbits(128))).run())
    return node
