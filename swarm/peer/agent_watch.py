"""What an agent follows, over HTTP: the resources of its subscriptions, and news as server-sent events.

    GET  /api/v1/agent/subscriptions[/{id}]     DELETE /api/v1/agent/subscriptions/{id}
    GET  /api/v1/agent/watch[?ref=...]          event: tag | subscription, data: one JSON object

A watch begins with what is so now, so who comes back after a break has lost nothing but what was overtaken. A reader
that is slow is cut off, and comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from swarm import events, names
from swarm.agent_messages import SubscriptionChanged, SubscriptionList, TagMoved
from swarm.errors import AetherError, FullError, UsageError
from swarm.http.problem import Handler
from swarm.http.routes import Route
from swarm.http.validate import query_of
from swarm.identity import peer_id_of
from swarm.log import Entry
from swarm.names import Reference
from swarm.peer.agent_verbs import JSON, PREFIX
from swarm.peer.following import Following
from swarm.peer.node import PeerNode
from swarm.subscription import Subscription

PAGE_MAX: Final = 100
WATCHES_MAX: Final = 64
# Events that a slow reader has not taken.
BACKLOG: Final = 256
KEEP_ALIVE_S: Final = 15.0
# News come over channels; this is for a watch of a tag whose news were lost.
POLL_S: Final = 60.0


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``cursor``: where the last page ended."""

    cursor: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE_MAX


class WatchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``ref``: only this tag and its subscriptions; all without it."""

    ref: str = ""


def watch_routes(node: PeerNode) -> list[Route]:
    """The declarations."""
    serve = _Serve(node)

    def route(method: str, path: str, handler: Handler, summary: str, response: type | str, query: Any = ()) -> Route:
        return Route(method, f"{PREFIX}/{path}", handler, "control", summary, response=response, query=query)

    one = "subscriptions/{id}"
    return [
        route("GET", "subscriptions", serve.listed, "What this home follows", SubscriptionList, PageQuery),
        route("GET", one, serve.one, "One subscription", Subscription),
        route("DELETE", one, serve.remove, "Follow it no longer; its directory stays as it is", Subscription),
        route("GET", "watch", serve.watch, "News of tags and subscriptions", events.CONTENT_TYPE, WatchQuery),
    ]


class _Serve:
    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._watches = 0

    async def listed(self, request: web.Request) -> web.StreamResponse:
        asked = query_of(request, PageQuery)
        told = sorted((following.told() for following in self._node.subscriptions), key=lambda each: each.id)
        page = [each for each in told if each.id > asked.cursor][: asked.limit]
        after = page[-1].id if page and page[-1] is not told[-1] else ""
        return _json(SubscriptionList(tuple(page), self._node.settings.follows, after))

    async def one(self, request: web.Request) -> web.StreamResponse:
        return _json(self._node.subscriptions.get(request.match_info["id"]).told())

    async def remove(self, request: web.Request) -> web.StreamResponse:
        following = self._node.subscriptions.get(request.match_info["id"])
        await self._node.subscriptions.remove(following)
        return _json(following.told())

    async def watch(self, request: web.Request) -> web.StreamResponse:
        asked = query_of(request, WatchQuery)
        reference = names.parse(asked.ref) if asked.ref else None
        if reference is not None and (reference.tag is None or reference.path is not None):
            raise UsageError(f"{asked.ref!r} is not a tag: watch NAME:TAG")
        if self._watches >= WATCHES_MAX:
            raise FullError(f"this agent has {WATCHES_MAX} open watches: end one of them first")
        self._watches += 1
        try:
            async with _News(self._node, reference).heard() as news:
                response = web.StreamResponse(
                    headers={"Content-Type": events.CONTENT_TYPE, "Cache-Control": "no-cache"}
                )
                await response.prepare(request)
                await _pass_on(news, response)
                return response
        finally:
            self._watches -= 1


async def _pass_on(news: asyncio.Queue[bytes | None], response: web.StreamResponse) -> None:
    """Write events until the reader leaves or has been too slow."""
    with contextlib.suppress(ConnectionError):
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    event = await news.get()
            except TimeoutError:
                event = events.KEEP_ALIVE
            if event is None:
                return
            await response.write(event)


class _News:
    """What one watch is told."""

    def __init__(self, node: PeerNode, reference: Reference | None) -> None:
        self._node = node
        self._reference = reference
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(BACKLOG + 1)

    @contextlib.asynccontextmanager
    async def heard(self) -> AsyncIterator[asyncio.Queue[bytes | None]]:
        """The queue of events, begun with what is so now; None ends it."""
        ends: list[Callable[[], None]] = []
        polling = self._node.tasks.start(self._poll())
        try:
            if self._reference is not None:
                await self._node.finder.resolve(self._reference)
                entry = self._node.ledger.last_of_tag(self._reference.dataset, self._reference.tag or "")
                if entry is not None:
                    self._entry(entry)
            ends.append(self._node.ledger.watch(self._entry))
            for following in self._node.subscriptions:
                self._subscription(following)
            ends.append(self._node.subscriptions.watch(self._subscription))
            yield self._queue
        finally:
            for end in ends:
                end()
            polling.cancel()

    async def _poll(self) -> None:
        """Look for what channels did not bring. It ends with the node, and ends the watch then."""
        try:
            while True:
                await asyncio.sleep(POLL_S)
                if self._reference is not None:
                    with contextlib.suppress(AetherError):  # it is asked again
                        await self._node.finder.resolve(self._reference)
        finally:
            if not self._queue.full():
                self._queue.put_nowait(None)

    def _entry(self, entry: Entry) -> None:
        wanted = self._reference
        for move in entry.moves:
            if wanted is not None and (entry.dataset, move.tag) != (wanted.dataset, wanted.tag):
                continue
            told = TagMoved(
                dataset=entry.dataset,
                tag=move.tag,
                version=move.version.hex() if move.version is not None else None,
                serial=entry.serial,
                kind=entry.kind,
                message=entry.message,
                publisher=peer_id_of(entry.publisher),
                time=entry.wall_time,
                held=self._node.admitted.meaning(entry, move.tag)[1],
            )
            self._put(b"tag", told)

    def _subscription(self, following: Following) -> None:
        wanted, reference = self._reference, following.wanted.reference
        if wanted is None or (reference.dataset, reference.tag) == (wanted.dataset, wanted.tag):
            self._put(b"subscription", SubscriptionChanged(following.told(), following.is_removed))

    def _put(self, event: bytes, told: msgspec.Struct) -> None:
        if self._queue.qsize() < BACKLOG:
            self._queue.put_nowait(b"event: %s\ndata: %s\n\n" % (event, msgspec.json.encode(told)))
        elif not self._queue.full():
            self._queue.put_nowait(None)


def _json(value: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type=JSON)
