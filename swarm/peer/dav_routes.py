"""WebDAV, to be read (RFC 4918, class 1): ``/webdav/{scope}/{name}/{tag}/{path}``, for file managers and davfs2.

The names and paths are those of ``/fs/``, in place of a tag stands a version as ``@signature`` too, and files are
answered with as there. A request answers out of one snapshot. WebDAV knows no links: a link to a file is that file. One
to a directory is that directory, unless it leads above itself or the way to it came by another such link: clients that
walk a tree then come to an end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.parse import quote

from aiohttp import web

from swarm.errors import NotFoundError, UsageError
from swarm.http import dav
from swarm.http.ranges import http_date
from swarm.http.routes import Route
from swarm.limits import PAGE_MAX
from swarm.names import check_name
from swarm.peer import catalogue
from swarm.peer.file_answers import DATES_END_S, answer_file, sent, validators_of, version_headers
from swarm.peer.file_routes import parts_of, reference_of
from swarm.peer.linked import shown_as
from swarm.peer.media_types import media_type_of
from swarm.peer.moves import FIXED, terms_of
from swarm.peer.node import PeerNode
from swarm.peer.snapshot import File, Snapshot
from swarm.segments import FILE

PREFIX: Final = "/webdav"
READING: Final = "OPTIONS, GET, HEAD, PROPFIND"
# What class 1 has for writing: understood, and not allowed to anybody.
WRITING: Final = ("PUT", "DELETE", "MKCOL", "COPY", "MOVE", "PROPPATCH")
XML: Final = "application/xml; charset=utf-8"
VERSION: Final = ("urn:aetherfs", "version")
SHA256: Final = ("urn:aetherfs", "sha256")
# Names above versions that are listed at most.
SCOPES_MAX: Final = 10_000
Properties = dict[dav.Name, str]


class DavRoutes:
    """The handlers of one node."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node

    def routes(self) -> list[Route]:
        declared = [
            ("OPTIONS", self._options, "What WebDAV has here"),
            ("GET", self._get, "A file"),
            ("HEAD", self._get, "What a file is"),
            ("PROPFIND", self._propfind, "Properties of a resource, and of what lies in it"),
            *((method, self._forbidden, "Refused: a version does not change") for method in WRITING),
            ("*", self._unknown, "Refused"),
        ]
        return [
            Route(method, PREFIX + path, handler, "public", summary, response=XML)
            for method, handler, summary in declared
            for path in ("", "/{path:[\\s\\S]*}")
        ]

    async def _options(self, request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"DAV": "1", "Allow": READING, "MS-Author-Via": "DAV"})

    async def _forbidden(self, request: web.Request) -> web.StreamResponse:
        return _refusal(403, "a version does not change: publish a directory with `aetherfs publish`\n")

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        return _refusal(405, f"there is no {request.method[:20]} here\n")

    async def _get(self, request: web.Request) -> web.StreamResponse:
        names, tail = _names_of(request)
        if len(names) < 3:
            return _listing_at(request)
        snapshot = await self._node.snapshots.open(reference_of(*names[:3]))
        path = "/".join(names[3:])
        file = await snapshot.look(path)
        if file is None or file.entry.kind != FILE:
            return _listing_at(request)
        if tail:
            raise NotFoundError(f"{path!r} is a file: ask for it without the slash")
        is_fixed = names[2].startswith("@")
        terms = FIXED if is_fixed else await terms_of(self._node, request, snapshot, path, file)
        return await answer_file(request, snapshot, file, version_headers(snapshot, is_fixed=is_fixed), terms)

    async def _propfind(self, request: web.Request) -> web.StreamResponse:
        names, _ = _names_of(request)
        depth = request.headers.get("Depth", "infinity").strip().lower()
        if depth not in ("0", "1", "infinity"):
            raise UsageError("Depth is 0, 1 or infinity")
        if depth == "infinity":
            return web.Response(status=403, body=dav.error("propfind-finite-depth"), headers={"Content-Type": XML})
        asked = dav.parse_propfind(await _body(request))
        found = self._above(names, depth == "1") if len(names) < 3 else self._within(names, depth == "1")
        # The first is looked for before the answer begins: what is not there is refused.
        first = await anext(found)
        response = web.StreamResponse(status=207, headers={"Content-Type": XML, "Cache-Control": "no-cache"})

        async def body() -> None:
            await response.write(dav.HEAD + dav.response(*first, asked))
            parts: list[bytes] = []
            async for href, properties in found:
                parts.append(dav.response(href, properties, asked))
                if len(parts) == PAGE_MAX:
                    await response.write(b"".join(parts))
                    parts.clear()
            await response.write(b"".join(parts) + dav.TAIL)

        return await sent(request, response, body)

    async def _above(self, names: list[str], with_members: bool) -> AsyncIterator[tuple[str, Properties]]:
        """Scopes, names of a scope, tags of a dataset."""
        members = await self._members(names)
        yield _href(names, is_directory=True), _collection(names[-1] if names else "datasets")
        for name in members if with_members else []:
            moved = self._node.ledger.last_of_tag("/".join(names), name) if len(names) == 2 else None
            yield _href([*names, name], is_directory=True), _collection(name, moved.wall_time if moved else None)

    async def _members(self, names: list[str]) -> list[str]:
        if len(names) == 2:
            return list(await catalogue.tags(self._node, f"{check_name(names[0], 'scope')}/{check_name(names[1])}"))
        if not names:
            return await self._scopes()
        scope = check_name(names[0], "scope")
        found = await catalogue.datasets_of(self._node, scope, after="", limit=SCOPES_MAX)
        if not found[0]:
            raise NotFoundError(f"there is no dataset in {scope}")
        return [dataset.rpartition("/")[2] for dataset in found[0]]

    async def _scopes(self) -> list[str]:
        scopes: dict[str, None] = {}
        at, more = "", True
        while more and len(scopes) < SCOPES_MAX:
            page, more = await catalogue.datasets(self._node, after=at, limit=PAGE_MAX)
            scopes.update(dict.fromkeys(dataset.partition("/")[0] for dataset in page))
            at = page[-1] if page else at
            more = more and bool(page)
        return list(scopes)

    async def _within(self, names: list[str], with_members: bool) -> AsyncIterator[tuple[str, Properties]]:
        """A path of a version, and what lies in it."""
        snapshot = await self._node.snapshots.open(reference_of(*names[:3]))
        path = "/".join(names[3:])
        file = await snapshot.look(path)
        if file is not None and file.entry.kind == FILE:
            yield _href(names, is_directory=False), _properties(names[-1], file)
            return
        # A version's directories have no times of their own: that of the entry which shows it is as true for all.
        since = self._node.access.learn(snapshot.resolved.entry).wall_time
        told = _collection(names[-1], since)
        if not path:
            told |= {VERSION: snapshot.version.hex()}
        yield _href(names, is_directory=True), told
        if with_members:
            directory = await snapshot.follow(path) if path else ""
            async for name, member in _members_of(snapshot, directory, by_link=directory != path):
                is_directory = member is None
                properties = _collection(name, since) if member is None else _properties(name, member)
                yield _href([*names, name], is_directory=is_directory), properties


async def _members_of(snapshot: Snapshot, directory: str, *, by_link: bool) -> AsyncIterator[tuple[str, File | None]]:
    """What lies in a directory: a file for each name, None for a directory."""
    after, more = "", True
    while more:
        items = await snapshot.names(directory, after=after, limit=PAGE_MAX)
        for item in items:
            shown = await shown_as(snapshot, directory, item, by_link=by_link)
            if shown is not None:
                yield item.name, None if isinstance(shown, str) else shown
        more = len(items) == PAGE_MAX
        after = items[-1].cursor if items else ""


def _names_of(request: web.Request) -> tuple[list[str], bool]:
    """The parts of the path, and whether it ends with a slash."""
    parts = parts_of(request.rel_url.raw_path.removeprefix(PREFIX).removeprefix("/"))
    names = parts[:-1] if parts[-1] == "" else parts
    if "" in names:
        raise NotFoundError("no version holds an empty name")
    return names, parts[-1] == ""


async def _body(request: web.Request) -> bytes:
    body = b""
    while len(body) <= dav.BODY_MAX_BYTES and (part := await request.content.readany()):
        body += part
    return body


def _listing_at(request: web.Request) -> web.Response:
    """A directory for a browser is at /fs/."""
    raw = request.rel_url.raw_path.removeprefix(PREFIX)
    return web.Response(status=302, headers={"Location": f"/fs{raw.rstrip('/')}/", "Cache-Control": "no-cache"})


def _refusal(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=why, headers={"Allow": READING, "DAV": "1"})


def _href(names: list[str], *, is_directory: bool) -> str:
    return quote("/".join([PREFIX, *names]), safe="/@") + ("/" if is_directory else "")


def _collection(name: str, modified: int | None = None) -> Properties:
    """A directory; clients show one without a time as of 1970."""
    told: Properties = {
        (dav.NAMESPACE, "resourcetype"): "<D:collection/>",
        (dav.NAMESPACE, "displayname"): dav.text(name),
    }
    if modified is not None and 0 <= modified < DATES_END_S:
        told[dav.NAMESPACE, "getlastmodified"] = http_date(modified)
    return told


def _properties(name: str, file: File) -> Properties:
    validators = validators_of(file, is_dated=False)
    told: Mapping[str, str] = {
        "resourcetype": "",
        "displayname": dav.text(name),
        "getcontentlength": str(file.entry.size),
        "getcontenttype": dav.text(media_type_of(file.entry.path)),
        "getetag": dav.text(validators.etag),
    }
    properties = {(dav.NAMESPACE, local): value for local, value in told.items()}
    if validators.modified is not None and 0 <= validators.modified < DATES_END_S:
        properties[dav.NAMESPACE, "getlastmodified"] = http_date(validators.modified)
    return {**properties, SHA256: file.entry.sha256.hex()}
