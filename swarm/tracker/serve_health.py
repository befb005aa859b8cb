"""Routes for those who look after a tracker: alive, ready, metrics."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiohttp import web

from swarm.errors import NotAllowedError, RemoteProtocolError, UnreachableError
from swarm.http.routes import Route
from swarm.http.serve import caller_of
from swarm.objects.standing import AFFECTED_TRACKER
from swarm.readiness import VERBOSE, Check, alive, lasting, readiness
from swarm.records import Credential, term_of
from swarm.tracker.alerts.drawing import CA_KEY_S, OWN_PAPERS_S
from swarm.tracker.keys import CA_KEY
from swarm.tracker.presence import is_loopback
from swarm.tracker.state import TrackerState, remote_of
from swarm.tracker.tracker_metrics import sealing_until

READY_TIMEOUT_S: Final = 5.0


def health_routes(state: TrackerState) -> list[Route]:
    """The declarations."""

    async def livez(request: web.Request) -> web.Response:
        return alive()

    async def readyz(request: web.Request) -> web.Response:
        return readiness(
            [_closing(state), await _store(state), _papers(state), _ca_key(state), _alerts(state)], request
        )

    async def exposition(request: web.Request) -> web.Response:
        peer_id = caller_of(request)
        if peer_id is not None:
            await state.member(peer_id)
        body, kind = state.metrics.answer(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    return [
        Route("GET", "/livez", livez, "public", "Whether the process runs", response="text/plain"),
        Route("GET", "/readyz", readyz, "public", "Whether it does what it is for", None, "text/plain", (VERBOSE,)),
        Route(
            "GET",
            "/metrics",
            exposition,
            "control",
            "Prometheus metrics: members, and this machine",
            response="text/plain",
        ),
    ]


def _closing(state: TrackerState) -> Check:
    return Check("tracker", "failed", "this tracker is closing") if state.is_closing else Check("tracker", "ok")


async def _store(state: TrackerState) -> Check:
    """Away it degrades: all trackers share one store, and without them nobody would find what the swarm holds."""
    why = ""
    try:
        found = await asyncio.wait_for(state.work(state.objects.list, CA_KEY, limit=1), READY_TIMEOUT_S)
    except TimeoutError:
        why = f"the object store has not answered within {READY_TIMEOUT_S:.0f} s"
    except UnreachableError as error:
        why = str(error)
    if why:
        return Check("store", "degraded", f"{why}; {'; '.join(AFFECTED_TRACKER)}")
    if not found:
        return Check("store", "failed", "the object store no longer holds the swarm: restore a backup")
    return Check("store", "ok")


def _papers(state: TrackerState) -> Check:
    try:
        expires = term_of(state.papers.credential, Credential, state.keys.authority.trust)[1]
    except RemoteProtocolError as error:
        return Check("certificate", "degraded", str(error))
    return lasting("certificate", expires - time.time(), OWN_PAPERS_S)


def _ca_key(state: TrackerState) -> Check:
    until = sealing_until(state)
    return Check("ca-key", "ok") if until is None else lasting("ca-key", until - time.time(), CA_KEY_S)


def _alerts(state: TrackerState) -> Check:
    why = state.alerts.defect
    return (
        Check("alerts", "degraded", f"no alert is found: a defect, see the log: {why}")
        if why
        else Check("alerts", "ok")
    )


def check_observer(request: web.Request) -> None:
    """The guard of ``/metrics``: a member's certificate, or a caller on this machine."""
    if caller_of(request) is None and not is_loopback(remote_of(request)):
        raise NotAllowedError("metrics are for members of the swarm and for this machine: show a certificate")
