"""Requests that everybody reads in the same way: what is ambiguous is refused, and its connection closed.

Where a proxy before us and we see other ends of a message, what one takes for a body is a request to the other (request
smuggling, RFC 9112 11.2). aiohttp's parsers refuse most of it; here is what either of them lets through. Bodies that
are compressed are refused too: nothing of ours sends them, and a little can become a lot.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from aiohttp import HttpVersion10, HttpVersion11, web

from swarm.http.problem import Handler, problem_response

VERSIONS: Final = (HttpVersion10, HttpVersion11)


@web.middleware
async def unambiguous(request: web.Request, handler: Handler) -> web.StreamResponse:
    """aiohttp middleware: only requests whose form leaves no doubt come to a handler."""
    why = doubt_about(request)
    if not why and request.headers.get("Content-Encoding", "identity") == "identity":
        return await handler(request)
    status, title = (400, "bad request") if why else (415, "unsupported media type")
    response = problem_response(status, title, why or "send bodies as they are, without a Content-Encoding")
    response.force_close()
    return response


def doubt_about(request: web.BaseRequest) -> str:
    """What others may read otherwise, empty for nothing."""
    headers = request.headers
    if request.version not in VERSIONS:
        return "only HTTP/1.0 and HTTP/1.1 are spoken here"
    if not request.raw_path.startswith("/"):
        return "the address of a request begins with /"
    if headers.getall("Transfer-Encoding", ["chunked"]) != ["chunked"]:
        return "a body is sent with a Content-Length, or else chunked and nothing more"
    if headers.get("Upgrade", "websocket").lower() != "websocket":
        return "a connection becomes a WebSocket or stays what it is"
    return ""


class QuietLogger(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's log of a server, in which every malformed request of a stranger would be an error with a traceback."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """What fails in a handler is logged by ``problem``; what is left are requests that could not be read."""
        self.debug(msg, *args, **kwargs)
