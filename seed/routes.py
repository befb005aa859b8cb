"""The Block API of a seed, on its exchange listener: uploads for publishers, single blocks for whoever may read.

Every request carries the caller's certificate and grant. What the caller may not know of is answered like what does not
exist.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Annotated, Any, Final, TypeVar

import msgspec
from aiohttp import web

from seed.backfill import VersionSource
from seed.session import Session
from seed.uploads import Uploads
from swarm.encoding import Encoded, open_block
from swarm.errors import NotAllowedError, NotFoundError, UsageError
from swarm.http.routes import Route
from swarm.http.serve import caller_of
from swarm.identity import public_of
from swarm.limits import ENCODED_MAX_BYTES, MISSING_MAX_SIGNATURES, ROOT_MAX_BYTES
from swarm.names import check_dataset
from swarm.objects.accounts import Accounts
from swarm.objects.meter import Account, charged
from swarm.peer.access import Access, Caller, no_grant
from swarm.peer.grants import grant_of
from swarm.peer.holdings import Holdings
from swarm.peer.upload import BLOCK_TYPE, BLOCKS_TYPE, BRING_MAX_BYTES, unframed
from swarm.signature import from_hex, signature_of

# Requests that bring blocks and are read at a time, each of at most BRING_MAX_BYTES; others wait.
TAKEN_IN_MAX: Final = 48
_RANGE = re.compile(r"bytes=(\d{0,12})-(\d{0,12})")

T = TypeVar("T")
Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class UploadRequest(msgspec.Struct, frozen=True):
    dataset: str


class UploadAnswer(msgspec.Struct, frozen=True):
    session: str


class MissingRequest(msgspec.Struct, frozen=True):
    dataset: str
    session: str
    signatures: Annotated[list[Hex], msgspec.Meta(max_length=MISSING_MAX_SIGNATURES)]


class MissingAnswer(msgspec.Struct, frozen=True):
    missing: list[str]


class CommitAnswer(msgspec.Struct, frozen=True):
    """The seed's sealed receipt, base64, and what the upload asked of the object store."""

    receipt: bytes
    store: dict[str, Any] = {}


class BlockRoutes:
    """The handlers."""

    def __init__(self, uploads: Uploads, access: Access, holdings: Holdings, accounts: Accounts) -> None:
        self._uploads = uploads
        self._accounts = accounts
        self._access = access
        self._holdings = holdings
        self._taking_in = asyncio.Semaphore(TAKEN_IN_MAX)

    def routes(self) -> list[Route]:
        block = "/api/v1/blocks/{signature}"
        reading = ("dataset", "version", "own")
        return [
            Route("POST", "/api/v1/uploads", self._begin, "member", "Begin an upload", UploadRequest, UploadAnswer),
            Route(
                "POST",
                "/api/v1/blocks:missing",
                self._missing,
                "member",
                "Which to bring",
                MissingRequest,
                MissingAnswer,
            ),
            Route("PUT", block, self._put, "member", "Bring a block", BLOCK_TYPE, None, ("dataset", "session")),
            Route(
                "POST",
                "/api/v1/uploads/{session}/blocks",
                self._bring,
                "member",
                "Bring several blocks",
                BLOCKS_TYPE,
            ),
            Route(
                "POST",
                "/api/v1/uploads/{session}:commit",
                self._commit,
                "member",
                "Keep a version",
                "application/octet-stream",
                CommitAnswer,
            ),
            Route("DELETE", "/api/v1/uploads/{session}", self._done, "member", "The log names what was kept"),
            Route("GET", block, self._get, "member", "A block of a version", None, BLOCK_TYPE, reading),
            Route("HEAD", block, self._get, "member", "Whether a version has a block", None, None, reading),
        ]

    def _caller(self, request: web.Request) -> Caller:
        peer = caller_of(request)
        if peer is None:
            raise NotAllowedError("this needs a certificate of the swarm: join it first")
        return self._access.caller(peer, grant_of(request), time.time())

    async def _begin(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        dataset = check_dataset(_decoded(await request.read(), UploadRequest).dataset)
        if not caller.may_publish(dataset):
            # By its grant: that somebody is signed in there, who may do more, is for trackers alone.
            raise NotAllowedError(no_grant(caller.peer_id, dataset))
        account = Account()
        with charged(account):
            session_id = await self._uploads.begin(dataset, public_of(caller.peer_id))
        self._uploads.session(session_id, public_of(caller.peer_id)).account = account
        return _json(UploadAnswer(session_id))

    def _session(self, caller: Caller, session_id: str) -> Session:
        session = self._uploads.session(session_id, public_of(caller.peer_id))
        if not caller.may_publish(session.dataset):
            raise NotAllowedError(no_grant(caller.peer_id, session.dataset))
        return session

    async def _missing(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        asked = _decoded(await request.read(), MissingRequest)
        session = self._session(caller, asked.session)
        missing = await self._uploads.missing(session, map(bytes.fromhex, asked.signatures), caller.may_read)
        return _json(MissingAnswer([signature.hex() for signature in missing]))

    async def _put(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        session = self._session(caller, request.query.get("session", ""))
        if request.content_length is None or request.content_length > ENCODED_MAX_BYTES:
            raise UsageError(f"an encoded block states its length, of at most {ENCODED_MAX_BYTES} bytes")
        signature = from_hex(request.match_info["signature"])
        async with self._taking_in:
            with charged(session.account):
                await self._uploads.bring(session, [(signature, await request.read())])
        return web.Response(status=200)

    async def _bring(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        session = self._session(caller, request.match_info["session"])
        async with self._taking_in:
            blocks = unframed(await _body(request, BRING_MAX_BYTES))
            with charged(session.account):
                await self._uploads.bring(session, blocks)
        return web.Response(status=200)

    async def _commit(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        session = self._session(caller, request.match_info["session"])
        root = await request.read()
        if len(root) > ROOT_MAX_BYTES:
            raise UsageError(f"a manifest's root has at most {ROOT_MAX_BYTES} bytes")
        with charged(session.account):
            receipt = await self._uploads.commit(session, root, caller.may_read)
        self._accounts.published(session.dataset, signature_of(root), session.account.spent, time.time())
        return _json(CommitAnswer(receipt, session.account.spent.told()))

    async def _done(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        settled = self._uploads.settled(request.match_info["session"], public_of(caller.peer_id))
        if not caller.may_publish(settled.dataset):
            raise NotAllowedError(no_grant(caller.peer_id, settled.dataset))
        await self._uploads.done(settled.id)
        return web.Response(status=200)

    async def _get(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        signature = from_hex(request.match_info["signature"])
        dataset = request.query.get("dataset", "")
        version = from_hex(request.query.get("version", ""))
        encoded: Encoded | None = None
        if caller.may_read(dataset) and self._access.shows(dataset, version, b""):
            holding = await self._holdings.find(dataset, version)
            if holding is not None and request.query.get("own") and isinstance(holding.source, VersionSource):
                encoded = await holding.source.read_own(signature)  # for another seed: nobody further is asked
            elif holding is not None:
                encoded = await holding.read(signature)
        if encoded is None:
            raise NotFoundError("there is no such block")
        if BLOCK_TYPE in request.headers.get("Accept", ""):
            return web.Response(body=encoded, content_type=BLOCK_TYPE)
        return _ranged(request, bytes(open_block(encoded, signature)), signature)


async def _body(request: web.Request, limit_bytes: int) -> bytearray:
    """The request's body. UsageError for more than it may have."""
    body = bytearray()
    async for data in request.content.iter_any():
        body += data
        if len(body) > limit_bytes:
            raise UsageError(f"a request brings at most {limit_bytes} bytes of blocks: send several")
    return body


def _ranged(request: web.Request, plain: bytes, signature: bytes) -> web.Response:
    """The plain bytes, or the one range that is asked for (RFC 9110, section 14)."""
    headers = {"ETag": f'"{signature.hex()}"', "Accept-Ranges": "bytes", "Cache-Control": "private, immutable"}
    kind = "application/octet-stream"
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or (not match[1] and not match[2]):
        return web.Response(body=plain, content_type=kind, headers=headers)
    first = int(match[1]) if match[1] else max(0, len(plain) - int(match[2]))
    last = int(match[2]) if match[1] and match[2] else len(plain) - 1
    if first >= len(plain) or last < first:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(plain)}"})
    last = min(last, len(plain) - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(plain)}"
    return web.Response(status=206, body=plain[first : last + 1], content_type=kind, headers=headers)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"the request is malformed: {error}") from error


def _json(answer: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json")
