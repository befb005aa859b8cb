"""The seam between routes and who asks: an application is given ``IDENTIFY``, and routes ask ``principal_of``.

Whoever shows something wrong is refused and never taken for somebody less; who shows nothing is nobody (None).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from swarm.principal import Principal

Identify = Callable[[web.Request], Awaitable[Principal | None]]
IDENTIFY: Final[web.AppKey[Identify]] = web.AppKey("identify")
_FOUND: Final[web.RequestKey[list[Principal | None]]] = web.RequestKey("principal")


async def principal_of(request: web.Request) -> Principal | None:
    """Who asks, found out once a request; None for nobody known. NotSignedInError for what proves nothing."""
    if _FOUND not in request:
        identify = request.app.get(IDENTIFY)
        request[_FOUND] = [await identify(request) if identify is not None else None]
    return request[_FOUND][0]
