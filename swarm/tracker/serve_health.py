"""Routes for those who look after a tracker: alive, ready, metrics."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from swarm.errors import NotAllowedError, UnreachableError
from swarm.http.routes import Route
from swarm.http.serve import caller_of
from swarm.objects.standing import AFFECTED_TRACKER
from swarm.tracker.keys import CA_KEY
from swarm.tracker.presence import is_loopback
from swarm.tracker.state import TrackerState, remote_of

READY_TIMEOUT_S: Final = 5.0


def health_routes(state: TrackerState) -> list[Route]:
    """The declarations."""

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        try:
            found = await asyncio.wait_for(state.work(state.objects.list, CA_KEY, limit=1), READY_TIMEOUT_S)
        except TimeoutError:
            return degraded(f"the object store has not answered within {READY_TIMEOUT_S:.0f} s")
        except UnreachableError as error:
            return degraded(str(error))
        if not found or state.is_closing:
            raise UnreachableError("the object store no longer holds the swarm, or this tracker is closing")
        return web.Response(text="ok\n")

    def degraded(why: str) -> web.Response:
        """Ready still: all trackers share one store, and without them nobody would find what the swarm holds."""
        return web.Response(text=f"degraded: {why}; {'; '.join(AFFECTED_TRACKER)}\n")

    async def exposition(request: web.Request) -> web.Response:
        peer_id = caller_of(request)
        if peer_id is not None:
            await state.member(peer_id)
        body, kind = state.metrics.answer(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})

    return [
        Route("GET", "/livez", livez, "public", "Whether the process runs", response="text/plain"),
        Route("GET", "/readyz", readyz, "public", "Whether the object store answers", response="text/plain"),
        Route(
            "GET",
            "/metrics",
            exposition,
            "control",
            "Prometheus metrics: members, and this machine",
            response="text/plain",
        ),
    ]


def check_observer(request: web.Request) -> None:
    """The guard of ``/metrics``: a member's certificate, or a caller on this machine."""
    if caller_of(request) is None and not is_loopback(remote_of(request)):
        raise NotAllowedError("metrics are for members of the swarm and for this machine: show a certificate")
