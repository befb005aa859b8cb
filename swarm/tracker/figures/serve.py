"""Routes: reports in, from peers and from other trackers; figures out, asked for once or as a stream of events."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final

import msgspec
from aiohttp import web

from swarm import canonical, events
from swarm.errors import NotFoundError, UsageError
from swarm.figure_messages import (
    Blocks,
    DhtFigures,
    Events,
    Flow,
    Heat,
    Origin,
    Overview,
    Peer,
    Peers,
    Rollout,
    RolloutLog,
    Rollouts,
    Series,
)
from swarm.figure_performance import Performance
from swarm.http.routes import Access, Route
from swarm.http.validate import query_of
from swarm.identity import public_of
from swarm.names import check_tag
from swarm.principal import Principal
from swarm.reports import RELAY_MAX_BYTES, RELAY_PATH, REPORT_PATH, Relay
from swarm.signature import from_hex
from swarm.tracker.asking import is_still_let_in
from swarm.tracker.figures.copies import RANGES_DEFAULT, RANGES_MAX
from swarm.tracker.figures.happened import EVENTS_PATH
from swarm.tracker.figures.heat import heat_view
from swarm.tracker.figures.hub import Listener
from swarm.tracker.figures.peer_views import Asked, peer_view, peers_view
from swarm.tracker.figures.picture import SERIES
from swarm.tracker.figures.swarm_views import dht_view, flow_view, origin_view
from swarm.tracker.figures.topics import View, check_sees_all, events_view, topics_of
from swarm.tracker.figures.views import overview
from swarm.tracker.membership import Member
from swarm.tracker.policy import patterns_of
from swarm.tracker.serve_forecasts import forecast_routes
from swarm.tracker.state import AskerHandler, MemberHandler, TrackerState, answer, dataset_of, remote_of

MSGPACK: Final = "application/msgpack"
PREFIX: Final = "/api/v1/figures"
# A page knows by this that the stream lives, and since when it does not.
BEAT_S: Final = 5.0
RECHECK_S: Final = 5.0
# Who takes nothing for so long does not read.
WRITE_TIMEOUT_S: Final = 15.0
PAGE_MAX: Final = 500
FLOW_S: Final = 60.0
SERIES_S: Final = 300.0

Text = Annotated[str, msgspec.Meta(max_length=128)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)]
Number = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53))]
Since = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class PeersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``cursor`` is where the last page ended; the others narrow the list down."""

    cursor: Text = ""
    limit: Limit = 100
    site: Text = ""
    label: Text = ""
    state: Text = ""
    search: Text = ""
    dataset: Text = ""


class SerialQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``serial``: which move of the tag; the last without it."""

    serial: Number = 0


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of an event log, from step ``after`` on; with ``last`` so many of the last ones that come after it."""

    serial: Number = 0
    after: Number = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=20_000)] = 5000
    last: Annotated[int, msgspec.Meta(ge=0, le=20_000)] = 0


class BlocksQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``version`` in hex; without it what that tag means which moved last. Into how many ``ranges`` blocks are put."""

    version: Text = ""
    ranges: Annotated[int, msgspec.Meta(ge=1, le=RANGES_MAX)] = RANGES_DEFAULT


class FlowQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wall seconds; the last minute without it."""

    since: Since = 0.0


class SeriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure since a moment (wall seconds); the last five minutes without it."""

    name: Text
    since: Since = 0.0


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Those after a number, or ``since`` a moment (wall seconds)."""

    after: Number = 0
    since: Since = 0.0
    limit: Limit = 200


class StreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``topics`` with commas between."""

    topics: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


def figure_routes(state: TrackerState) -> list[Route]:
    """The declarations."""
    serve = _Serve(state)
    rollout, blocks = "/rollouts/{scope}/{name}/{tag}", "/blocks/{scope}/{name}"

    def get(
        path: str,
        handler: AskerHandler,
        summary: str,
        response: type | str,
        query: type | tuple[str, ...] = (),
        *,
        of_dataset: bool = False,
    ) -> Route:
        access: Access = "read" if of_dataset else "known"
        counted = state.for_askers("figures", handler)
        return Route("GET", PREFIX + path, counted, access, summary, response=response, query=query)

    return [
        *_told_routes(state, serve),
        get("/overview", serve.overview, "How every tag stands that peers follow", Overview),
        get("/rollouts", serve.rollouts, "The rollouts of late", Rollouts),
        get(rollout, serve.rollout, "One rollout as it stands", Rollout, SerialQuery, of_dataset=True),
        get(rollout + "/events", serve.log, "Its event log", RolloutLog, LogQuery, of_dataset=True),
        get(blocks, serve.blocks, "How many copies of its blocks there are", Blocks, BlocksQuery, of_dataset=True),
        get("/heat/{scope}/{name}", serve.heat, "Which parts of its versions are read", Heat, of_dataset=True),
        get(
            "/performance/{scope}/{name}",
            serve.performance,
            "How it performs: moves, what was foreseen of them, who has what, what is read",
            Performance,
            of_dataset=True,
        ),
        get("/flow", serve.flow, "Who feeds whom", Flow, FlowQuery),
        get("/peers", serve.peers, "The peers, page by page", Peers, PeersQuery),
        get("/peers/{peer}", serve.peer, "All that is known of one peer", Peer),
        get("/dht", serve.dht, "The DHT as its nodes tell of it", DhtFigures),
        get("/origin", serve.origin, "What the origin carried, and what that cost", Origin),
        get("/series", serve.series, "One figure over time", Series, SeriesQuery),
        get("/events", serve.events, "What happened in the swarm", Events, EventsQuery),
        get("/stream", serve.stream, "News of chosen topics as they come", events.CONTENT_TYPE, StreamQuery),
        *forecast_routes(state),
    ]


def _told_routes(state: TrackerState, serve: _Serve) -> list[Route]:
    """What peers report, and what trackers tell one another."""

    def post(path: str, name: str, handler: MemberHandler, access: Access, summary: str) -> Route:
        return Route("POST", path, state.for_members(name, handler), access, summary, request=MSGPACK, response=MSGPACK)

    return [
        post(
            REPORT_PATH,
            "report",
            serve.report,
            "member",
            "What a peer tells of itself; when the next is wanted back",
        ),
        post(RELAY_PATH, "relay", serve.relay, "tracker", "What another tracker was told by peers"),
        post(
            EVENTS_PATH,
            "happened",
            serve.happened,
            "tracker",
            "What this tracker knows that happened, for another",
        ),
    ]


class _Serve:
    def __init__(self, state: TrackerState) -> None:
        self.state = state
        self.figures = state.figures
        self.picture = state.figures.picture

    # ---- in -----------------------------------------------------------------------------------------------------

    async def report(self, request: web.Request, member: Member) -> web.Response:
        data = await request.read()
        told = await self.figures.reported(member, remote_of(request), data, time.monotonic())
        return web.Response(body=canonical.encode(told), content_type=MSGPACK)

    async def relay(self, request: web.Request, member: Member) -> web.Response:
        relay = canonical.decode(await request.read(), Relay, limit_bytes=RELAY_MAX_BYTES)
        told = self.figures.relayed(relay, time.monotonic())
        return web.Response(body=canonical.encode(told), content_type=MSGPACK)

    async def happened(self, request: web.Request, member: Member) -> web.Response:
        return web.Response(body=self.figures.uniting.answer(await request.read()), content_type=MSGPACK)

    # ---- out ----------------------------------------------------------------------------------------------------

    async def _patterns(self, who: Principal) -> tuple[str, ...]:
        return patterns_of((await self.state.policy()).policy, who, "read")

    async def _view(self, who: Principal) -> View:
        return View(await self._patterns(who))

    async def _view_of_all(self, who: Principal) -> View:
        view = await self._view(who)
        check_sees_all(view)
        return view

    async def overview(self, request: web.Request, who: Principal) -> web.Response:
        view = await self._view(who)
        return answer(overview(self.picture, view.may_read, time.monotonic()))

    async def rollouts(self, request: web.Request, who: Principal) -> web.Response:
        view = await self._view(who)
        return answer(await self.figures.rollouts(view, time.monotonic()))

    async def rollout(self, request: web.Request, who: Principal) -> web.Response:
        key = (dataset_of(request), check_tag(request.match_info["tag"]))
        return answer(await self.figures.rollout(key, query_of(request, SerialQuery).serial, time.monotonic()))

    async def log(self, request: web.Request, who: Principal) -> web.Response:
        key, asked = (dataset_of(request), check_tag(request.match_info["tag"])), query_of(request, LogQuery)
        return answer(await self.figures.rollout_log(key, asked.serial, asked.after, asked.limit, asked.last))

    async def blocks(self, request: web.Request, who: Principal) -> web.Response:
        asked = query_of(request, BlocksQuery)
        version = from_hex(asked.version) if asked.version else b""
        dataset, view = dataset_of(request), await self._view(who)
        found = await self.figures.blocks(dataset, view, time.monotonic(), version, asked.ranges)
        if found.why_no_files and await self.figures.laying.comes_soon(dataset, bytes.fromhex(found.version)):
            found = await self.figures.blocks(dataset, view, time.monotonic(), version, asked.ranges)
        return answer(found)

    async def heat(self, request: web.Request, who: Principal) -> web.Response:
        now = time.monotonic()
        return answer(heat_view(self.picture.peers.values(), dataset_of(request), self.picture.wall(now)))

    async def performance(self, request: web.Request, who: Principal) -> web.Response:
        return answer(await self.figures.performance(dataset_of(request), time.monotonic()))

    async def flow(self, request: web.Request, who: Principal) -> web.Response:
        await self._view_of_all(who)
        now, since = time.monotonic(), query_of(request, FlowQuery).since
        after = since - self.picture.offset if since else now - FLOW_S
        return answer(flow_view(self.picture, self.picture.flow.since(after), now))

    async def peers(self, request: web.Request, who: Principal) -> web.Response:
        await self._view_of_all(who)
        asked = msgspec.structs.asdict(query_of(request, PeersQuery))
        return answer(peers_view(self.picture, Asked(**asked), time.monotonic()))

    async def peer(self, request: web.Request, who: Principal) -> web.Response:
        view = await self._view_of_all(who)
        public = public_of(request.match_info["peer"])
        await self.figures.know_joined(public)
        peer = self.picture.peers.get(public)
        if peer is None:
            raise NotFoundError("this peer was not heard of lately: see `aetherfs member ls`")
        return answer(peer_view(self.picture, peer, view.may_read, self.figures.tracker_id, time.monotonic()))

    async def dht(self, request: web.Request, who: Principal) -> web.Response:
        await self._view_of_all(who)
        return answer(dht_view(self.picture, time.monotonic()))

    async def origin(self, request: web.Request, who: Principal) -> web.Response:
        await self._view_of_all(who)
        return answer(origin_view(self.picture, self.figures.prices, time.monotonic()))

    async def series(self, request: web.Request, who: Principal) -> web.Response:
        await self._view_of_all(who)
        asked = query_of(request, SeriesQuery)
        if asked.name not in SERIES:
            raise UsageError(f"{asked.name[:80]!r} is no series: known are {', '.join(SERIES)}")
        wall_now = self.picture.wall(time.monotonic())
        step_s, points = self.picture.rings.read(asked.name, asked.since or wall_now - SERIES_S, wall_now)
        return answer(Series(asked.name, step_s, tuple(points)))

    async def events(self, request: web.Request, who: Principal) -> web.Response:
        view, asked = await self._view(who), query_of(request, EventsQuery)
        after = max(asked.after, self.picture.happenings.since(asked.since) if asked.since else 0)
        return answer(events_view(self.picture, view, time.monotonic(), after, asked.limit, asked.since))

    # ---- stream -------------------------------------------------------------------------------------------------

    async def stream(self, request: web.Request, who: Principal) -> web.StreamResponse:
        topics = [text for text in query_of(request, StreamQuery).topics.split(",") if text]
        last_id = request.headers.get("Last-Event-ID", "")
        peers, view = [topic.peer for topic in topics_of(topics) if topic.peer], await self._view(who)
        for public in peers if view.sees_all else ():
            await self.figures.know_joined(public)
        listener = self.figures.hub.join(topics, view.patterns, last_id, str(who))
        response = web.StreamResponse(headers={"Content-Type": events.CONTENT_TYPE, "Cache-Control": "no-store"})
        try:
            await response.prepare(request)
            await self._send(request, response, listener, who)
            if listener.is_lost:
                _hang_up(request)
        except TimeoutError:
            _hang_up(request)
        finally:
            self.figures.hub.leave(listener)
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, listener: Listener, who: Principal
    ) -> None:
        """Until the caller leaves, may see something else than before, is too slow, or the tracker closes. TimeoutError
        if it takes nothing.
        """
        loop, hub = asyncio.get_running_loop(), self.figures.hub
        beat_at = checked_at = loop.time()
        await asyncio.wait_for(response.write(b"retry: 2000\n\n"), WRITE_TIMEOUT_S)
        while not hub.is_closed and not listener.is_lost:
            message = listener.take()
            if loop.time() - checked_at >= RECHECK_S:
                checked_at = loop.time()
                if not await is_still_let_in(request) or await self._patterns(who) != listener.patterns:
                    return
            if loop.time() - beat_at >= BEAT_S:
                beat_at = loop.time()
                message += b'event: beat\ndata: {"at":%.3f}\n\n' % self.picture.wall(time.monotonic())
            if message:
                self.picture.stream_bytes += len(message)
                await asyncio.wait_for(response.write(message), WRITE_TIMEOUT_S)
                continue
            await listener.wait(BEAT_S / 2)


def _hang_up(request: web.Request) -> None:
    """End the connection at once: its end would wait behind what is not taken."""
    if request.transport is not None:
        request.transport.abort()
