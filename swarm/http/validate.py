"""What a request has to be, checked before its handler runs: the body and the query against the declared types.

A handler then takes them with ``body_of`` and ``query_of``. What does not fit is a UsageError of one line that names
the place; what is declared is also what ``swarm.http.openapi`` tells.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

import msgspec
from aiohttp import web

from swarm.errors import UsageError
from swarm.http.problem import Handler

T = TypeVar("T")

_BODY: Final[web.RequestKey[Any]] = web.RequestKey("body")
_QUERY: Final[web.RequestKey[Any]] = web.RequestKey("query")


def validated(handler: Handler, body: object, query: object) -> Handler:
    """``handler`` behind the check of what is declared as a struct; a media type or names alone check nothing."""
    body_kind = body if isinstance(body, type) else None
    query_kind = query if isinstance(query, type) else None
    if body_kind is None and query_kind is None:
        return handler

    async def handle(request: web.Request) -> web.StreamResponse:
        if body_kind is not None:
            request[_BODY] = decode_body(await request.read(), body_kind)
        if query_kind is not None:
            request[_QUERY] = _query(request, query_kind)
        return await handler(request)

    return handle


def decode_body(data: bytes, kind: type[T]) -> T:
    """A JSON body as ``kind``; none at all is an empty object. UsageError for anything else."""
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"the request is malformed: {error}") from error


def body_of(request: web.Request, kind: type[T]) -> T:
    """The body that the route declares as ``kind``."""
    return cast(T, request[_BODY])


def query_of(request: web.Request, kind: type[T]) -> T:
    """The query that the route declares as ``kind``."""
    return cast(T, request[_QUERY])


def _query(request: web.Request, kind: type[Any]) -> Any:
    given = dict(request.query)
    if len(given) < len(request.query):
        raise UsageError("the query says something twice: give each parameter once")
    try:
        return msgspec.convert(given, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"the query is malformed: {error}") from error
