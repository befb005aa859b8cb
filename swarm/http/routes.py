"""The route table: one list of declarations yields the handlers, the access rule of each, and the OpenAPI document.

Access is declared per route and deny is the default: a route without a caller's right answers before its handler runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from swarm import __version__
from swarm.errors import NotAllowedError
from swarm.http.problem import Handler, Problem
from swarm.http.serve import caller_of

# ``public``: anybody. ``control``: whom the guard of this listener lets in (the home's token, an observer).
# ``member``: a certificate of the swarm. ``tracker``: one of that role. ``known``: a member, a user or a service.
# The others are rights that the policy gives, on the dataset or scope in the path, or else on everything; ``write`` is
# any of publish, tag and delete.
Access = Literal["public", "control", "member", "tracker", "known", "read", "write", "publish", "admin"]
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)(:[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One declaration. ``access``: who is let in.

    ``request`` and ``response`` are msgspec types (JSON) or a media type as text; ``query`` names query parameters.
    """

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str
    request: type | str | None = None
    response: type | str | None = None
    query: tuple[str, ...] = field(default=())


Guard = Callable[[web.Request], None]


def mount(
    app: web.Application,
    routes: Iterable[Route],
    control: Guard | None = None,
    *,
    guarded: Callable[[Route], Handler] | None = None,
) -> None:
    """Add the routes to an application, each behind its access rule; ``guarded`` puts it there where rights count."""
    for route in routes:
        app.router.add_route(route.method, route.path, (guarded or partial(_guarded, control))(route))


def _guarded(control: Guard | None, route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if route.access == "member":
            if caller_of(request) is None:
                raise NotAllowedError("this needs a certificate of the swarm: join it first")
        elif route.access == "control" and control is not None:
            control(request)
        elif route.access != "public":
            raise NotAllowedError("this is not open here")
        return await route.handler(request)

    return handle


def openapi(routes: Iterable[Route], title: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a route table."""
    listed = list(routes)
    types = {t for r in listed for t in (r.request, r.response) if isinstance(t, type)} | {Problem}
    ordered = sorted(types, key=lambda t: t.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        path = _PLACEHOLDER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    path_parameters: list[dict[str, Any]] = [
        {"name": match[1], "in": "path", "required": True, "schema": {"type": "string"}}
        for match in _PLACEHOLDER.finditer(route.path)
    ]
    query: list[dict[str, Any]] = [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in route.query
    ]
    operation: dict[str, Any] = {
        "summary": route.summary,
        "x-access": route.access,
        "parameters": path_parameters + query,
        "responses": {
            "200": {"description": "done", **_content(route.response, schema_of)},
            "default": {
                "description": "a refusal",
                "content": {"application/problem+json": {"schema": schema_of[Problem]}},
            },
        },
    }
    if route.request is not None:
        operation["requestBody"] = {"required": True, **_content(route.request, schema_of)}
    return operation


def _content(kind: type | str | None, schema_of: dict[type, Any]) -> dict[str, Any]:
    if kind is None:
        return {}
    if isinstance(kind, str):
        return {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}}
    return {"content": {"application/json": {"schema": schema_of[kind]}}}
