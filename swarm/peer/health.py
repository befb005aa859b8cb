"""Routes for those who look after a peer or a seed: alive, ready, metrics; of its agent, and of a seed's listener."""

from __future__ import annotations

import shutil

from aiohttp import web

from swarm import clock
from swarm.errors import RemoteProtocolError
from swarm.http.routes import Access, Route, mount
from swarm.http.serve import make_app, start_listener
from swarm.peer.doctor import DISK_FAIL_BYTES, LAG_WARN_S, PAPERS_WARN_S
from swarm.peer.node import PeerNode
from swarm.peer.status import store_of
from swarm.readiness import VERBOSE, Check, alive, lasting, readiness
from swarm.records import Credential, term_of


def health_routes(node: PeerNode, access: Access = "public") -> list[Route]:
    """The declarations."""

    async def live(request: web.Request) -> web.StreamResponse:
        return alive()

    async def ready(request: web.Request) -> web.StreamResponse:
        return readiness(checks_of(node), request)

    async def exposition(request: web.Request) -> web.StreamResponse:
        body, kind = node.metrics.answer(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    return [
        Route("GET", "/livez", live, access, "Whether the process runs", response="text/plain"),
        Route("GET", "/readyz", ready, access, "Whether it does what it is for", None, "text/plain", (VERBOSE,)),
        Route("GET", "/metrics", exposition, access, "Prometheus metrics", response="text/plain"),
    ]


async def listen(node: PeerNode, host: str, port: int) -> None:
    """Answer these routes at an address of their own, without TLS: for probes and Prometheus in a cluster's network."""
    app = make_app()
    mount(app, health_routes(node))
    listener = node.listeners["health"] = await start_listener(app, host, port, None)
    node.at_close(listener.close)


def checks_of(node: PeerNode) -> list[Check]:
    """How each part stands. Nothing here waits for anything."""
    return [_process(node), *_store(node), _tracker(node), _papers(node), _clock(), _disk(node), _loop(node)]


def _process(node: PeerNode) -> Check:
    if not node.is_ready.is_set():
        return Check("process", "failed", "it is starting")
    return Check("process", "failed", "it is ending") if node.ending.is_begun else Check("process", "ok")


def _store(node: PeerNode) -> list[Check]:
    if node.objects is None:
        return []
    store = store_of(node, node.objects)
    if "away_since" not in store:
        return [Check("store", "ok")]
    told = [f"the object store is {store['state']} ({store['why']})", *store["affected"]]
    return [Check("store", "degraded", "; ".join(told))]


def _tracker(node: PeerNode) -> Check:
    announcer = node.announcer
    if announcer.is_answered or announcer.tracker_state == "not asked yet":
        return Check("tracker", "ok", announcer.tracker_state)
    return Check("tracker", "degraded", announcer.tracker_state)


def _papers(node: PeerNode) -> Check:
    try:
        expires = term_of(node.papers.credential, Credential, node.access.authority)[1]
    except RemoteProtocolError as error:
        return Check("certificate", "degraded", str(error))
    return lasting("certificate", expires - clock.wall_now(), PAPERS_WARN_S)


def _clock() -> Check:
    return Check("clock", "degraded", "the clock cannot be right") if clock.is_wrong() else Check("clock", "ok")


def _disk(node: PeerNode) -> Check:
    try:
        free = shutil.disk_usage(node.home.path).free
    except OSError as error:
        return Check("disk", "degraded", f"the home cannot be looked at: {error.strerror}")
    is_full = free < DISK_FAIL_BYTES
    return Check("disk", "degraded", "the home's disk is full") if is_full else Check("disk", "ok")


def _loop(node: PeerNode) -> Check:
    late_s = node.loop_lag.worst_s
    if late_s > LAG_WARN_S:
        return Check("event-loop", "degraded", f"the event loop was late by {late_s:.1f} s")
    return Check("event-loop", "ok")
