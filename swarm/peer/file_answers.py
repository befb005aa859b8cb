"""Answering with a file of a version: whole, a range, several; by its validators; never buffered.

All of it is decided by the manifest before a byte is read, and it is one snapshot's from the head to the last byte. An
answer that cannot be gone on with breaks its connection: nobody takes a part for the whole.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from swarm import traces
from swarm.errors import AetherError, ConflictError
from swarm.http.ranges import (
    Range,
    UnsatisfiableError,
    Validators,
    http_date,
    is_failed,
    is_unmodified,
    may_resume,
    parse_ranges,
)
from swarm.paths import shown
from swarm.peer.ahead import Share
from swarm.peer.media_types import media_type_of
from swarm.peer.moves import FIXED, Terms
from swarm.peer.snapshot import File, Snapshot

# A dataset is a stranger's: what a browser shows of it runs nothing and sends nothing.
SAFE: Final = {
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'self' 'unsafe-inline'; "
        "font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
UNCHANGING: Final = "public, max-age=31536000, immutable"
CHANGING: Final = "no-cache"
# What an HTTP date can say ends with the year 9999.
DATES_END_S: Final = 253_402_300_800

log = logging.getLogger("aetherfs.files")


def version_headers(snapshot: Snapshot, *, is_fixed: bool) -> dict[str, str]:
    """What every answer out of a snapshot says. ``is_fixed``: the URL names the version and not a tag."""
    resolved = snapshot.resolved
    return {
        **SAFE,
        "Cache-Control": UNCHANGING if is_fixed else CHANGING,
        "AetherFS-Version": resolved.version.hex(),
        "AetherFS-Serial": str(resolved.serial),
        **({"AetherFS-Stale": "true"} if resolved.is_stale else {}),
    }


def validators_of(file: File, *, is_dated: bool) -> Validators:
    """By its content; the date is the file's own. ``is_dated``: under this URL no other bytes had it."""
    return Validators(f'"{file.entry.sha256.hex()}"', file.entry.mtime_ns // 10**9, is_dated)


async def answer_file(
    request: web.Request,
    snapshot: Snapshot,
    file: File,
    headers: dict[str, str],
    terms: Terms = FIXED,
    media_type: str | None = None,
) -> web.StreamResponse:
    """The answer to a GET or HEAD of a file. ``headers`` are those of ``version_headers``, or more. ConflictError for
    who resumes what may be another version's.
    """
    validators = validators_of(file, is_dated=terms.is_dated)
    headers = {**headers, **_describe(file, validators)}
    size = file.entry.size
    if is_failed(validators, request.headers.get("If-Match")):
        return web.Response(status=412, headers=headers)
    if is_unmodified(validators, request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = media_type or media_type_of(file.entry.path)
    if request.method == "GET" and not terms.is_resumable:
        raise ConflictError(
            f"{shown(file.entry.path)} was another file at this tag within a day, and the request does not say what "
            f"it continues: send If-Range with the ETag, or read @{snapshot.version.hex()}"
        )
    is_ranged = request.method == "GET" and may_resume(validators, request.headers.get("If-Range"))
    try:
        ranges = parse_ranges(request.headers.get("Range"), size) if is_ranged else []
    except UnsatisfiableError:
        return web.Response(status=416, headers={**SAFE, "Content-Range": f"bytes */{size}", "ETag": validators.etag})
    if not ranges:
        return await _send(request, snapshot, file, 200, headers, [Range(0, size)])
    if len(ranges) == 1:
        headers["Content-Range"] = _content_range(ranges[0], size)
        return await _send(request, snapshot, file, 206, headers, ranges)
    return await _send_parts(request, snapshot, file, headers, ranges)


def _describe(file: File, validators: Validators) -> dict[str, str]:
    digest = base64.b64encode(file.entry.sha256).decode()
    described = {"ETag": validators.etag, "Accept-Ranges": "bytes", "Repr-Digest": f"sha-256=:{digest}:"}
    if validators.modified is not None and 0 <= validators.modified < DATES_END_S:
        described["Last-Modified"] = http_date(validators.modified)
    return described


def _content_range(one: Range, size: int) -> str:
    return f"bytes {one.begin}-{one.end - 1}/{size}"


async def _send(
    request: web.Request, snapshot: Snapshot, file: File, status: int, headers: dict[str, str], ranges: list[Range]
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = sum(end - begin for begin, end in ranges)

    async def body(place: Share | None) -> None:
        for one in ranges:
            await _write_range(response, snapshot, file, one, place)

    return await sent_in_place(request, response, snapshot, body)


async def _send_parts(
    request: web.Request, snapshot: Snapshot, file: File, headers: dict[str, str], ranges: list[Range]
) -> web.StreamResponse:
    """Several ranges (RFC 9110, 14.6), with their length said before."""
    media_type = headers["Content-Type"]
    # It must not occur in what it bounds: the content's own hash, which no content holds.
    boundary = file.entry.sha256.hex()
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: "
        f"{_content_range(one, file.entry.size)}\r\n\r\n".encode()
        for one in ranges
    ]
    end = f"\r\n--{boundary}--\r\n".encode()
    response = web.StreamResponse(
        status=206, headers={**headers, "Content-Type": f"multipart/byteranges; boundary={boundary}"}
    )
    response.content_length = sum(map(len, heads)) + sum(e - b for b, e in ranges) + len(end)

    async def body(place: Share | None) -> None:
        for head, one in zip(heads, ranges, strict=True):
            await response.write(head)
            await _write_range(response, snapshot, file, one, place)
        await response.write(end)

    return await sent_in_place(request, response, snapshot, body)


async def _write_range(
    response: web.StreamResponse, snapshot: Snapshot, file: File, one: Range, place: Share | None
) -> None:
    at = one.begin
    with traces.span("read", dataset=snapshot.dataset, bytes=one.end - one.begin):
        try:
            async for part in snapshot.read(file, one.begin, one.end - one.begin, place):
                await response.write(part)
                at += len(part)
        finally:
            snapshot.was_read(file, one.begin, at)


async def sent_in_place(
    request: web.Request,
    response: web.StreamResponse,
    snapshot: Snapshot,
    body: Callable[[Share | None], Awaitable[None]],
) -> web.StreamResponse:
    """As ``sent``, for a body that reads: BusyError before anything is said when there is no place for a reader."""
    if request.method == "HEAD":
        return await sent(request, response, lambda: body(None))
    with snapshot.reader() as place:
        return await sent(request, response, lambda: body(place))


async def sent(
    request: web.Request, response: web.StreamResponse, body: Callable[[], Awaitable[None]]
) -> web.StreamResponse:
    """The answer with its body; without one for HEAD. What fails once it has begun breaks the connection."""
    await response.prepare(request)
    if request.method == "HEAD":
        await response.write_eof()
        return response
    try:
        await body()
    except AetherError as error:
        log.warning("an answer to %s breaks off: %s", request.path, error)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("it could not be gone on with") from error
    await response.write_eof()
    return response
