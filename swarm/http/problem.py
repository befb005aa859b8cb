"""RFC 9457 problem documents: how a refusal travels, and how it becomes the same exception at the other end."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web

from swarm import errors
from swarm.errors import AetherError

CONTENT_TYPE: Final = "application/problem+json"
DETAIL_MAX_CHARS: Final = 2000
DENIAL_MAX_CHARS: Final = 64
# What a 401 has to name (RFC 9110 11.6.1). Browsers keep a Basic password: see ``swarm.http.browsers``.
CHALLENGES: Final = (
    ("WWW-Authenticate", 'Bearer realm="aetherfs"'),
    ("WWW-Authenticate", 'Basic realm="aetherfs", charset="UTF-8"'),
)

_KINDS: Final[dict[str, type[AetherError]]] = {
    "usage": errors.UsageError,
    "not-found": errors.NotFoundError,
    "purged": errors.PurgedError,
    "not-allowed": errors.NotAllowedError,
    "conflict": errors.ConflictError,
    "integrity": errors.IntegrityError,
    "unreachable": errors.UnreachableError,
    "incomplete": errors.IncompleteError,
    "full": errors.FullError,
    "failure": AetherError,
}
_BY_STATUS: Final[dict[int, type[AetherError]]] = {
    400: errors.UsageError,
    401: errors.NotAllowedError,
    403: errors.NotAllowedError,
    429: errors.NotAllowedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.UsageError,
    422: errors.IntegrityError,
    503: errors.UnreachableError,
    504: errors.IncompleteError,
    507: errors.FullError,
}

log = logging.getLogger("aetherfs.http")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document. ``type`` is ``urn:aetherfs:<kind>``; ``denial`` is a refusal's number, to ask by."""

    type: str = "about:blank"
    title: str = ""
    status: int = 500
    detail: str = ""
    denial: str = ""


def problem_of(error: AetherError) -> web.Response:
    """The response that says what this error says."""
    kind = next((name for name, cls in _KINDS.items() if isinstance(error, cls)), "failure")
    response = problem_response(error.http_status, error.title, str(error), f"urn:aetherfs:{kind}", error.denial)
    if error.http_status == 401:
        response.headers.extend(CHALLENGES)
    if isinstance(error, errors.TooSoonError | errors.BusyError):
        response.headers["Retry-After"] = str(math.ceil(error.wait_s))
    return response


def problem_response(status: int, title: str, detail: str, kind: str = "about:blank", denial: str = "") -> web.Response:
    document = Problem(type=kind, title=title, status=status, detail=detail[:DETAIL_MAX_CHARS], denial=denial)
    return web.Response(status=status, body=msgspec.json.encode(document), content_type=CONTENT_TYPE)


def error_from(status: int, body: bytes, where: str) -> AetherError:
    """The exception that a response with a failing status stands for. ``where`` names the far end for a bare one."""
    try:
        document = msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        document = Problem()
    kind = document.type.removeprefix("urn:aetherfs:")
    cls = _KINDS.get(kind) or _BY_STATUS.get(status, AetherError)
    error = cls(document.detail[:DETAIL_MAX_CHARS] or f"{where} answered with status {status}")
    error.denial = document.denial[:DENIAL_MAX_CHARS]
    return error


def _without_prompt(request: web.Request, refusal: web.Response) -> web.Response:
    """A page's own code is not offered a Basic password: the browser would ask the person for one, over the page."""
    if refusal.status == 401 and request.headers.get("Sec-Fetch-Dest") == "empty":
        del refusal.headers["WWW-Authenticate"]
        refusal.headers.extend(CHALLENGES[:1])
    return refusal


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp middleware: every refusal leaves as a problem document, every defect as a bare 500 and a log line."""
    try:
        return await handler(request)
    except AetherError as error:
        return _without_prompt(request, problem_of(error))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        refusal = problem_response(error.status, error.reason, error.text or error.reason)
        if isinstance(error, web.HTTPMethodNotAllowed):
            refusal.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return refusal
    except ConnectionError:
        if request.transport is not None and not request.transport.is_closing():
            raise
        log.debug("whoever asked for %s %s has left", request.method, request.path)
        return problem_response(400, "gone", "nobody waits for this any more")
    except Exception:
        log.exception("a defect answered %s %s", request.method, request.path)
        return problem_response(500, "failure", "an internal error: see this process's log")
