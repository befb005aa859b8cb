"""Who may call a listener on loopback: programs of this machine, and never a page in a browser.

A page can make a browser send requests here, under a name that it has pointed to loopback (DNS rebinding) or from its
own origin. So every request, whatever its route, names a loopback host as the one it is for, and none states an origin
or a site that it comes from other than the listener itself, for its page to try the API. Reading is then open to
programs of this machine; control also needs the home's token, which only its owner can read.
"""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web

from swarm.errors import NotAllowedError
from swarm.http.problem import Handler

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
# What a browser says of a request that its user made by hand (Fetch Metadata); other programs say nothing.
OWN_SITES: Final = frozenset({"none", "same-origin"})


class LocalGuard:
    """The one guard of an agent. ``local`` is middleware for all routes, ``control`` the guard of those that need the
    token; ``swarm.http.routes.mount`` takes it.
    """

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    @web.middleware
    async def local(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """aiohttp middleware: refuse what a page may have sent, before its route is looked for."""
        check_local(request)
        return await handler(request)

    def control(self, request: web.Request) -> None:
        """NotAllowedError without the home's token."""
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, self._expected):
            raise NotAllowedError("the agent needs the token of its home")


def check_local(request: web.BaseRequest) -> None:
    """NotAllowedError for what is not to a loopback host, or may come from a page."""
    hosts = [host_of(text) for text in request.headers.getall("Host", [])]
    origins = request.headers.getall("Origin", [])
    is_from_page = any(origin != f"http://{request.host}" for origin in origins)
    is_from_page |= request.headers.get("Sec-Fetch-Site", "none") not in OWN_SITES
    if len(hosts) != 1 or hosts[0] not in LOOPBACK_HOSTS or is_from_page:
        raise NotAllowedError("the agent answers local programs only")


def host_of(text: str) -> str:
    """The host of a Host header, without its port."""
    host, colon, port = text.rpartition(":")
    return (host if colon and port.isascii() and port.isdigit() else text).lower()
