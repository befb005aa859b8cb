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
import ssl
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from aiohttp import web

from swarm.errors import AetherError
from swarm.http.routes import Route, mount, openapi
from swarm.http.serve import Listener, make_app, start_listener
from swarm.identity import PeerKey
from swarm.keyring import HEADER
from swarm.limits import ANNOUNCE_INTERVAL_S, CERTIFICATE_LIFETIME_S
from swarm.messages import Contact, JoinAnswer
from swarm.metrics import Metrics
from swarm.objects import ObjectStore
from swarm.records import Address, Credential, sealed_by
from swarm.tracker import registry
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.certificates import listener_context, replace_certificate
from swarm.tracker.keys import load_or_create
from swarm.tracker.members import Members
from swarm.tracker.presence import Presence
from swarm.tracker.serve_announces import announce_routes
from swarm.tracker.serve_datasets import dataset_routes
from swarm.tracker.serve_health import check_observer, health_routes
from swarm.tracker.serve_members import join_answer, member_routes
from swarm.tracker.state import TrackerState
from swarm.tracker.tokens import Tokens

# An address of the documentation network: nothing is sent, the route to it tells this machine's own address.
_PROBE: Final = ("192.0.2.1", 9)
LOOPBACK: Final = "127.0.0.1"
# A store that is away must not keep a tracker from ending.
WITHDRAW_TIMEOUT_S: Final = 5.0

log = logging.getLogger("aetherfs.tracker")
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


class Tracker:
    """Made by ``start``. ``address`` is where it listens, ``contact`` how members reach it."""

    def __init__(self, state: TrackerState, key: PeerKey, contexts: Contexts, listener: Listener) -> None:
        self.state = state
        self._key = key
        self._contexts = contexts
        self._listener = listener
        self._renewed_at = time.time()
        self._tending = asyncio.create_task(self._tend(), name="tracker-tend")

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
    ) -> Tracker:
        """Listen on host:port (0 picks a free one). ``store_key`` (32 bytes) opens the swarm's keys in the store.

        ``advertise``: the addresses told to members, default what follows from host and port. ``bootstrap``: where
        DHT nodes of this process listen. Raises NotAllowedError for the wrong store key, AetherError for a port that
        is taken.
        """
        state, contexts = await asyncio.to_thread(_prepare, objects, store_key, key, host, interval_s, metrics, rng)
        state.bootstrap = tuple(bootstrap)
        routes = _routes(state)
        app = make_app()
        app.on_response_prepare.append(partial(_state_keys, state))
        mount(app, routes, check_observer)
        try:
            listener = await start_listener(app, host, port, contexts[0])
        except AetherError:
            state.pool.shutdown(wait=False)
            raise
        addresses = tuple(advertise) or own_addresses(host, listener.port)
        state.contact = Contact(key.public, addresses)
        tracker = cls(state, key, contexts, listener)
        try:
            await tracker._enlist()
        except AetherError:
            await tracker.close()
            raise
        return tracker

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(self._listener.host, self._listener.port)

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def contact(self) -> Contact:
        """What members are told of it."""
        return self.state.contact

    def set_bootstrap(self, contacts: Sequence[Contact]) -> None:
        """Where joiners' DHT nodes can start: the nodes that run in this process."""
        self.state.bootstrap = tuple(contacts)

    async def membership(self) -> JoinAnswer:
        """What this tracker's own home is enrolled with: the same as a joiner gets, with the store key."""
        papers, member = await self.state.work(self.state.members.admit_tracker, self._key.public, time.time())
        stated = (papers.certificate, papers.credential, papers.grant)
        return join_answer(self.state, member, stated, LOOPBACK)

    async def close(self) -> None:
        """Stop: open watches end, requests in flight get a moment, the list of trackers loses this one."""
        if self.state.is_closing:
            return
        self.state.is_closing = True
        self._tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._tending
        self.state.bell.ring_all()
        await self._listener.close()
        try:
            withdrawn = self.state.work(registry.withdraw, self.state.objects, self.contact)
            await asyncio.wait_for(withdrawn, WITHDRAW_TIMEOUT_S)
        except (AetherError, TimeoutError) as error:
            log.warning(
                "this tracker stays listed for some minutes: %s", str(error) or "the object store does not answer"
            )
        self.state.has_ended = True
        self.state.pool.shutdown(wait=False)

    async def _enlist(self) -> None:
        """Write down where this tracker is, and read where the others are."""
        state, wall_now = self.state, time.time()
        await state.work(registry.write, state.objects, state.keys.authority, state.contact, wall_now)
        state.trackers = await state.work(registry.read, state.objects, state.keys.authority, wall_now)

    async def _tend(self) -> None:
        """What has to be done from time to time. An object store that is away is asked again the next time."""
        while True:
            await self._pause()
            self.state.presence.expire(time.monotonic())
            try:
                await self._tend_keys()
                await self._enlist()
                await self._renew()
            except AetherError as error:
                log.warning("the object store does not answer: %s", error)

    async def _pause(self) -> None:
        """Until the next round: sooner when keys were rotated here, or another key of the CA is in force."""
        wall_now = time.time()
        wait_s = min(registry.REFRESH_S, max(0.0, self.state.keys.next_change(wall_now) - wall_now))
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(wait_s):
                await self.state.keys_rotated.wait()
        self.state.keys_rotated.clear()

    async def _tend_keys(self) -> None:
        """Know and trust what other trackers have rotated; be certified under the key that is in force."""
        state, wall_now = self.state, time.time()
        trust = state.keys.authority.trust
        await state.work(state.keys.refresh, state.objects, wall_now)
        for context in self._contexts:
            context.load_verify_locations(cadata=trust.bundle(wall_now).decode())
        if sealed_by(state.papers.credential, Credential, trust) != state.keys.authority.public:
            self._renewed_at = 0.0

    async def _renew(self) -> None:
        wall_now = time.time()
        if wall_now - self._renewed_at < CERTIFICATE_LIFETIME_S / 3:
            return
        papers, _ = await self.state.work(self.state.members.admit_tracker, self._key.public, wall_now)
        await asyncio.to_thread(replace_certificate, self._contexts[0], self._key, papers.certificate)
        self.state.papers = papers
        self._renewed_at = wall_now

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
) -> tuple[TrackerState, Contexts]:
    """Everything that waits for the store or the disk, before the listener opens."""
    wall_now = time.time()
    keys = load_or_create(objects, store_key, wall_now)
    tokens = Tokens(objects, keys.authority)
    members = Members(objects, keys, tokens)
    papers, _ = members.admit_tracker(key.public, wall_now)
    hosts = [address.host for address in own_addresses(host, 1)]
    contexts = listener_context(key, papers.certificate, keys.authority.trust.bundle(wall_now), hosts, wall_now)
    state = TrackerState(
        objects=objects,
        store_key=store_key,
        keys=keys,
        tokens=tokens,
        members=members,
        catalogue=Catalogue(objects, keys.authority),
        presence=Presence(interval_s),
        metrics=metrics or Metrics(),
        papers=papers,
        contact=Contact(key.public, ()),
        rng=rng or random.Random(),
        interval_s=interval_s,
    )
    return state, contexts


async def _state_keys(state: TrackerState, _request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Say in every answer how new the keys are that this tracker knows."""
    if state.keys.generation:
        response.headers[HEADER] = str(state.keys.generation)


def _routes(state: TrackerState) -> list[Route]:
    def document() -> dict[str, Any]:
        return openapi(routes, "AetherFS tracker")

    routes = [
        *member_routes(state),
        *dataset_routes(state),
        *announce_routes(state),
        *health_routes(state, document),
    ]
    return routes
