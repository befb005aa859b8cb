"""The agent: the local API of a running peer, on loopback.

Every verb of ``operations`` is ``POST /api/v1/agent/{verb}`` with JSON arguments; the answer is a line of JSON per
progress report and a last one with the result or the error. ``swarm.http.local`` says who may call: a route that
changes something or reads data of the swarm is declared ``control``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from typing import Any, Final

import msgspec
from aiohttp import web

from swarm import metrics
from swarm.errors import AetherError, UsageError
from swarm.http.local import LocalGuard
from swarm.http.routes import Route, mount
from swarm.http.serve import make_app, start_listener
from swarm.peer import operations
from swarm.peer.extension import Extension
from swarm.peer.node import NodeSettings, PeerNode
from swarm.peer.status import status_of
from swarm.standing import AgentInfo

NDJSON: Final = "application/x-ndjson"
# Progress reports that a slow reader has not taken; newer ones are dropped, the result never.
BACKLOG: Final = 256


async def start_peer(settings: NodeSettings, extension: Extension | None = None) -> PeerNode:
    """A peer with its agent: see ``PeerNode.start``."""
    node = await PeerNode.start(settings, extension)
    try:
        await _start_agent(node)
    except BaseException:
        await node.close()
        raise
    return node


async def _start_agent(node: PeerNode) -> None:
    token = secrets.token_urlsafe(32)
    app = agent_app(node, token)
    base = node.settings.port_base
    listener = await start_listener(app, "127.0.0.1", base + 2 if base else 0, None)
    node.at_close(listener.close)
    node.agent_address = f"127.0.0.1:{listener.port}"
    node.home.publish_agent(AgentInfo(os.getpid(), listener.port, token))


def agent_app(node: PeerNode, token: str) -> web.Application:
    """All routes of a node's agent, each behind the guard."""
    guard = LocalGuard(token)
    app = make_app()
    app.middlewares.append(guard.local)
    mount(app, Agent(node).routes(), guard.control)
    return app


log = logging.getLogger("aetherfs.agent")


class Agent:
    """The handlers of one node's agent."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST", "/api/v1/agent/cat", self._cat, "control", "A file's bytes", response="application/octet-stream"
            ),
            Route(
                "POST",
                "/api/v1/agent/export",
                self._export,
                "control",
                "A version as one file",
                response="application/octet-stream",
            ),
            Route("POST", "/api/v1/agent/shutdown", self._shutdown, "control", "End this peer"),
            Route("POST", "/api/v1/agent/{verb}", self._verb, "control", "Carry out a verb", response=NDJSON),
            Route("GET", "/livez", self._live, "public", "Whether the process runs"),
            Route("GET", "/readyz", self._ready, "public", "Whether it serves", response="text/plain"),
            Route("GET", "/metrics", self._metrics, "public", "Prometheus metrics", response="text/plain"),
        ]

    async def _arguments(self, request: web.Request) -> dict[str, Any]:
        try:
            arguments = msgspec.json.decode(await request.read() or b"{}")
        except msgspec.MsgspecError as error:
            raise UsageError(f"the arguments are not JSON: {error}") from error
        if not isinstance(arguments, dict):
            raise UsageError("the arguments are not an object")
        return arguments

    async def _verb(self, request: web.Request) -> web.StreamResponse:
        arguments = await self._arguments(request)
        response = web.StreamResponse(headers={"Content-Type": NDJSON})
        await response.prepare(request)
        lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue(BACKLOG)

        def progress(report: dict[str, Any]) -> None:
            if not lines.full():
                lines.put_nowait(report)

        work = asyncio.create_task(operations.run(self._node, request.match_info["verb"], arguments, progress))
        try:
            while not work.done() or not lines.empty():
                getting = asyncio.create_task(lines.get())
                await asyncio.wait([getting, work], return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    await response.write(msgspec.json.encode(getting.result()) + b"\n")
                else:
                    getting.cancel()
            await response.write(msgspec.json.encode(_last_line(work)) + b"\n")
            await response.write_eof()
        except ConnectionError:
            log.debug("whoever asked for %s has left", request.match_info["verb"])
        finally:
            if not work.done():
                work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        return response

    async def _cat(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, "cat")

    async def _export(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, "export")

    async def _stream(self, request: web.Request, verb: str) -> web.StreamResponse:
        arguments = await self._arguments(request)
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        async for part in operations.stream(self._node, verb, arguments):
            if not response.prepared:
                await response.prepare(request)
            await response.write(part)
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    async def _shutdown(self, request: web.Request) -> web.StreamResponse:
        self._node.stop_requested.set()
        return web.json_response({"stopping": True})

    async def _live(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n")

    async def _ready(self, request: web.Request) -> web.StreamResponse:
        store = status_of(self._node).get("store", {})
        if "away_since" not in store:
            return web.Response(text="ok\n")
        told = [f"degraded: the object store is {store['state']} ({store['why']})", *store["affected"]]
        return web.Response(text="; ".join(told) + "\n")

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        text = self._node.metrics.exposition()
        return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})


def _last_line(work: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"event": "done", "result": work.result()}
    except AetherError as error:
        return {"event": "error", "exit_code": error.exit_code, "detail": str(error)}
