"""The grant that an HTTP request carries."""

from __future__ import annotations

import base64
import binascii

from aiohttp import web

from swarm.limits import RECORD_MAX_BYTES
from swarm.peer.wire import GRANT_HEADER


def grant_of(request: web.Request) -> bytes:
    """The sealed grant of a request; empty if it is missing or garbled."""
    text = request.headers.get(GRANT_HEADER, "")
    if len(text) > 3 * RECORD_MAX_BYTES:
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
