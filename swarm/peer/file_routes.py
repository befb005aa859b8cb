"""Files of datasets over HTTP: ``/fs/{scope}/{name}/{tag}/{path}``, read on demand.

    /fs/                      the datasets           ?after=NAME&limit=N   pages of a listing
    /fs/{scope}/{name}/       its tags               ?format=json          (or Accept: application/json)
    .../{tag}/{directory}/    what lies in it        ?recursive=1          all that lies below it, as JSON
    .../{tag}/{file}          its bytes              ?archive=tar|zip      a directory in one file
                                                     ?info=1               what a path leads to, as JSON
                                                     ?info=entry           what lies at a path, links not followed

In place of a tag stands a version, as ``@signature``: its answers never change, and may be kept. A request opens one
snapshot and answers out of it. Links of the version are followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

import msgspec
from aiohttp import web

from swarm import __version__
from swarm.errors import NotFoundError, UsageError
from swarm.http.ranges import Validators, is_unmodified
from swarm.http.routes import Route
from swarm.limits import PAGE_MAX
from swarm.names import Reference, check_name, parse
from swarm.peer import archives, catalogue
from swarm.peer.ahead import Share
from swarm.peer.file_answers import CHANGING, SAFE, answer_file, sent_in_place, version_headers
from swarm.peer.listing_pages import (
    POLICY,
    README_MAX_BYTES,
    Page,
    Row,
    href_of,
    page_html,
    readme_among,
    readme_html,
    row_of,
)
from swarm.peer.moves import FIXED, terms_of
from swarm.peer.node import PeerNode
from swarm.peer.snapshot import File, Item, Snapshot
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK, FileEntry

PREFIX: Final = "/fs"
KINDS: Final = {FILE: "file", EMPTY_DIRECTORY: "directory", SYMLINK: "link"}


def parts_of(raw_path: str) -> list[str]:
    """The parts of a path as it came, decoded one by one. NotFoundError for what no version can hold."""
    parts = [unquote(part, errors="surrogateescape") for part in raw_path.split("/")]
    for part in parts:
        if part in (".", "..") or "/" in part or "\0" in part or not _is_text(part):
            raise NotFoundError("no version holds such a path")
    return parts


def _is_text(part: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in part)


def reference_of(scope: str, name: str, tag: str) -> Reference:
    """A tag, or a version as ``@signature``, of a dataset. UsageError for what is neither."""
    told = parse("name" + (tag if tag.startswith("@") else f":{tag}"))
    return replace(told, scope=check_name(scope, "scope"), name=check_name(name))


FORMATS: Final = ("json", "html")


class FileRoutes:
    """The handlers of one node."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node

    def routes(self) -> list[Route]:
        query = ("format", "recursive", "archive", "info", "after", "limit")
        return [
            Route(method, PREFIX + path, handler, "public", summary, response="application/octet-stream", query=query)
            for method in ("GET", "HEAD")
            for path, handler, summary in (
                ("", self._answer, "Where the datasets are listed"),
                ("/{path:[\\s\\S]*}", self._answer, "A file, or a listing"),
            )
        ]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = request.rel_url.raw_path
        parts = parts_of(raw.removeprefix(PREFIX).removeprefix("/"))
        is_directory_asked = parts[-1] == ""
        names = parts[:-1] if is_directory_asked else parts
        if "" in names:
            raise NotFoundError("no version holds an empty name")
        if len(names) < 3 or not raw.removeprefix(PREFIX):
            if not is_directory_asked or not raw.removeprefix(PREFIX):
                return moved(request)
            return await self._names(request, names)
        return await self._of_version(request, names, is_directory_asked=is_directory_asked)

    # ---- names ------------------------------------------------------------------------------------------------------

    async def _names(self, request: web.Request, names: Sequence[str]) -> web.StreamResponse:
        after, limit = _page_asked(request)
        if len(names) == 2:
            dataset = f"{check_name(names[0], 'scope')}/{check_name(names[1])}"
            tags = await catalogue.tags(self._node, dataset)
            later = [tag for tag in tags if tag > after]
            found, more = later[:limit], len(later) > limit
            document = [{"tag": tag, "version": tags[tag].hex()} for tag in found]
        else:
            scope = check_name(names[0], "scope") if names else ""
            found, more = await catalogue.datasets_of(self._node, scope, after=after, limit=limit)
            document = [{"dataset": dataset} for dataset in found]
        following = found[-1] if more and found else ""
        if _wants_json(request):
            return _json(request, {"entries": document, "next": following}, {"Cache-Control": CHANGING})
        rows = [Row(name + "/", href_of(name.rpartition("/")[2] if names else name) + "/") for name in found]
        return _html(request, Page(_crumbs(names), rows, _more(request, following)), {"Cache-Control": CHANGING})

    # ---- a version --------------------------------------------------------------------------------------------------

    async def _of_version(
        self, request: web.Request, names: Sequence[str], *, is_directory_asked: bool
    ) -> web.StreamResponse:
        reference = reference_of(*names[:3])
        is_fixed = reference.signature is not None
        snapshot = await self._node.snapshots.open(reference)
        path = "/".join(names[3:])
        is_entry_asked = request.query.get("info") == "entry"
        file = await (_entry_at(snapshot, path) if is_entry_asked else snapshot.look(path))
        headers = version_headers(snapshot, is_fixed=is_fixed)
        if not is_fixed:
            tail = "/" if is_directory_asked and path else ""
            same = f"{PREFIX}/{snapshot.dataset}/@{snapshot.version.hex()}/{path}{tail}"
            headers["Content-Location"] = quote(same, safe="/@")
        if is_entry_asked or request.query.get("info") == "1":
            described = {"path": path, **_described(file.entry if file is not None else None)}
            return _json(request, _document(snapshot, path, [described], ""), headers)
        if file is not None and file.entry.kind == FILE:
            if is_directory_asked and path:
                raise NotFoundError(f"{path!r} is a file: ask for it without the slash")
            terms = FIXED if is_fixed else await terms_of(self._node, request, snapshot, path, file)
            return await answer_file(request, snapshot, file, headers, terms)
        if not is_directory_asked and not _wants_json(request) and "archive" not in request.query:
            return moved(request)
        directory = await snapshot.follow(path) if path else ""
        if "archive" in request.query:
            return await self._archive(request, snapshot, directory, headers)
        return await self._directory(request, snapshot, directory, names, headers)

    async def _directory(
        self,
        request: web.Request,
        snapshot: Snapshot,
        directory: str,
        names: Sequence[str],
        headers: dict[str, str],
    ) -> web.StreamResponse:
        is_json, is_recursive = _wants_json(request), request.query.get("recursive") == "1"
        etag = f'"{snapshot.version.hex()}-{"json" if is_json or is_recursive else f"html-{__version__}"}"'
        headers |= {"ETag": etag, "Vary": "Accept"}
        if is_unmodified(Validators(etag), request.headers.get("If-None-Match"), None):
            return web.Response(status=304, headers=headers)
        after, limit = _page_asked(request)
        if is_recursive:
            return await self._tree(request, snapshot, directory, after, limit, headers)
        items = await snapshot.names(directory, after=after, limit=limit + 1)
        items, following = items[:limit], items[limit - 1].cursor if len(items) > limit else ""
        if is_json:
            entries = [{"name": item.name, **_described(item.entry)} for item in items]
            return _json(request, _document(snapshot, directory, entries, following), headers)
        page = Page(
            _crumbs(names),
            [row_of(item) for item in items],
            _more(request, following),
            await _readme(snapshot, directory, items),
            f"version {snapshot.version.hex()}",
        )
        return _html(request, page, headers)

    async def _tree(
        self,
        request: web.Request,
        snapshot: Snapshot,
        directory: str,
        after: str,
        limit: int,
        headers: dict[str, str],
    ) -> web.StreamResponse:
        found = [file.entry async for file in snapshot.walk(directory, after=after, limit=limit + 1)]
        entries = [{"path": entry.path, **_described(entry)} for entry in found[:limit]]
        following = found[limit - 1].path if len(found) > limit else ""
        return _json(request, _document(snapshot, directory, entries, following), headers)

    async def _archive(
        self, request: web.Request, snapshot: Snapshot, directory: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        kind = request.query["archive"]
        if kind not in archives.MEDIA_TYPES:
            raise UsageError(f"there is no archive of kind {kind[:20]!r}: ask for tar or zip")
        etag = f'"{snapshot.version.hex()}-{kind}"'
        headers |= {"ETag": etag, "Content-Type": archives.MEDIA_TYPES[kind], "Content-Disposition": "attachment"}
        if is_unmodified(Validators(etag), request.headers.get("If-None-Match"), None):
            return web.Response(status=304, headers=headers)
        name = directory.rpartition("/")[2] or snapshot.dataset.rpartition("/")[2]
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(f'{name}.{kind}', safe='')}"
        response = web.StreamResponse(headers=headers)

        async def body(place: Share | None) -> None:
            async for part in archives.archive(snapshot, directory, kind, place):
                if part:
                    await response.write(part)

        await snapshot.check()
        return await sent_in_place(request, response, snapshot, body)


async def _entry_at(snapshot: Snapshot, path: str) -> File | None:
    """The entry of exactly this path; None for a directory with entries."""
    file = await snapshot.find(path) if path else None
    if file is None and path and not await snapshot.is_directory(path):
        raise NotFoundError(f"{path!r} is not in this version of {snapshot.dataset}")
    return file


async def _readme(snapshot: Snapshot, directory: str, items: Sequence[Item]) -> str:
    item = readme_among(items)
    if item is None or item.entry is None or item.entry.size > README_MAX_BYTES:
        return ""
    file: File | None = await snapshot.find(f"{directory}/{item.name}" if directory else item.name)
    return readme_html(item.name, await snapshot.read_all(file, README_MAX_BYTES)) if file is not None else ""


def moved(request: web.Request) -> web.Response:
    """A directory without its slash: relative links in its listing would lead elsewhere."""
    # Both as they came: what is decoded may hold what no header may.
    asked = request.rel_url
    url = f"{asked.raw_path}/" + (f"?{asked.raw_query_string}" if asked.raw_query_string else "")
    return web.Response(status=308, headers={"Location": url, "Cache-Control": CHANGING})


def _page_asked(request: web.Request) -> tuple[str, int]:
    text = request.query.get("limit", str(PAGE_MAX))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= PAGE_MAX):
        raise UsageError(f"limit is a number from 1 to {PAGE_MAX}")
    return request.query.get("after", ""), int(text)


def _wants_json(request: web.Request) -> bool:
    asked = request.query.get("format")
    if asked is not None:
        if asked not in FORMATS:
            raise UsageError(f"there is no listing in the format {asked[:40]!r}: ask for {' or '.join(FORMATS)}")
        return asked == "json"
    accepted = request.headers.get("Accept", "")
    return "recursive" in request.query or ("application/json" in accepted and "text/html" not in accepted)


def _described(entry: FileEntry | None) -> dict[str, Any]:
    """An entry for a JSON listing; None is a directory with entries."""
    if entry is None:
        return {"kind": "directory"}
    described: dict[str, Any] = {"kind": KINDS[entry.kind], "mode": f"{entry.mode:04o}", "mtime_ns": entry.mtime_ns}
    if entry.kind == FILE:
        described |= {"size": entry.size, "sha256": entry.sha256.hex(), "blake3": entry.blake3.hex()}
    elif entry.kind == SYMLINK:
        described |= {"target": entry.target}
    return described


def _document(snapshot: Snapshot, directory: str, entries: Sequence[dict[str, Any]], following: str) -> dict[str, Any]:
    resolved = snapshot.resolved
    return {
        "dataset": resolved.dataset,
        "tag": resolved.tag,
        "version": resolved.version.hex(),
        "serial": resolved.serial,
        "stale": resolved.is_stale,
        "path": directory,
        "entries": entries,
        "next": following,
    }


def _json(request: web.Request, document: dict[str, Any], headers: dict[str, str]) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), headers={**headers, "Content-Type": "application/json"})


def _html(request: web.Request, page: Page, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=page_html(page),
        headers={**SAFE, **headers, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY},
    )


def _crumbs(names: Sequence[str]) -> list[tuple[str, str]]:
    """From the top to here; scope and name are one step each."""
    crumbs = [("datasets", f"{PREFIX}/")]
    for depth, name in enumerate(names, 1):
        crumbs.append((name, f"{PREFIX}/{quote('/'.join(names[:depth]))}/"))
    return crumbs


def _more(request: web.Request, following: str) -> str:
    return "?" + urlencode({**request.query, "after": following}, errors="surrogatepass") if following else ""
