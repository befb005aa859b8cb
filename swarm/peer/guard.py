"""Who may talk to an agent: local programs, and to control it those that hold the home's token.

An agent listens on loopback, where every page in a browser can send requests too. So a Host that does not name this
machine (a name that a stranger's DNS rebinds) is refused on every path, and so is an Origin other than the agent's own
page. What changes anything needs the token, which lies in the home and is readable by its owner only.
"""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web

from swarm.errors import NotAllowedError
from swarm.http.problem import Handler

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


def host_of(authority: str) -> str:
    """The host of ``host[:port]``, brackets kept."""
    host, colon, port = authority.rpartition(":")
    return host if colon and port.isdigit() else authority


class Guard:
    """The guard of one agent. ``token`` is the home's."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def check_local(self, request: web.Request) -> None:
        """NotAllowedError for a request that a page of somebody else's may have sent."""
        is_ours = host_of(request.host) in LOOPBACK_HOSTS
        origin = request.headers.get("Origin")
        if not is_ours or origin not in (None, f"http://{request.host}"):
            raise NotAllowedError("the agent answers local programs only: call it at 127.0.0.1, from no web page")

    def check_control(self, request: web.Request) -> None:
        """NotAllowedError without the token."""
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), self._expected):
            raise NotAllowedError("the agent needs the token of its home: send `Authorization: Bearer TOKEN`")

    def watch_over(self, app: web.Application) -> None:
        """Check every request to ``app`` before anything else looks at it."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.check_local(request)
            return await handler(request)

        app.middlewares.append(check)
