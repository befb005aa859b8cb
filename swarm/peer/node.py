"""A peer, composed: identity, stores, exchange, DHT, tracker client, agent, and what keeps them going.

One ``PeerNode`` per home. Everything that lasts is in the home; everything else starts here and ends at ``close``. A
seed adds its routes and its loader of versions through ``Extension`` and is otherwise the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import aiohttp

from swarm import clock
from swarm.client import TrackerClient
from swarm.dht.epochs import Dht
from swarm.dialable import TRUSTED, dialable_of
from swarm.errors import AetherError
from swarm.http.resolver import PeerResolver
from swarm.http.routes import mount
from swarm.http.serve import Listener, make_app, start_listener
from swarm.http.session import peer_session
from swarm.http.tls import GIVE_PROTOCOL, RUN_PROTOCOL, peer_client_context, peer_server_context, run_client_context
from swarm.identity import peer_id_of
from swarm.keyring import SwarmSecret
from swarm.limits import LOCATION_LIFETIME_S, MIB
from swarm.login import Logins
from swarm.metrics import Metrics
from swarm.objects import ObjectStore
from swarm.objects.accounts import Costs
from swarm.peer.access import Access
from swarm.peer.addresses import HeldPort, addresses_of, hold_port
from swarm.peer.admitted import Admitted
from swarm.peer.announce import Announcer
from swarm.peer.called import Called, give_to
from swarm.peer.channels import Channels
from swarm.peer.directories import Directories
from swarm.peer.download import Parts
from swarm.peer.ending import Ending
from swarm.peer.exchange import Exchange
from swarm.peer.extension import Extension
from swarm.peer.fetch import Fetcher
from swarm.peer.find import Finder
from swarm.peer.holdings import FirstOf, Holding, Holdings, Source, StoreSource
from swarm.peer.lan import Lan, start_lan
from swarm.peer.ledger import Ledger
from swarm.peer.meeting import Meeting
from swarm.peer.mesh import Mesh
from swarm.peer.node_metrics import add_node_metrics
from swarm.peer.open_trees import open_trees
from swarm.peer.purging import Purging
from swarm.peer.read_counts import ReadCounts
from swarm.peer.recalling import Recalling
from swarm.peer.reporting import Reporter
from swarm.peer.reproving import begin_reproving
from swarm.peer.serve import RunServer
from swarm.peer.settings import NodeSettings
from swarm.peer.sites import Sites, site_of
from swarm.peer.snapshots import Snapshots
from swarm.peer.tasks import Tasks
from swarm.peer.time_floor import keep_time, know_time
from swarm.peer.traces import Traces
from swarm.peer.traffic import Traffic
from swarm.peer.trees import Trees
from swarm.peer.wire import NOT_ORIGIN, OUR_VERSIONS, Hello
from swarm.peer.works import Works
from swarm.records import Address, Location, seal_location
from swarm.store import Store
from swarm.store.disk import DiskStore
from swarm.store.memory import MemoryStore
from swarm.store.tiers import Tiers
from swarm.store_metrics import add_store_metrics
from swarm.tree import TreeStore

if TYPE_CHECKING:
    from swarm.peer.subscriptions import Subscriptions
    from swarm.process_metrics import LoopLag

LOOKED_AT: Final = 16
LOCATION_RENEWAL_S: Final = 1800

log = logging.getLogger("aetherfs.node")


class PeerNode:
    """A running peer. Use ``start``. ``subscriptions`` come with its agent."""

    subscriptions: Subscriptions
    loop_lag: LoopLag

    def __init__(self, settings: NodeSettings, extension: Extension | None) -> None:
        self.settings = settings
        self.home = settings.home
        self.extension = extension
        self.started = time.monotonic()
        self.key = self.home.key()
        # Roots may have been retired, or the last process ended before it had written all of them.
        self.home.learn(self.home.keyring())
        self.papers = self.home.papers()
        self.swarm = self.home.swarm()
        self.rng = random.Random(secrets.randbits(128))
        self.tasks = Tasks()
        self.keyring = self.home.keyring()
        self.access = Access(self.home.trust())
        know_time(self)
        self.sites = Sites(site_of(self.papers.credential))
        self.traffic = Traffic()
        self.paces = settings.paces
        self.lan: Lan | None = None
        self.ledger = Ledger(self.home.read_state("ledger"), lambda data: self.home.write_state("ledger", data))
        self.holdings = Holdings(extension.load if extension is not None else None)
        self.trees = Trees(self.home)
        self.read_counts = ReadCounts(self.home)
        self.traces = Traces(self.home.path / "pulls")
        self.blocks = DiskStore(self.home.blocks, settings.disk_bytes, self.home.seal)
        self.memory = MemoryStore(settings.memory_bytes)
        self.store = Tiers([self.memory, self.blocks], writable=2)
        self.directories = Directories(self.store, self.holdings)
        self.waiting: dict[str, Callable[[], str]] = {}
        self.works = Works()
        # One pull of a version at a time: the next finds every block here.
        self.pulling: WeakValueDictionary[tuple[str, bytes], asyncio.Lock] = WeakValueDictionary()
        self.stop_requested = asyncio.Event()
        self.ending = Ending(extension.receiving) if extension is not None else Ending()
        self.is_ready = asyncio.Event()
        self.tracker_address: str | None = None
        self.agent_address: str | None = None
        # The object store of a tracker's or seed's process, and what a seed's publishes and rollouts have cost.
        self.objects: ObjectStore | None = None
        self.metrics = Metrics()
        self.listeners: dict[str, Listener] = {}
        self._held: HeldPort | None = None
        self.costs: Callable[[], Costs] | None = None
        self._stated: tuple[tuple[bytes, Location], bytes] | None = None
        self._closers: list[Callable[[], Awaitable[None]]] = []

    @classmethod
    async def start(cls, settings: NodeSettings, extension: Extension | None = None) -> PeerNode:
        """Start a peer on its home. ConflictError if a process runs on it, NotAllowedError if it is not enrolled."""
        settings.home.check_enrolled()
        settings.home.open()
        try:
            node = cls(settings, extension)
        except BaseException:
            settings.home.close()
            raise
        try:
            await node._open()
        except BaseException:
            await node.close()
            raise
        return node

    async def _open(self) -> None:
        self.resolver = PeerResolver()
        self._client_context = peer_client_context(self.home.tls_files)
        self._run_context = run_client_context(self.home.tls_files)
        self._give_context = run_client_context(self.home.tls_files, GIVE_PROTOCOL)
        self._server_context = peer_server_context(self.home.tls_files)
        talk = peer_session(self._client_context, self.resolver, per_peer=0, stall_timeout_s=None)
        self._closers.append(talk.close)
        self.session = talk
        self.fetcher = self._new_fetcher(talk)
        self.runs = RunServer(
            self._server_context,
            self.access,
            self.holdings,
            self.traffic,
            self.paces.upload,
            self._gives,
            self.settings.slots_most,
        )
        self.exchange = Exchange(self.access, self.holdings, self.runs, self.ledger, self.tasks, self.rng)
        self.channels = Channels(
            self.key.peer_id, self._hello, self.access, talk, self.resolver, self.exchange, self.sites
        )
        self._join_parts()
        self.meeting = self.exchange.meeting = Meeting(
            Mesh(
                self.key.peer_id,
                self.rng,
                keeps=self.extension is not None,
                aim=self.settings.neighbours_aim,
            ),
            self.channels,
            self.access,
            self.sites,
            self.traffic,
            self.tasks,
            self.addresses,
            self.location,
            self._look_around,
        )
        self.purging, self.recalling = Purging(self), Recalling(self)
        await self._listen()
        self._closers.append(self.channels.close)  # before the listener, which waits for whoever is connected
        self.tracker = self._tracker_client()
        self._closers.append(self.tracker.close)
        await self._start_dht()
        self._start_looking()
        await start_lan(self)
        await asyncio.to_thread(open_trees, self)
        for contact in self.swarm.bootstrap:
            self.meeting.learn(contact.peer_id, contact.addresses)
        begin_reproving(self)
        add_node_metrics(self)
        self._begin()
        self.is_ready.set()

    def _begin(self) -> None:
        """What goes on from now until the end."""
        self.tasks.start(self._join_dht())
        self.tasks.start(self.meeting.run())
        self.tasks.start(self.exchange.gossip())
        self.tasks.start(self.announcer.run())
        self.tasks.start(self.reporter.run())
        self.tasks.start(self.read_counts.run())

    def _new_fetcher(self, session: aiohttp.ClientSession) -> Fetcher:
        pace, runs_max = self.paces.download, self.settings.runs_taken_max
        fetcher = Fetcher(session, self._run_context, self.resolver, pace, runs_max)
        fetcher.grant = self.papers.grant
        return fetcher

    def _join_parts(self) -> None:
        """What parts need of one another that were made one after another."""
        self.called = self.fetcher.called = Called(self._server_context, self.channels.send_to)
        self.fetcher.is_translated = self.channels.is_translated
        self.exchange.is_metered = self.settings.is_metered
        self.exchange.on_called = partial(give_to, self, self._give_context)
        self.exchange.channels, self.exchange.gives = self.channels, self._gives

    def _start_looking(self) -> None:
        """What finds, reads and announces over the parts that talk to others."""
        self.finder = Finder(
            self.access,
            self.ledger,
            self.channels,
            self.fetcher,
            self.tracker,
            self.dht,
            self.meeting,
            self.exchange.announce,
            self.settings.required,
        )
        self.admitted = Admitted(self)
        self.finder.meaning, self.finder.prepare = self.admitted.meaning, self.admitted.prepare
        self.snapshots = Snapshots(self)
        self._closers.append(self.snapshots.close)
        self.announcer = Announcer(self)
        self.reporter = Reporter(self)
        self.exchange.on_tracker = self.announcer.tracker_listed
        self.exchange.on_tracker_left = self.announcer.wake_soon

    def _tracker_client(self) -> TrackerClient:
        client = TrackerClient(
            self.swarm.trackers,
            key=self.key,
            root=self.papers.root,
            files=self.home.tls_files,
            trust=self.access.authority,
            dialable=replace(TRUSTED, also=self.settings.dial_also),
        )
        client.authorization = Logins(self.home).authorization
        return client

    async def _listen(self) -> None:
        app = make_app(body_max_bytes=4 * MIB)
        extra = self.extension.routes(self) if self.extension is not None else []
        mount(app, [*self.exchange.routes(), *extra])
        base = self.settings.port_base
        streams = {RUN_PROTOCOL: self.runs.accept, GIVE_PROTOCOL: self.called.accept}
        held = self._held = hold_port(self.settings.listen) if not base else None
        self._closers.append(self._let_port_go)
        host, port = self.settings.listen, base + 1 if base else 0
        bound = held.streams if held is not None else None
        self.listener = await start_listener(app, host, port, self._server_context, streams=streams, bound=bound)
        self.listeners["exchange"] = self.listener
        self._closers += [self.called.close, self.listener.close, self._end_streams]
        own = [self.listener.host, *(address.host for address in self.addresses())]
        self.resolver.dialable = dialable_of(own, self.settings.dial_also)

    async def _let_port_go(self) -> None:
        if self._held is not None:
            self._held.close()

    async def _start_dht(self) -> None:
        self.dht = await Dht.start(
            host=self.settings.listen,
            port=self.listener.port,
            key=self.key,
            credential=self.papers.credential,
            authority=self.access.authority,
            secrets=self.secrets(),
            addresses=self.addresses,
            state_path=self.home.dht,
            rng=random.Random(self.rng.getrandbits(64)),
            dialable=self.resolver.dialable,
            client_only=self.settings.is_dht_client,
            bound=self._held.datagrams if self._held is not None else None,
        )
        self._closers.append(self.dht.close)

    async def _join_dht(self) -> None:
        contacts = [*self.swarm.bootstrap, *self.swarm.trackers]
        await self.dht.bootstrap([str(address) for contact in contacts for address in contact.addresses])
        await self.announcer.announce_records()

    def _gives(self, peer: str) -> bool:
        """Whether a peer is given blocks; asked in any thread. Over a metered link those of our own site are."""
        if not self.paces.upload.is_open:
            return False
        channel = self.channels.open.get(peer)
        return not self.settings.is_metered or (channel is not None and channel.near)

    # ---- what it is ---------------------------------------------------------------------------------------------

    @property
    def parts(self) -> Parts:
        return Parts(self.exchange, self.channels, self.fetcher, self.holdings, self.traffic, self.key.peer_id)

    def addresses(self) -> tuple[Address, ...]:
        """Where others reach this peer."""
        return addresses_of(self.settings.listen, self.listener.port)

    def _hello(self) -> Hello:
        lowest, highest = OUR_VERSIONS
        return Hello(lowest, highest, self.papers.credential, self.papers.grant, self.addresses())

    def location(self) -> bytes:
        """Where this peer is, for neighbours to pass on."""
        # The same bytes for a while: whoever hears them from several checks them once.
        issued = int(clock.wall_now()) // LOCATION_RENEWAL_S * LOCATION_RENEWAL_S
        stated = (self.papers.credential, Location(1, self.addresses(), issued, issued + LOCATION_LIFETIME_S))
        if self._stated is None or self._stated[0] != stated:
            self._stated = (stated, seal_location(self.key, *stated))
        return self._stated[1]

    async def _look_around(self, version: bytes) -> None:
        """For a mesh that is short of members: some whom the DHT knows, and the tracker's. A download looks for its
        version itself.
        """
        if version:
            return
        contacts = self.dht.contacts()
        for contact in self.rng.sample(contacts, min(LOOKED_AT, len(contacts))):
            self.meeting.learn(peer_id_of(contact.public), (Address(contact.host, contact.port),))
        self.announcer.wake()

    def set_objects(self, objects: ObjectStore) -> None:
        """The object store that parts of this process work over: to be told of."""
        if self.objects is None:
            self.objects = objects
            add_store_metrics(self.metrics, objects)

    def hold(self, holding: Holding, store: Store | None = None) -> None:
        """Serve a version from now on; ``store`` is also a source of blocks for other versions.

        What its own source has lost is read from the other stores and from the extension. An origin stays one. A
        directory that held another version is let go as a source of that one.
        """
        if store is not None:
            self.store.add(store)
        behind: list[Source] = [StoreSource(self.store)]
        if self.extension is not None:
            behind.append(self.extension)
        holding.source = FirstOf([holding.source, *behind])
        if isinstance(store, TreeStore):
            self.directories.serve(holding, store, FirstOf(behind), keeps=self.extension is not None)
        known = self.holdings.get(holding.dataset, holding.version)
        if known is not None and known.is_complete and not holding.is_complete:
            return
        holding.origin = holding.origin or (known.origin if known is not None else NOT_ORIGIN)
        self.holdings.add(holding)

    def secrets(self) -> tuple[SwarmSecret, ...]:
        """The DHT's secrets that count, the one in force first."""
        return self.keyring.counting(self.swarm.secret, clock.wall_now())

    def let_go(self, dataset: str, version: bytes) -> int:
        """Hold a version no longer. How many directories have it: they stay, and are no source of blocks."""
        holding = self.holdings.get(dataset, version)
        if holding is not None:
            self.holdings.remove(holding)
        directories = self.trees.let_go(dataset, version)
        for directory in directories:
            self.directories.forget(directory)
        self.announcer.wake()
        return len(directories)

    def reload_papers(self) -> None:
        """Use papers that were renewed."""
        self.papers = self.home.papers()
        self.sites.own = site_of(self.papers.credential)
        if self.fetcher.grant != self.papers.grant:
            self.fetcher.grant = self.papers.grant
            self.exchange.renewed(self.papers.grant)
        for context in (self._client_context, self._run_context, self._give_context, self._server_context):
            self.home.tls_files.load_into(context)
        self.tracker.reload(self.home.tls_files)
        self.dht.renew(self.papers.credential)

    def trust_roots(self) -> None:
        """Let TLS trust the CA's roots that were learnt of, on new connections."""
        bundle = self.access.authority.bundle(clock.wall_now())
        for context in (self._client_context, self._run_context, self._give_context, self._server_context):
            context.load_verify_locations(cadata=bundle.decode())
        self.tracker.trust_root(bundle)

    async def _end_streams(self) -> None:
        self.fetcher.close()
        await self.runs.close()

    async def _save(self) -> None:
        self.ledger.flush()
        await self.read_counts.save()
        keep_time(self)

    def at_close(self, closer: Callable[[], Awaitable[None]]) -> None:
        """Also end this, before what was started earlier."""
        self._closers.append(closer)

    async def close(self) -> None:
        """End everything, in the reverse order of its start. The home is free afterwards."""
        if hasattr(self, "announcer"):
            await self.announcer.leave()
        await self.tasks.close()
        for closer in [self._save, *reversed(self._closers)]:
            try:
                await closer()
            except (AetherError, OSError) as error:
                log.warning("while closing: %s", error)
        self.store.close()
        self.home.close()
