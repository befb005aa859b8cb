"""The exchange: what channel messages mean, and who follows which version.

It joins the parts that know nothing of each other: access, holdings, channels, mesh, gossip, the run server and the
downloads that follow a version. News of a version goes only to peers whose grant covers its dataset.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from aiohttp import web

from swarm import canonical, clock
from swarm.errors import AetherError, IntegrityError, NotAllowedError, RemoteProtocolError
from swarm.http.routes import Route
from swarm.http.serve import caller_of
from swarm.log import Entry
from swarm.peer.access import Access, Caller
from swarm.peer.channels import Channel, Channels
from swarm.peer.gossip import Decision, Gossip, Tell
from swarm.peer.grants import grant_of
from swarm.peer.holdings import Holding, Holdings
from swarm.peer.ledger import Ledger
from swarm.peer.meeting import Meeting
from swarm.peer.serve import RunServer
from swarm.peer.showing import Showing
from swarm.peer.tasks import Tasks
from swarm.peer.tracker_book import TrackerBook
from swarm.peer.wire import (
    CHANNEL_PATH,
    TAG_PATH,
    CallMe,
    Cancel,
    Have,
    Heads,
    Hello,
    Here,
    Indifferent,
    Interest,
    Message,
    Neighbours,
    News,
    Ordered,
    Ready,
    Recalled,
    Renewed,
    Show,
    Shown,
    StandingBy,
    TagAnswer,
    TagRequest,
    TakesOnly,
    Trackers,
    WhoElse,
)
from swarm.peer.wire import Holding as HoldingMessage
from swarm.tracker.listing import Listing

INTERESTS_MAX: Final = 1024
TAG_REQUEST_MAX_BYTES: Final = 1024
GOSSIP_S: Final = 1.0

log = logging.getLogger("aetherfs.exchange")


class Follower(Protocol):
    """What wants to know who holds a version: a download."""

    dataset: str
    version: bytes
    entry: bytes

    def peer_holds(self, channel: Channel, message: HoldingMessage) -> None: ...
    def peer_has(self, channel: Channel, indices: tuple[int, ...]) -> None: ...
    def peer_ready(self, peer_id: str, run: int) -> None: ...
    def peer_left(self, peer_id: str) -> None: ...


class Exchange:
    """The giving and taking of one peer. ``channels`` and ``meeting`` are set after construction: each needs this."""

    channels: Channels
    meeting: Meeting

    def __init__(
        self, access: Access, holdings: Holdings, runs: RunServer, ledger: Ledger, tasks: Tasks, rng: random.Random
    ) -> None:
        self.access = access
        self.holdings = holdings
        self.runs = runs
        self.showing = Showing(access, holdings, runs)
        self.ledger = ledger
        self._followers: dict[bytes, list[Follower]] = {}
        self.on_news: Callable[[bytes], None] | None = None
        self.trackers = TrackerBook(access.authority)
        self.on_tracker: Callable[[Listing], None] | None = None
        self.on_tracker_left: Callable[[], None] | None = None
        self.on_order: Callable[[bytes, str], None] | None = None
        self.knows_order: Callable[[bytes], bool] = lambda order: False
        self.on_recalled: Callable[[bytes, str], None] | None = None
        self.on_opened: list[Callable[[Channel], None]] = []
        self.on_closed: list[Callable[[Channel], None]] = []
        # Whether a peer is given blocks: who is not need not know of them.
        self.gives: Callable[[str], bool] = lambda peer_id: True
        self.is_metered = False
        self.on_called: Callable[[str], Coroutine[Any, Any, None]] | None = None
        self._tasks = tasks
        self._gossip = Gossip(ledger, rng)
        holdings.watch(self._held)
        runs.on_ready = self._ready

    def routes(self) -> list[Route]:
        """What other peers may call over HTTP."""
        return [
            Route("GET", CHANNEL_PATH, self.channels.accept, "member", "The channel of a pair of peers (WebSocket)"),
            Route("POST", TAG_PATH, self._tag, "member", "The signed entry that moved a tag last"),
        ]

    # ---- following ----------------------------------------------------------------------------------------------

    def follow(self, follower: Follower) -> None:
        """Learn who holds the version, over every channel, now and later."""
        self._followers.setdefault(follower.version, []).append(follower)
        self.meeting.want(follower.version, until=float("inf"))
        for channel in self.channels.open.values():
            self._ask(channel, follower)

    def unfollow(self, follower: Follower) -> None:
        followers = self._followers.get(follower.version, [])
        if follower in followers:
            followers.remove(follower)
        if not followers and self._followers.pop(follower.version, None) is not None:
            self.meeting.want_no_more(follower.version)
            for channel in self.channels.open.values():
                channel.send(Indifferent(follower.version))

    def ask_again(self, follower: Follower) -> None:
        """Ask every neighbour anew what it holds: for a download that does not get on."""
        for channel in self.channels.open.values():
            self._ask(channel, follower)

    def _following(self, version: bytes | None = None) -> list[Follower]:
        """Who follows a version, or any."""
        if version is not None:
            return list(self._followers.get(version, ()))
        return [follower for followers in self._followers.values() for follower in followers]

    def _ask(self, channel: Channel, follower: Follower) -> None:
        if channel.caller.may_read(follower.dataset):
            channel.send(Interest(follower.dataset, follower.version, follower.entry))

    # ---- channel events -----------------------------------------------------------------------------------------

    def opened(self, channel: Channel) -> None:
        self.meeting.opened(channel)
        # An origin that we hear of at our site must not send others here who are elsewhere.
        if self.is_metered or not self.gives(channel.peer_id):
            channel.send(TakesOnly())
        if listings := self.trackers.told():
            channel.send(Trackers(listings))
        self._spread(self._gossip.opened(channel.peer_id, lambda dataset: channel.caller.may_read(dataset)))
        for follower in self._following():
            self._ask(channel, follower)
        for told in self.on_opened:
            told(channel)

    def closed(self, channel: Channel) -> None:
        self.meeting.closed(channel)
        self._gossip.closed(channel.peer_id)
        self.showing.left(channel.peer_id)
        if channel.role == "tracker" and self.on_tracker_left is not None:
            self.on_tracker_left()
        self.runs.peer_left(channel.peer_id)
        for follower in self._following():
            follower.peer_left(channel.peer_id)
        for told in self.on_closed:
            told(channel)

    def heard(self, channel: Channel) -> None:
        self.meeting.mesh.heard(channel.peer_id, time.monotonic())

    def received(self, channel: Channel, message: Message) -> None:
        """Act on a message. RemoteProtocolError for one that no honest peer sends."""
        match message:
            case Interest():
                self._tasks.start(self._interested(channel, message))
            case Indifferent():
                self._uninterested(channel, message.version)
            case HoldingMessage():
                for follower in self._following(message.version):
                    self.meeting.mesh.serves(channel.peer_id, message.version)
                    follower.peer_holds(channel, message)
            case Show():
                self._tasks.start(self.showing.show(channel, message))
            case Shown():
                self.showing.came(channel, message)
            case Have():
                for follower in self._following(message.version):
                    follower.peer_has(channel, message.indices)
            case Cancel():
                self.runs.cancel(channel.peer_id, message.run, message.signatures)
            case StandingBy():
                self._stands_by(channel, message)
            case TakesOnly():
                self.runs.takes_only(channel.peer_id)
            case CallMe():
                self._called(channel)
            case Ready():
                for follower in self._following():
                    follower.peer_ready(channel.peer_id, message.run)
            case News():
                self._news(channel, message.entry)
            case Heads():
                now = time.monotonic()
                self._spread(self._gossip.compared(channel.peer_id, message.heads, message.whole, now))
            case Trackers():
                if channel.may_tell(time.monotonic()):
                    for listing in message.listings:
                        self.tracker_listed(listing, channel.peer_id)
            case Ordered():
                self._ordered(channel, message.order)
            case Recalled():
                self._recalled(channel, message.recalls)
            case Renewed():
                self._renewed(channel, message.grant)
            case Here() | WhoElse() | Neighbours():
                self.meeting.received(channel, message)
            case Hello():
                raise RemoteProtocolError("a second hello on one channel")

    def _stands_by(self, channel: Channel, message: StandingBy) -> None:
        """Whoever may know what we hold of a version may stand by for its blocks. An origin has none stand by."""
        dataset = channel.interests.get(message.version)
        holding = self.holdings.get(dataset, message.version) if dataset is not None else None
        if holding is None or holding.origin or message.index >= len(holding.manifest.unique):
            return
        signature = holding.manifest.unique[message.index].signature
        self.runs.stand_by(channel.peer_id, message.run, message.version, signature)

    def _called(self, channel: Channel) -> None:
        """A neighbour cannot dial us: dial it, if it may have something of us at all."""
        if self.on_called is not None and channel.interests and channel.may_tell(time.monotonic()):
            self._tasks.start(self.on_called(channel.peer_id))

    def _ready(self, peer: str, run: int) -> None:
        channel = self.channels.open.get(peer)
        if channel is not None:
            channel.send(Ready(run))

    async def _interested(self, channel: Channel, message: Interest) -> None:
        if not channel.caller.may_read(message.dataset) or len(channel.interests) >= INTERESTS_MAX:
            return
        if not self.access.shows(message.dataset, message.version, message.entry):
            return
        channel.interests[message.version] = message.dataset
        self.meeting.mesh.needs(channel.peer_id, message.version)
        holding = await self.holdings.find(message.dataset, message.version)
        if holding is not None and self.gives(channel.peer_id):
            channel.send(_describe(holding))

    def _held(self, holding: Holding, indices: tuple[int, ...] | None) -> None:
        if indices is not None:
            self.meeting.mesh.progressed(holding.version, time.monotonic())
            return
        for channel in self.channels.open.values():
            if channel.interests.get(holding.version) == holding.dataset and self.gives(channel.peer_id):
                channel.send(_describe(holding))

    def tell(self, follower: Follower, news: Callable[[str], tuple[int, ...]]) -> None:
        """Tell who wants to know of a version which blocks are new here; ``news`` are those that a peer lacks."""
        for channel in self.channels.open.values():
            is_told = channel.interests.get(follower.version) == follower.dataset and self.gives(channel.peer_id)
            if is_told and (indices := news(channel.peer_id)):
                channel.send(Have(follower.version, indices))

    # ---- news ---------------------------------------------------------------------------------------------------

    def announce(self, entry: bytes) -> None:
        """Tell the swarm of a log entry that was made here, or found; once."""
        known = self.access.learn(entry)
        self.ledger.record(known, entry)
        self._learnt(known, entry, "", 0)

    async def gossip(self) -> None:
        """Send what has waited, and compare with neighbours, until cancelled."""
        while True:
            await asyncio.sleep(GOSSIP_S)
            self._spread(self._gossip.tick(time.monotonic()))
            try:
                self.ledger.flush()
            except AetherError as error:
                log.warning("what was heard of tags is not saved: %s", error)

    def _news(self, channel: Channel, entry: bytes) -> None:
        if not self._gossip.may_come(channel.peer_id, time.monotonic()):
            return
        try:
            known = self.access.learn(entry)
        except RemoteProtocolError:
            log.info("news that prove nothing were thrown away")
            return
        before = self.ledger.head(known.dataset)
        try:
            is_new = self.ledger.record(known, entry, is_news=True)
        except IntegrityError as error:
            log.error("%s (told by %s)", error, channel.peer_id[:8])
            return
        if is_new:
            self._learnt(known, entry, channel.peer_id, before)
            if self.on_news is not None:
                self.on_news(entry)

    def _ordered(self, channel: Channel, order: bytes) -> None:
        # Every neighbour tells what we know: that costs nothing, and so it takes no room from news.
        if self.on_order is None or self.knows_order(order):
            return
        if not self._gossip.may_come(channel.peer_id, time.monotonic()):
            return
        try:
            self.on_order(order, channel.peer_id)
        except RemoteProtocolError as error:
            # It may be under a key of the CA that only the neighbour has heard of yet.
            log.info("an order was thrown away: %s", error)

    def _recalled(self, channel: Channel, data: bytes) -> None:
        # Every neighbour tells what we know: that costs nothing. What is new costs a seal.
        if data == self.access.recalls_data or not channel.may_tell(time.monotonic()):
            return
        try:
            if self.on_recalled is not None:
                self.on_recalled(data, channel.peer_id)
        except RemoteProtocolError as error:
            log.info("a list of recalled grants was thrown away: %s", error)

    def reconsider(self) -> None:
        """Grants were recalled: whoever showed one of them is told of nothing more that it gave."""
        for channel in list(self.channels.open.values()):
            if self.access.is_removed(channel.peer_id):
                self.channels.drop(channel.peer_id)
            elif channel.caller.grant is not None and self.access.is_recalled(channel.caller.grant):
                channel.caller = Caller(channel.peer_id, None)
                for version in list(channel.interests):
                    self._uninterested(channel, version)

    def _renewed(self, channel: Channel, grant: bytes) -> None:
        if channel.may_tell(time.monotonic()):
            self._believe(channel, grant)
        else:
            self.channels.drop(channel.peer_id)  # it may come again, and show its grant then

    def _believe(self, channel: Channel, grant: bytes) -> None:
        """Go by a grant that a neighbour shows; one that proves nothing changes nothing, and is looked at again when
        we hear of another key.
        """
        shown = self.access.caller(channel.peer_id, grant, clock.wall_now())
        channel.unproved = b"" if shown.grant is not None else grant
        if shown.grant is not None:
            channel.caller = shown

    def keys_learnt(self) -> None:
        """The CA has a key that we did not know: neighbours may have shown grants under it before."""
        for channel in list(self.channels.open.values()):
            if channel.unproved:
                self._believe(channel, channel.unproved)
                for follower in self._following():
                    self._ask(channel, follower)

    def _uninterested(self, channel: Channel, version: bytes) -> None:
        channel.interests.pop(version, None)
        self.meeting.mesh.needs_no_more(channel.peer_id, version)

    def renewed(self, grant: bytes) -> None:
        """Show every neighbour our grant of now, and ask again what it may tell us."""
        for channel in self.channels.open.values():
            channel.send(Renewed(grant))
            for follower in self._following():
                self._ask(channel, follower)

    def _learnt(self, known: Entry, entry: bytes, source: str, before: int) -> None:
        now = time.monotonic()
        self._spread(self._gossip.learnt(known.dataset, known.serial, entry, now, source=source, before=before))

    def _spread(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            channel = self.channels.open.get(decision.peer)
            if channel is not None:
                told = News(decision.entry) if isinstance(decision, Tell) else Heads(decision.heads, decision.whole)
                channel.send(told)

    # ---- trackers -----------------------------------------------------------------------------------------------

    def tracker_listed(self, data: bytes, source: str = "") -> None:
        """A tracker's listing was found, or told by a neighbour: what is news goes on to all others."""
        try:
            listing = self.trackers.learn(data, clock.wall_now())
        except RemoteProtocolError as error:
            log.info("a tracker's listing that proves nothing was thrown away: %s", error)
            return
        if listing is None:
            return
        for channel in self.channels.open.values():
            if channel.peer_id != source:
                channel.send(Trackers((data,)))
        if self.on_tracker is not None:
            self.on_tracker(listing)

    # ---- tags ---------------------------------------------------------------------------------------------------

    async def _tag(self, request: web.Request) -> web.StreamResponse:
        peer_id = caller_of(request)
        if peer_id is None:
            raise NotAllowedError("this needs a certificate of the swarm")
        asked = canonical.decode(await request.read(), TagRequest, limit_bytes=TAG_REQUEST_MAX_BYTES)
        caller = self.access.caller(peer_id, grant_of(request), clock.wall_now())
        entry = b""
        if caller.may_read(asked.dataset):
            found = (
                self.ledger.entry_of_version(asked.dataset, asked.version)
                if not asked.tag
                else self.ledger.entry_of_tag(asked.dataset, asked.tag)
            )
            entry = found or b""
        return web.Response(body=canonical.encode(TagAnswer(1, entry)), content_type="application/octet-stream")


def _describe(holding: Holding) -> HoldingMessage:
    return HoldingMessage(holding.version, holding.is_complete, holding.origin, holding.bits())
