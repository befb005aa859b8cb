"""A running tracker: one TLS listener over one object store.

    tracker = await Tracker.start(objects, store_key, key, "0.0.0.0", 7070)
    tracker.membership()      # what its own home needs to be a member
    await tracker.close()

The first start over a store makes the swarm; every other finds it. The tracker renews its own certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from aiohttp import web

from swarm.errors import AetherError, IntegrityError
from swarm.http.openapi import described
from swarm.http.routes import Route, mount
from swarm.http.serve import Listener, make_app, start_listener
from swarm.identity import PeerKey
from swarm.keyring import HEADER, RECALLS_HEADER
from swarm.limits import ANNOUNCE_INTERVAL_S
from swarm.messages import Contact, JoinAnswer
from swarm.metrics import Metrics
from swarm.objects import ObjectStore
from swarm.records import Address
from swarm.tracker import registry
from swarm.tracker.alerts.watching import Alerting
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.certificates import GivenCertificate, listener_context, member_context
from swarm.tracker.enrolment import peers_to_begin_from
from swarm.tracker.figures.serve import figure_routes
from swarm.tracker.guards import Guards
from swarm.tracker.keys import load_or_create
from swarm.tracker.members import Members
from swarm.tracker.own_certificate import own_certificate
from swarm.tracker.people.pages import page_routes
from swarm.tracker.people.serve import people_routes
from swarm.tracker.presence import Presence
from swarm.tracker.pushes import Pushes
from swarm.tracker.rights import Rights
from swarm.tracker.rolling import Rolling
from swarm.tracker.serve_access import access_routes
from swarm.tracker.serve_alerts import alert_routes
from swarm.tracker.serve_announces import announce_routes
from swarm.tracker.serve_audit import audit_routes
from swarm.tracker.serve_browsing import browse_routes
from swarm.tracker.serve_datasets import dataset_routes
from swarm.tracker.serve_dial import dial_routes
from swarm.tracker.serve_health import check_observer, health_routes
from swarm.tracker.serve_members import join_answer, member_routes
from swarm.tracker.serve_orders import order_routes
from swarm.tracker.serve_pushes import push_routes
from swarm.tracker.serve_roll import roll_routes
from swarm.tracker.serve_rollouts import rollout_routes
from swarm.tracker.state import TrackerState
from swarm.tracker.static import static_routes
from swarm.tracker.tending import Contexts, Tending
from swarm.tracker.tokens import Tokens

# An address of the documentation network: nothing is sent, the route to it tells this machine's own address.
_PROBE: Final = ("192.0.2.1", 9)
LOOPBACK: Final = "127.0.0.1"
# A store that does not answer must not keep a tracker from ending; one that is known to be away is not asked.
WITHDRAW_TIMEOUT_S: Final = 1.0

log = logging.getLogger("aetherfs.tracker")


class Tracker:
    """Made by ``start``. ``address`` is where it listens, ``contact`` how members reach it."""

    def __init__(
        self,
        state: TrackerState,
        key: PeerKey,
        contexts: Contexts,
        listener: Listener,
        certificate: GivenCertificate | None = None,
    ) -> None:
        self.state = state
        self._key = key
        self._contexts = contexts
        self.listener = listener
        self.tending = Tending(state, key, contexts, certificate)
        self._tending = asyncio.create_task(self.tending.run(), name="tracker-tend")
        self._watching = asyncio.create_task(state.alerts.run(), name="tracker-alerts")

    @classmethod
    async def start(
        cls,
        objects: ObjectStore,
        store_key: bytes,
        key: PeerKey,
        host: str,
        port: int,
        *,
        advertise: Sequence[Address] = (),
        bootstrap: Sequence[Contact] = (),
        interval_s: int = ANNOUNCE_INTERVAL_S,
        metrics: Metrics | None = None,
        rng: random.Random | None = None,
        certificate: GivenCertificate | None = None,
        alerting: Alerting | None = None,
    ) -> Tracker:
        """Listen on host:port (0 picks a free one). ``store_key`` (32 bytes) opens the swarm's keys in the store.

        ``advertise``: the addresses told to members, default what follows from host and port. ``bootstrap``: where
        DHT nodes of this process listen. Raises NotAllowedError for the wrong store key, AetherError for a port that
        is taken. ``certificate``: what people are shown, default a self-signed one. ``alerting``: whom to tell
        of alerts, and when.
        """
        prepared = await asyncio.to_thread(
            _prepare, objects, store_key, key, host, interval_s, metrics, rng, certificate
        )
        contexts, make_state = prepared
        state = make_state(pushes=Pushes(contexts[2]), alerting=alerting or Alerting())
        state.given_expires = certificate.expires() if certificate is not None else 0.0
        state.bootstrap = tuple(bootstrap)
        state.rolling = Rolling(objects, state.catalogue, state.members, key)
        routes = _routes(state)
        app = make_app()
        app.on_response_prepare.append(partial(_state_news, state))
        mount(app, routes, guarded=Guards(state, check_observer).guarded)
        try:
            listener = await start_listener(app, host, port, contexts[0])
        except AetherError:
            await state.pushes.close()
            await state.identifier.close()
            state.pool.shutdown(wait=False)
            raise
        addresses = tuple(advertise) or own_addresses(host, listener.port)
        state.contact = Contact(key.public, addresses)
        tracker = cls(state, key, contexts, listener, certificate)
        state.figures.start()
        try:
            await tracker.tending.enlist()
        except AetherError:
            await tracker.close()
            raise
        return tracker

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(self.listener.host, self.listener.port)

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def contact(self) -> Contact:
        """What members are told of it."""
        return self.state.contact

    async def set_node(
        self, node: Contact, on_commit: Callable[[bytes], None], on_listed: Callable[[bytes], None]
    ) -> None:
        """The peer that runs in this process: joiners can start from it, and it passes on entries and listings."""
        self.state.bootstrap = (node,)
        self.state.on_commit, self.state.on_listed = on_commit, on_listed
        await self.tending.enlist()

    async def membership(self) -> JoinAnswer:
        """What this tracker's own home is enrolled with: the same as a joiner gets, with the store key."""
        papers, member = await self.state.work(
            self.state.members.admit_keeper, self._key.public, "tracker", time.time()
        )
        stated = (papers.certificate, papers.credential, papers.grant)
        return join_answer(self.state, member, stated, LOOPBACK)

    async def close(self) -> None:
        """Stop: open watches end, requests in flight get a moment, the list of trackers loses this one."""
        if self.state.is_closing:
            return
        self.state.is_closing = True
        for task in (self._tending, self._watching):
            task.cancel()
        for ended in await asyncio.gather(self._tending, self._watching, return_exceptions=True):
            if isinstance(ended, Exception):
                log.error("a defect ended what a tracker does all the time", exc_info=ended)
        self.state.bell.ring_all()
        await self.state.figures.close()
        await self.state.pushes.leaving()
        await self.state.pushes.close()
        await self.listener.close()
        await self.state.looks.close()
        await self.state.identifier.close()
        await self._withdraw()
        self.state.has_ended = True
        self.state.pool.shutdown(wait=False)

    async def _withdraw(self) -> None:
        """Others are told by ``leaving``; this is for those that start."""
        try:
            async with asyncio.timeout(WITHDRAW_TIMEOUT_S):
                await self.state.work(registry.withdraw, self.state.objects, self.contact)
                await self.state.write_audit(time.monotonic(), is_ending=True)
                await self.state.figures.uniting.end()
        except (AetherError, TimeoutError) as error:
            log.warning(
                "this tracker stays listed for some minutes: %s", str(error) or "the object store does not answer"
            )

    def __repr__(self) -> str:
        return f"<Tracker {self.address} {len(self.state.presence)} peers>"


def own_addresses(host: str, port: int) -> tuple[Address, ...]:
    """How others can reach a listener here: its host; for a wildcard, the default route's address and loopback."""
    if host not in ("0.0.0.0", "::", ""):
        return (Address(host, port),)
    found = [LOOPBACK]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(_PROBE)
        found.insert(0, str(probe.getsockname()[0]))
    return tuple(Address(own, port) for own in dict.fromkeys(found))


def _prepare(
    objects: ObjectStore,
    store_key: bytes,
    key: PeerKey,
    host: str,
    interval_s: int,
    metrics: Metrics | None,
    rng: random.Random | None,
    certificate: GivenCertificate | None,
) -> tuple[Contexts, Callable[..., TrackerState]]:
    """Everything that waits for the store or the disk, before the listener opens: the contexts, and the state but for
    what needs the event loop.
    """
    wall_now = time.time()
    keys = load_or_create(objects, store_key, wall_now)
    tokens = Tokens(objects, keys.authority)
    rights = Rights(objects, keys.authority)
    members = Members(objects, keys, tokens, rights)
    with contextlib.suppress(IntegrityError):
        rights.known()  # Its own home can mend a policy that is damaged; it says so to all others.
    papers, _ = members.admit_keeper(key.public, "tracker", wall_now)
    hosts = [address.host for address in own_addresses(host, 1)]
    roots = keys.authority.trust.bundle(wall_now)
    own = partial(own_certificate, objects, store_key, key.peer_id, hosts, wall_now)
    shown = certificate.read() if certificate is not None else own()
    listening = listener_context(key, papers.certificate, roots, shown)
    contexts = (*listening, member_context(key, papers.certificate, roots))
    listed = registry.read(objects, keys.authority.trust, wall_now)
    state = partial(
        TrackerState,
        objects=objects,
        store_key=store_key,
        keys=keys,
        tokens=tokens,
        members=members,
        rights=rights,
        catalogue=Catalogue(objects, keys.authority),
        presence=Presence(interval_s),
        metrics=metrics or Metrics(),
        papers=papers,
        certificate=shown[0],
        contact=Contact(key.public, ()),
        rng=rng or random.Random(),
        interval_s=interval_s,
        met=peers_to_begin_from(objects, keys.authority.trust, listed, wall_now),
    )
    return contexts, state


async def _state_news(state: TrackerState, _request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Say in every answer how new the keys are that this tracker knows, and the list of recalled grants."""
    if state.keys.generation:
        response.headers[HEADER] = str(state.keys.generation)
    response.headers[RECALLS_HEADER] = str(state.rights.recalls.serial)


def _routes(state: TrackerState) -> list[Route]:
    routes = [
        *member_routes(state),
        *dataset_routes(state),
        *order_routes(state),
        *rollout_routes(state),
        *access_routes(state),
        *roll_routes(state),
        *audit_routes(state),
        *alert_routes(state),
        *dial_routes(state),
        *announce_routes(state),
        *push_routes(state),
        *figure_routes(state),
        *people_routes(state),
        *page_routes(state),
        *static_routes(state),
        *browse_routes(state),
        *health_routes(state),
        *described(lambda: routes, "AetherFS tracker"),
    ]
    return routes
