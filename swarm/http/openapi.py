"""The OpenAPI 3.1 document of a route table, and a page to try what it tells.

The page needs nothing from outside: its script and its style come from the same listener, and its policy (CSP) allows
nothing else. It keeps a token only while it is open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from aiohttp import web

from swarm import __version__
from swarm.http.problem import Problem
from swarm.http.routes import PLACEHOLDER, Route

# What OpenAPI 3.1 can describe; WebDAV has more.
DESCRIBED: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "POST", "DELETE", "PATCH", "TRACE"})
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_PARTS: Final = {
    "": ("page.html", "text/html"),
    "page.js": ("page.js", "text/javascript"),
    "page.css": ("page.css", "text/css"),
}


def described(routes: Callable[[], Sequence[Route]], title: str) -> list[Route]:
    """The routes that tell of ``routes``, themselves included: the document, and the page at ``/api/``."""

    async def document(request: web.Request) -> web.Response:
        body = msgspec.json.encode(openapi(routes(), title))
        return web.Response(body=body, content_type="application/json")

    def part(name: str) -> Route:
        file, content_type = _PARTS[name]

        async def answer(request: web.Request) -> web.Response:
            headers = {"Content-Security-Policy": PAGE_POLICY, "X-Content-Type-Options": "nosniff"}
            return web.Response(body=_part(file), content_type=content_type, charset="utf-8", headers=headers)

        return Route("GET", f"/api/{name}", answer, "public", "A page to try this API", response=content_type)

    async def page(request: web.Request) -> web.Response:
        return web.Response(status=308, headers={"Location": "/api/"})

    bare = Route("GET", "/api", page, "public", "Where the page is")
    told = Route("GET", "/api/openapi.json", document, "public", "This description", response="application/json")
    return [told, bare, *map(part, _PARTS)]


@cache
def _part(file: str) -> bytes:
    return files("swarm.http").joinpath("page", file).read_bytes()


def openapi(routes: Iterable[Route], title: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a route table."""
    listed = [route for route in routes if route.method in DESCRIBED]
    kinds = {kind for route in listed for kind in (route.request, route.response, route.result)}
    ordered = sorted({kind for kind in kinds if isinstance(kind, type)} | {Problem}, key=lambda kind: kind.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        path = PLACEHOLDER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema_of)
    token = {"type": "http", "scheme": "bearer", "description": "what the guard of this listener asks for"}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": token}},
    }


def _operation(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    path = route.path + ("index" if route.path.endswith("/") else "")
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{route.method} {path}".lower()).strip("_"),
        "summary": route.summary,
        "x-access": route.access,
        "parameters": [*_in_path(route), *_in_query(route)],
        "responses": {
            "200": {"description": "done", **_contents(route, schema_of)},
            "default": {
                "description": "a refusal",
                "content": {"application/problem+json": {"schema": schema_of[Problem]}},
            },
        },
    }
    if route.access == "control":
        operation["security"] = [{"token": []}]
    if route.request is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.request, schema_of)}
    return operation


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": match[1], "in": "path", "required": True, "schema": {"type": "string"}}
        for match in PLACEHOLDER.finditer(route.path)
    ]


def _in_query(route: Route) -> list[dict[str, Any]]:
    if isinstance(route.query, tuple):
        return [{"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in route.query]
    _, components = msgspec.json.schema_components([route.query])
    [schema] = components.values()
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": told}
        for name, told in schema["properties"].items()
    ]


def _contents(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in (route.response, route.result):
        if kind is not None:
            found |= _content(kind, schema_of)
    return {"content": found} if found else {}


def _content(kind: type | str, schema_of: dict[type, Any]) -> dict[str, Any]:
    if isinstance(kind, str):
        return {kind: {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": schema_of[kind]}}
