"""Server-sent events that carry log entries: how a tracker writes them and a client reads them.

    id: <serial>
    data: <signed entry, base64>

A line that starts with a colon keeps the connection alive and says nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from swarm.errors import RemoteProtocolError, UnreachableError
from swarm.limits import LOG_ENTRY_MAX_BYTES

CONTENT_TYPE: Final = "text/event-stream"
KEEP_ALIVE: Final = b":\n\n"
LINE_MAX_BYTES: Final = 2 * LOG_ENTRY_MAX_BYTES


def format_event(serial: int, data: bytes) -> bytes:
    """One event."""
    return b"id: %d\ndata: %s\n\n" % (serial, base64.b64encode(data))


async def entries_of(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The signed entries of a stream as they come. UnreachableError at its end, RemoteProtocolError for garbage."""
    pending = b""
    while True:
        try:
            part = await content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"the tracker's watch broke off ({error}): it is taken up again") from error
        if not part:
            raise UnreachableError("the tracker ended the watch: it is taken up again")
        *lines, pending = (pending + part).split(b"\n")
        if len(pending) > LINE_MAX_BYTES:
            raise RemoteProtocolError("the tracker sends an event without end")
        for line in lines:
            if line.startswith(b"data: "):
                yield _decode(line[len(b"data: ") :])


def _decode(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RemoteProtocolError(f"the tracker sends events that are not base64: {error}") from error
