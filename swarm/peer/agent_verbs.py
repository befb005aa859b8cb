"""The verbs of ``operations`` over HTTP: ``POST /api/v1/agent/{verb}`` with JSON arguments.

The answer is a line of JSON per progress report and a last one with the result or the error. Who accepts JSON and not
lines of it gets the result alone, or a problem document.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from swarm.errors import AetherError
from swarm.http.problem import Handler
from swarm.http.routes import Route
from swarm.http.validate import body_of
from swarm.peer import operations
from swarm.peer.node import PeerNode
from swarm.peer.verb import Result, Verb

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
BYTES: Final = "application/octet-stream"
PREFIX: Final = "/api/v1/agent"
# Progress reports that a slow reader has not taken; newer ones are dropped, the result never.
BACKLOG: Final = 256

log = logging.getLogger("aetherfs.agent")


def verb_routes(node: PeerNode) -> list[Route]:
    """A route for every verb, and for those that answer with bytes."""
    told = [
        Route(
            "POST",
            f"{PREFIX}/{name}",
            partial(_verb, node, name, verb),
            "control",
            verb.summary,
            request=verb.arguments,
            response=NDJSON,
            result=verb.result,
        )
        for name, verb in operations.VERBS.items()
    ]
    streamed = [
        Route(
            "POST",
            f"{PREFIX}/{name}",
            _streaming(node, name, stream.arguments),
            "control",
            stream.summary,
            request=stream.arguments,
            response=BYTES,
        )
        for name, stream in operations.STREAMS.items()
    ]
    return [*told, *streamed]


async def _verb(node: PeerNode, name: str, verb: Verb, request: web.Request) -> web.StreamResponse:
    arguments = body_of(request, verb.arguments)
    if _wants_result_alone(request):
        result = await operations.carry_out(node, name, arguments, lambda report: None)
        return web.Response(body=msgspec.json.encode(result), content_type=JSON)
    response = web.StreamResponse(headers={"Content-Type": NDJSON})
    await response.prepare(request)
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue(BACKLOG)

    def progress(report: dict[str, Any]) -> None:
        if not lines.full():
            lines.put_nowait(report)

    work = asyncio.create_task(operations.carry_out(node, name, arguments, progress))
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
        log.debug("whoever asked for %s has left", name)
    finally:
        if not work.done():
            work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    return response


def _wants_result_alone(request: web.Request) -> bool:
    accepted = ",".join(request.headers.getall("Accept", []))
    return JSON in accepted and NDJSON not in accepted


def _last_line(work: asyncio.Task[Result]) -> dict[str, Any]:
    try:
        return {"event": "done", "result": work.result()}
    except AetherError as error:
        return {"event": "error", "exit_code": error.exit_code, "detail": str(error)}


def _streaming(node: PeerNode, name: str, kind: type[msgspec.Struct]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": BYTES})
        async for part in operations.give(node, name, body_of(request, kind)):
            if not response.prepared:
                await response.prepare(request)
            await response.write(part)
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    return handle
