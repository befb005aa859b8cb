"""The dashboard over HTTP: the shell at every page's address, its files, and the support bundle without its data."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from swarm.alert_messages import RUNBOOKS
from swarm.http.problem import Handler
from swarm.http.routes import Route
from swarm.tracker.runbook_pages import INDEX, runbook_page
from swarm.tracker.state import TrackerState
from swarm.tracker.web_files import HTML, STATIC, send_file, sent_page, site

ANY: Final = "text/javascript"


def static_routes(state: TrackerState) -> list[Route]:
    """The declarations. The shell is the same for everybody: what it shows it asks for, as whoever is signed in."""

    async def shell(request: web.Request) -> web.Response:
        return sent_page(request, site().shell)

    async def bundle(request: web.Request) -> web.Response:
        response = sent_page(request, site().bundle)
        response.headers["Content-Disposition"] = 'attachment; filename="aetherfs-bundle.html"'
        return response

    async def runbook(request: web.Request) -> web.Response:
        return sent_page(request, await asyncio.to_thread(runbook_page, request.match_info.get("rule", INDEX)))

    def get(path: str, handler: Handler, summary: str, kind: str = HTML) -> Route:
        return Route("GET", path, state.counted("page", handler), "public", summary, response=kind)

    return [
        get("/ui/", shell, "The dashboard"),
        get("/ui/bundle", bundle, "The dashboard in one file, without its data"),
        get(STATIC + "/{digest}/{file:.+}", send_file, "A file of the dashboard", ANY),
        get(RUNBOOKS, runbook, "The runbooks of all alerts"),
        get(RUNBOOKS + "{rule}", runbook, "The runbook of an alert"),
        get("/ui/{page:.+}", shell, "A page of the dashboard, by its address"),
    ]
