"""The route of the audit: what was done in the swarm, and what was refused. For admins."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from swarm.access_messages import AuditAnswer, AuditItem
from swarm.http.routes import Route
from swarm.principal import Principal
from swarm.tracker.audit import pages_of
from swarm.tracker.state import TrackerState, answer, number_of

PAGES_READ: Final = 50
SERIAL_MAX: Final = (1 << 53) - 1


def audit_routes(state: TrackerState) -> list[Route]:
    """The declaration."""

    async def audit(request: web.Request, who: Principal) -> web.Response:
        before = number_of(request, "before", 0, lowest=0, highest=SERIAL_MAX)
        since = number_of(request, "since", 0, lowest=0, highest=SERIAL_MAX)
        actor = request.query.get("actor", "")
        read = await state.work(state.audit.read, before, PAGES_READ)
        found = [
            AuditItem(serial, one.wall_time, one.actor, one.action, one.subject, one.detail, one.count)
            for serial, one in pages_of(read)
            if one.wall_time >= since and (not actor or one.actor == actor)
        ]
        is_past = bool(read.pages) and read.pages[-1].wall_time < since
        return answer(AuditAnswer(tuple(found), 0 if is_past else read.before, read.missing))

    handler = state.for_askers("audit", audit)
    summary = "What was done, and refused, the newest first"
    return [Route("GET", "/api/v1/audit", handler, "admin", summary, None, AuditAnswer, ("since", "actor", "before"))]
