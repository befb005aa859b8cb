"""Every request has an id: the one that it brings in ``X-Request-Id``, if that can be taken, else a new one. It stands
in the answer and in every line of the log that the request brings about, also at the trackers that are asked meanwhile.

What was refused or has failed is logged with its route, never with its whole address.
"""

from __future__ import annotations

import logging
import time

from aiohttp import web

from swarm.http.problem import Handler
from swarm.identity import peer_id_from_server_name
from swarm.log_lines import REQUEST_ID_HEADER, about, request_id_of

ID: web.RequestKey[str] = web.RequestKey("request_id", str)

log = logging.getLogger("aetherfs.requests")


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp middleware: what is logged within is about this request."""
    id = request[ID] = request_id_of(request.headers.get(REQUEST_ID_HEADER))
    began = time.monotonic()
    with about(request_id=id, dataset=_dataset_in(request), peer=_peer_in(request)):
        response = await handler(request)
        if log.isEnabledFor(logging.DEBUG) or response.status >= 400:
            level = logging.INFO if response.status >= 400 else logging.DEBUG
            log.log(
                level,
                "%s %s is answered with %d after %.0f ms",
                request.method,
                _route_of(request),
                response.status,
                1000 * (time.monotonic() - began),
            )
        return response


async def say_id(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """When an answer begins: it names the request."""
    if isinstance(request, web.Request) and ID in request:
        response.headers[REQUEST_ID_HEADER] = request[ID]


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "(no route)"


def _dataset_in(request: web.Request) -> str:
    found = request.match_info
    return f"{found['scope']}/{found['name']}" if "scope" in found and "name" in found else ""


def _peer_in(request: web.Request) -> str:
    certificate = request.get_extra_info("peercert") or {}
    names = (peer_id_from_server_name(name) for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS")
    return next((name for name in names if name), "") or ""
