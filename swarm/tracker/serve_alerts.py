"""Routes of alerts: who may read something sees what is his to see, admins silence.

An alert about a dataset is for who may read that; one about peers, trackers and the store for who may read everything.
"""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from swarm.alert_messages import Alert, AlertsAnswer, Silence, SilenceRequest
from swarm.http.routes import Route
from swarm.principal import Principal
from swarm.tracker.policy import decide
from swarm.tracker.state import TrackerState, answer, body_of

PATH: Final = "/api/v1/alerts"


def alert_routes(state: TrackerState) -> list[Route]:
    """The declarations."""

    async def alerts(request: web.Request, who: Principal) -> web.Response:
        policy = None if who.role == "tracker" else (await state.policy()).policy

        def may_see(alert: Alert) -> bool:
            return policy is None or decide(policy, who, "read", alert.dataset or "*").allowed

        is_admin = policy is None or decide(policy, who, "admin", "*").allowed
        return answer(state.alerts.answer(time.time(), may_see, is_admin=is_admin))

    async def silence(request: web.Request, who: Principal) -> web.Response:
        asked = await body_of(request, SilenceRequest)
        made = await state.work(state.alerts.silences.add, asked, str(who), time.time())
        state.note(who, "silence", f"{made.rule or '*'} {made.subject or '*'}", made.comment)
        return answer(made)

    async def end(request: web.Request, who: Principal) -> web.Response:
        ended = await state.work(state.alerts.silences.end, request.match_info["silence"])
        state.note(who, "unsilence", ended.id)
        return answer(ended)

    handle = state.for_askers
    one = PATH + "/silences/{silence}"
    return [
        Route("GET", PATH, handle("alerts", alerts), "known", "What is wrong now", response=AlertsAnswer),
        Route(
            "POST",
            PATH + "/silences",
            handle("silence", silence),
            "admin",
            "Be told of some alerts no more for a while",
            SilenceRequest,
            Silence,
        ),
        Route("DELETE", one, handle("silence", end), "admin", "End a silence", response=Silence),
    ]
