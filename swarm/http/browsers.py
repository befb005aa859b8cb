"""What a browser is told and asked, so that a page of somebody else cannot use a signed-in person's browser.

Every request that changes something has to come from a page of ours, if it comes from a page: its Origin is the name it
was sent to (OWASP, *Cross-Site Request Forgery Prevention*). This goes for cookies, for Basic passwords and for client
certificates, as browsers send all three by themselves. Every HTML answer forbids what is not ours: no code and no style
within a page, no frame around it, no guessing of types. Programs send no Origin and need none.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from swarm.errors import NotAllowedError
from swarm.http.problem import Handler

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# The prefix makes browsers take it only with Secure, for this host alone and all of it (RFC 6265bis 4.1.3).
SESSION_COOKIE: Final = "__Host-aetherfs"
HTML_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With no-referrer browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@web.middleware
async def own_pages_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp middleware: refuse what another site's page has a browser send. NotAllowedError."""
    if request.method not in SAFE_METHODS:
        _check_origin(request)
    return await handler(request)


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    if origin is None and SESSION_COOKIE in request.headers.get("Cookie", ""):
        raise NotAllowedError("a session's cookie counts only from a page of this tracker: its Origin is missing")
    if origin is not None and origin != f"{request.scheme}://{request.host}":
        raise NotAllowedError("this was sent by a page of another site")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise NotAllowedError("this was sent by a page of another site")


async def harden(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """For ``on_response_prepare``: the headers that every answer has, and those that an HTML answer has unless its own
    are stricter, as those of a user's file are.
    """
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.content_type == "text/html":
        for name, value in HTML_HEADERS.items():
            response.headers.setdefault(name, value)
