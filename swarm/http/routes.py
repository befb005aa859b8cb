"""The route table: one list of declarations yields the handlers, the access rule of each, the check of what is sent,
and the OpenAPI document (``swarm.http.openapi``).

Access is declared per route and deny is the default: a route without a caller's right answers before its handler runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal

from aiohttp import web

from swarm.errors import NotAllowedError
from swarm.http.problem import Handler
from swarm.http.serve import caller_of
from swarm.http.validate import validated

# ``public``: anybody. ``control``: whom the guard of this listener lets in (the home's token, an observer).
# ``member``: a certificate of the swarm. ``tracker``: one of that role. ``known``: a member, a user or a service.
# The others are rights that the policy gives, on the dataset or scope in the path, or else on everything; ``write`` is
# any of publish, tag and delete.
Access = Literal["public", "control", "member", "tracker", "known", "read", "write", "publish", "tag", "admin"]
PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)(:[^}]*)?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One declaration. ``access``: who is let in.

    ``request`` and ``response`` are msgspec types (JSON) or a media type as text; ``query`` is a msgspec type too, or
    names query parameters. What has a type is checked against it (``swarm.http.validate``). ``result`` is the type of
    what who accepts JSON gets instead of ``response``.
    """

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str
    request: type | str | None = None
    response: type | str | None = None
    query: tuple[str, ...] | type = field(default=())
    result: type | None = None


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
        checked = replace(route, handler=validated(route.handler, route.request, route.query))
        app.router.add_route(route.method, route.path, (guarded or partial(_guarded, control))(checked))


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
