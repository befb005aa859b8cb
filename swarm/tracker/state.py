"""What the routes of one tracker share: its parts, who calls, and the threads that wait for the object store."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar

import msgspec
from aiohttp import web

from swarm import traces
from swarm.authority import Membership
from swarm.errors import AetherError, NotAllowedError, UnreachableError, UsageError
from swarm.http.problem import Handler
from swarm.limits import TRACKERS_MAX
from swarm.messages import Contact
from swarm.metrics import Counter, Metrics
from swarm.names import check_dataset
from swarm.objects import ObjectStore
from swarm.objects.standing import standing_of
from swarm.principal import Principal, Right
from swarm.rollout_health import Heard
from swarm.store_metrics import add_store_metrics
from swarm.tracker.alerts.watching import Alerting, Watching
from swarm.tracker.asking import asker_of, member_of
from swarm.tracker.audit import Audit
from swarm.tracker.auditing import Waiting
from swarm.tracker.bell import Bell
from swarm.tracker.browsing import Reader
from swarm.tracker.catalogue import Catalogue
from swarm.tracker.denials import Denials
from swarm.tracker.figures.service import Figures
from swarm.tracker.hearing import heard_of
from swarm.tracker.keys import SwarmKeys
from swarm.tracker.looking import SharedLooks
from swarm.tracker.members import NOT_A_MEMBER, Members
from swarm.tracker.membership import Member
from swarm.tracker.people.identify import Identifier
from swarm.tracker.people.records import People
from swarm.tracker.people.sessions import Sessions
from swarm.tracker.policies import Known
from swarm.tracker.policy import decide
from swarm.tracker.presence import Presence
from swarm.tracker.pushes import Pushes
from swarm.tracker.registry import Listed
from swarm.tracker.revivals import KnownPurges
from swarm.tracker.rights import Rights
from swarm.tracker.rolling import Rolling
from swarm.tracker.tokens import Tokens
from swarm.tracker.tracker_metrics import add_tracker_metrics

STORE_THREADS: Final = 8

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
MemberHandler = Callable[[web.Request, Member], Awaitable[web.StreamResponse]]
AskerHandler = Callable[[web.Request, Principal], Awaitable[web.StreamResponse]]


@dataclass
class TrackerState:
    """One running tracker, without its listener. ``papers`` and ``contact`` are its own; ``listed`` all
    that live, by peer id."""

    objects: ObjectStore
    store_key: bytes
    keys: SwarmKeys
    tokens: Tokens
    members: Members
    rights: Rights
    catalogue: Catalogue
    presence: Presence
    metrics: Metrics
    papers: Membership
    # What people are shown (PEM), perhaps with a chain.
    certificate: bytes
    contact: Contact
    rng: random.Random
    interval_s: int
    pushes: Pushes
    listed: dict[str, Listed] = field(default_factory=dict)
    bootstrap: tuple[Contact, ...] = ()
    # Set when keys were rotated here: the tracker looks after them at once.
    keys_rotated: asyncio.Event = field(default_factory=asyncio.Event)
    bell: Bell = field(default_factory=Bell)
    # Peers that were left in the store, to begin from: what is announced here counts more.
    met: tuple[Contact, ...] = ()
    # Told of each entry that is committed here or pushed: the peer in the same process passes it on.
    on_commit: Callable[[bytes], None] | None = None
    # Told of each tracker's listing that is found: the same.
    on_listed: Callable[[bytes], None] | None = None
    # Told of each order to purge, for the same end.
    on_order: Callable[[bytes], None] | None = None
    # Reads the files of versions for the dashboard: the peer in the same process.
    reader: Reader | None = None
    # What was refused lately.
    denials: Denials = field(default_factory=lambda: Denials(random.SystemRandom()))
    # What was done and refused here, until it is written into the audit.
    noted: Waiting = field(default_factory=Waiting)
    alerting: Alerting = field(default_factory=Alerting)
    # When the certificate ends that people are shown, if one was given (wall seconds).
    given_expires: float = 0.0
    # Makes the entries by which rollouts go on: set before anything is served.
    rolling: Rolling = field(init=False)
    watchers: int = 0
    is_closing: bool = False
    has_ended: bool = False
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(STORE_THREADS, "tracker-store"))

    def __post_init__(self) -> None:
        self.requests: Counter = self.metrics.counter(
            "aetherfs_tracker_requests_total", "Requests answered, by operation and result."
        )
        add_store_metrics(self.metrics, self.objects)
        self.purges = KnownPurges(self.objects)
        self.identifier = Identifier(People(self.objects, self.keys), Sessions(self.store_key), self.work, remote_of)
        self._writing = asyncio.Lock()
        self.audit = Audit(self.objects, self.keys.authority)
        self.figures = Figures(self)
        self.looks = SharedLooks(lambda dataset: self.work(self.catalogue.refresh, dataset))
        self._seconds = self.metrics.histogram(
            "aetherfs_tracker_request_seconds", "How long requests took until their answer began, by operation."
        )
        add_tracker_metrics(self)
        self.alerts = Watching(self, self.alerting)

    @property
    def is_store_away(self) -> bool:
        return standing_of(self.objects).away_since is not None

    @property
    def trackers(self) -> tuple[Contact, ...]:
        """All trackers that live, in the order in which members prefer them."""
        known = sorted((each.listing for each in self.listed.values()), key=lambda listing: listing.age_order)
        return tuple(listing.contact for listing in known[:TRACKERS_MAX])

    def enlist(self, found: Iterable[Listed]) -> list[Contact]:
        """Take listings into account, the younger of each tracker; those trackers that were not known before."""
        new: list[Contact] = []
        for each in found:
            known = self.listed.get(each.listing.peer_id)
            if known is not None and known.listing.wall_time > each.listing.wall_time:
                continue
            if known is None or known.listing.addresses != each.listing.addresses:
                new.append(each.listing.contact)
            self.listed[each.listing.peer_id] = each
            if self.on_listed is not None:
                self.on_listed(each.data)
        self._tell_others()
        return [contact for contact in new if contact.public != self.contact.public]

    def delist(self, peer_id: str) -> None:
        """A tracker has left, or is silent for long."""
        self.listed.pop(peer_id, None)
        self._tell_others()

    def _tell_others(self) -> None:
        self.pushes.know(tuple(contact for contact in self.trackers if contact.public != self.contact.public))

    def heard(self, dataset: str, tag: str) -> list[Heard]:
        """The peers that follow a tag, and what they have of it."""
        return heard_of(self.figures.picture, (dataset, tag), time.monotonic())

    def committed(self, dataset: str, serial: int, entry: bytes) -> None:
        """An entry was committed here: tell who watches, the peer in this process, and the other trackers."""
        self.bell.ring(dataset)
        self.figures.committed(entry)
        if self.on_commit is not None:
            self.on_commit(entry)
        self.pushes.moved(dataset, serial)

    async def work(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run what waits for the object store in a thread of ours. UnreachableError when this tracker has ended."""
        if self.has_ended:
            raise UnreachableError("this tracker has just ended: ask another, or try again")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, lambda: function(*args, **kwargs))

    async def member(self, peer_id: str) -> Member:
        """The membership behind a certificate. NotAllowedError for one that was removed or is not known."""
        member = await self.work(self.members.member, peer_id)
        if member is None:
            self.presence.forget(peer_id)
            raise NotAllowedError(NOT_A_MEMBER)
        return member

    def note(self, who: Principal, action: str, subject: str, detail: str = "") -> None:
        """Somebody has done something that belongs into the audit."""
        self.noted.done(who, action, subject, detail, time.time())

    async def write_audit(self, now: float, *, is_ending: bool = False) -> None:
        """Write what was noted. It stays here while the store is away."""
        async with self._writing:
            while events := self.noted.due(now, time.time(), is_ending=is_ending):
                await self.work(self.audit.write, events, time.time())
                self.noted.written(events)

    async def policy(self) -> Known:
        """The policy that counts now."""
        known = self.rights.known_lately()
        return known if known is not None else await self.work(self.rights.known)

    async def may(self, who: Principal, right: Right, dataset: str) -> bool:
        """Whether the policy gives this right."""
        if who.role == "tracker":
            return True  # Whoever has the CA's key can also mend a policy that is damaged.
        return decide((await self.policy()).policy, who, right, dataset).allowed

    def for_members(self, operation: str, handler: MemberHandler) -> Handler:
        """A handler that only members reach, and that is counted."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(request, member_of(request))

        return self.counted(operation, handle)

    def for_askers(self, operation: str, handler: AskerHandler) -> Handler:
        """A handler for whomever the route's guard lets in, that is counted."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await handler(request, asker_of(request).who)

        return self.counted(operation, handle)

    def counted(self, operation: str, handler: Handler) -> Handler:
        """A handler whose results are counted."""

        async def handle(request: web.Request) -> web.StreamResponse:
            began = time.monotonic()
            try:
                with traces.span(f"tracker {operation}", request.headers):
                    response = await handler(request)
            except AetherError as error:
                self.requests.add(operation=operation, result=error.title)
                raise
            self.requests.add(operation=operation, result="ok")
            # What streams lasts as long as its reader likes.
            if not isinstance(response, web.Response):
                return response
            self._seconds.observe(time.monotonic() - began, operation=operation)
            return response

        return handle


def remote_of(request: web.BaseRequest) -> str:
    """Where the caller is seen: a numeric address, v4 where it is one."""
    text = (request.remote or "").partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


async def body_of(request: web.Request, kind: type[T]) -> T:
    """The JSON body as ``kind``, or UsageError."""
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"the request is malformed: {error}") from error


def dataset_of(request: web.Request) -> str:
    """The dataset in the path, or UsageError."""
    return check_dataset(f"{request.match_info['scope']}/{request.match_info['name']}")


def answer(value: msgspec.Struct) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def number_of(request: web.Request, name: str, default: int, *, lowest: int, highest: int) -> int:
    """A whole number from the query, or UsageError."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and lowest <= int(text) <= highest):
        raise UsageError(f"{name}={text[:40]!r} is not a whole number from {lowest} to {highest}")
    return int(text)
