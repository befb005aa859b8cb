"""The verbs of ``operations`` over HTTP: ``POST /api/v1/agent/{verb}`` with JSON arguments.

The answer is a line of JSON per progress report and a last one with the result or the error.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import msgspec
from aiohttp import web

from swarm.errors import AetherError, UsageError
from swarm.http.routes import Route
from swarm.peer import operations
from swarm.peer.node import PeerNode

NDJSON: Final = "application/x-ndjson"
BYTES: Final = "application/octet-stream"
PREFIX: Final = "/api/v1/agent"
# Progress reports that a slow reader has not taken; newer ones are dropped, the result never.
BACKLOG: Final = 256

log = logging.getLogger("aetherfs.agent")


class AgentVerbs:
    """The handlers of one node's verbs."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node

    def routes(self) -> list[Route]:
        def post(path: str, handler: Any, summary: str, response: str) -> Route:
            return Route("POST", f"{PREFIX}/{path}", handler, "control", summary, response=response)

        return [
            post("cat", self._cat, "A file's bytes", BYTES),
            post("export", self._export, "A version as one file", BYTES),
            post("shutdown", self._shutdown, "End this peer", "application/json"),
            post("{verb}", self._verb, "Carry out a verb", NDJSON),
        ]

    async def _verb(self, request: web.Request) -> web.StreamResponse:
        arguments = await _arguments(request)
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
        arguments = await _arguments(request)
        response = web.StreamResponse(headers={"Content-Type": BYTES})
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


async def _arguments(request: web.Request) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(await request.read() or b"{}")
    except msgspec.MsgspecError as error:
        raise UsageError(f"the arguments are not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise UsageError("the arguments are not an object")
    return arguments


def _last_line(work: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"event": "done", "result": work.result()}
    except AetherError as error:
        return {"event": "error", "exit_code": error.exit_code, "detail": str(error)}
