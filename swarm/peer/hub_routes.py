"""What clients of the Hugging Face Hub ask, answered from datasets: ``HF_ENDPOINT=http://127.0.0.1:7072/hf``.

Read-only. A repository of either kind (model, dataset) is ``scope/name``; a revision is a tag, ``main`` also means
``latest``. A commit is a version: its first 40 digits, as clients take no other length for one that never changes. So a
client that asks for a revision learns a commit first and then reads of that alone. Each file shows as one of large
storage, whose name is its SHA-256, since that is what a manifest knows of it. Links show as what they lead to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from swarm.errors import AetherError, NotFoundError, UsageError
from swarm.http.routes import Route
from swarm.http.validate import decode_body
from swarm.names import DEFAULT_SCOPE, DEFAULT_TAG, Reference, check_name, check_tag
from swarm.peer import catalogue
from swarm.peer.file_answers import CHANGING, SAFE, answer_file, version_headers
from swarm.peer.file_routes import parts_of
from swarm.peer.linked import files_of, shown_as
from swarm.peer.moves import FIXED, terms_of
from swarm.peer.node import PeerNode
from swarm.peer.snapshot import File, Snapshot
from swarm.segments import EMPTY_DIRECTORY, FILE

PREFIX: Final = "/hf"
COMMIT_CHARS: Final = 40
MAIN: Final = "main"
# A client that is told of more than a thousand asks for the tree instead, page by page.
SIBLINGS_MAX: Final = 1001
TREE_PAGE: Final = 1000
PATHS_MAX: Final = 1000
_COMMIT: Final = re.compile(rf"[0-9a-f]{{{COMMIT_CHARS}}}|[0-9a-f]{{64}}")
_KINDS: Final = ("models", "datasets")
_WORDS: Final = frozenset({"revision", "tree", "paths-info", "refs", "resolve"})


class HubRoutes:
    """The handlers of one node."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node

    def routes(self) -> list[Route]:
        return [
            Route(method, f"{PREFIX}/{{path:[\\s\\S]*}}", self._answer, "public", "As the Hugging Face Hub would")
            for method in ("GET", "HEAD", "POST")
        ]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = parts_of(request.rel_url.raw_path.removeprefix(f"{PREFIX}/").rstrip("/"))
        is_api = parts[0] == "api"
        parts = parts[1:] if is_api else parts
        if parts and parts[0] in _KINDS:
            parts = parts[1:]
        elif is_api:
            return _refusal(404, "", "only models and datasets are answered for")
        dataset = ""
        try:
            dataset, word, rest = _split(parts)
            return await self._of_dataset(request, dataset, word if is_api or word == "resolve" else "", rest)
        except NotFoundError as error:
            return _refusal(404, await self._missing(dataset, error), str(error))
        except UsageError as error:
            return _refusal(404, "RepoNotFound", str(error))
        except AetherError as error:
            return _refusal(error.http_status, "", str(error))

    async def _missing(self, dataset: str, error: NotFoundError) -> str:
        """What a client is told is not there, by which it chooses its exception."""
        if isinstance(error, _NoEntryError):
            return "EntryNotFound"
        try:
            await catalogue.tags(self._node, dataset)
        except AetherError:
            return "RepoNotFound"
        return "RevisionNotFound"

    async def _of_dataset(
        self, request: web.Request, dataset: str, word: str, rest: Sequence[str]
    ) -> web.StreamResponse:
        if word == "refs":
            return await self._refs(dataset)
        revision, path = (rest[0] if rest else MAIN), "/".join(rest[1:])
        snapshot, is_fixed = await self._open(dataset, revision)
        headers = {**version_headers(snapshot, is_fixed=is_fixed), "X-Repo-Commit": commit_of(snapshot)}
        match word:
            case "resolve":
                file = await _file(snapshot, path)
                terms = FIXED if is_fixed else await terms_of(self._node, request, snapshot, path, file)
                return await answer_file(request, snapshot, file, headers, terms)
            case "tree":
                return await self._tree(request, snapshot, path, headers)
            case "paths-info":
                return await self._paths(request, snapshot, headers)
            case _:
                return await self._info(snapshot, headers)

    async def _open(self, dataset: str, revision: str) -> tuple[Snapshot, bool]:
        scope, _, name = dataset.partition("/")
        if _COMMIT.fullmatch(revision):
            version = await self._version(dataset, revision)
            if version is not None:
                return await self._node.snapshots.open(Reference(scope, name, None, version)), True
        tag = check_tag(revision)
        try:
            return await self._node.snapshots.open(Reference(scope, name, tag)), False
        except NotFoundError:
            if tag != MAIN:
                raise
        return await self._node.snapshots.open(Reference(scope, name, DEFAULT_TAG)), False

    async def _version(self, dataset: str, commit: str) -> bytes | None:
        """The version that begins with these digits."""
        if len(commit) == 64:
            return bytes.fromhex(commit)
        begin = bytes.fromhex(commit)
        for version in self._node.ledger.versions(dataset):
            if version.startswith(begin):
                return version
        scope, _, name = dataset.partition("/")
        try:
            return (await self._node.finder.completed(Reference(scope, name, None, prefix=commit))).signature
        except NotFoundError:
            return None

    # ---- answers ----------------------------------------------------------------------------------------------------

    async def _refs(self, dataset: str) -> web.Response:
        tags = await catalogue.tags(self._node, dataset)
        branch = MAIN if MAIN in tags else DEFAULT_TAG
        named = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": _commit(v)} for tag, v in tags.items()]
        main = (
            [{"name": MAIN, "ref": "refs/heads/main", "targetCommit": _commit(tags[branch])}] if branch in tags else []
        )
        return _json({"branches": main, "tags": named, "converts": []}, {"Cache-Control": CHANGING})

    async def _info(self, snapshot: Snapshot, headers: dict[str, str]) -> web.Response:
        siblings = []
        async for path, file in files_of(snapshot):
            siblings.append({"rfilename": path, "size": file.entry.size, "blobId": file.entry.sha256.hex()[:40]})
            if len(siblings) == SIBLINGS_MAX:
                break
        entry = self._node.access.learn(snapshot.resolved.entry)
        when = datetime.fromtimestamp(entry.wall_time, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return _json(
            {
                "_id": commit_of(snapshot)[:24],
                "id": snapshot.dataset,
                "modelId": snapshot.dataset,
                "author": snapshot.dataset.partition("/")[0],
                "sha": commit_of(snapshot),
                "lastModified": when,
                "createdAt": when,
                "private": False,
                "gated": False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "siblings": siblings,
            },
            headers,
        )

    async def _tree(
        self, request: web.Request, snapshot: Snapshot, directory: str, headers: dict[str, str]
    ) -> web.Response:
        is_recursive = request.query.get("recursive", "").lower() in ("1", "true")
        cursor = request.query.get("cursor", "")
        try:
            target = await snapshot.follow(directory)
        except NotFoundError as error:
            raise _NoEntryError(str(error)) from error
        if not await snapshot.is_directory(target):
            raise _NoEntryError(f"{directory!r} is not a directory of this version")
        found: list[dict[str, Any]] = []
        if is_recursive:
            entries, following = await _walked(snapshot, directory, cursor)
            found += entries
        else:
            items = await snapshot.names(target, after=cursor, limit=TREE_PAGE + 1)
            for item in items[:TREE_PAGE]:
                shown = await shown_as(snapshot, target, item, by_link=target != directory)
                path = f"{directory}/{item.name}" if directory else item.name
                if shown is not None:
                    found.append(_directory(path) if isinstance(shown, str) else _of_file(path, shown))
            following = items[TREE_PAGE - 1].cursor if len(items) > TREE_PAGE else ""
        if following:
            query = urlencode({**request.query, "cursor": following})
            url = request.url.with_query(None)
            headers["Link"] = f'<{url}?{query}>; rel="next"'
        return _json(found, headers)

    async def _paths(self, request: web.Request, snapshot: Snapshot, headers: dict[str, str]) -> web.Response:
        if request.content_type == "application/json":
            paths: Sequence[object] = decode_body(await request.read(), AskedPaths).paths
        else:
            paths = (await request.post()).getall("paths", [])
        if len(paths) > PATHS_MAX or not all(isinstance(path, str) for path in paths):
            raise UsageError(f"at most {PATHS_MAX} paths are told of at a time")
        found = [await _described(snapshot, str(path).strip("/")) for path in paths]
        return _json([one for one in found if one is not None], headers)


class AskedPaths(msgspec.Struct, frozen=True):
    """Of which paths something is asked."""

    paths: tuple[str, ...] = ()


class _NoEntryError(NotFoundError):
    """The version is there and has no such path."""


def commit_of(snapshot: Snapshot) -> str:
    """What a client takes for the commit of a version."""
    return _commit(snapshot.version)


def _commit(version: bytes) -> str:
    return version.hex()[:COMMIT_CHARS]


def _split(parts: Sequence[str]) -> tuple[str, str, Sequence[str]]:
    """The dataset, the word behind it that says what is wanted of it, and what follows."""
    at = next((n for n in (2, 1) if len(parts) > max(n, 2) - (n == 1) and parts[n] in _WORDS), len(parts))
    names = parts[:at]
    if not 1 <= len(names) <= 2:
        raise NotFoundError("there is no such repository: its name is scope/name")
    scope, name = names if len(names) == 2 else (DEFAULT_SCOPE, names[0])
    dataset = f"{check_name(scope, 'scope')}/{check_name(name)}"
    return dataset, parts[at] if at < len(parts) else "", parts[at + 1 :]


async def _file(snapshot: Snapshot, path: str) -> File:
    try:
        file = await snapshot.look(path)
    except NotFoundError as error:
        raise _NoEntryError(str(error)) from error
    if file is None or file.entry.kind != FILE:
        raise _NoEntryError(f"{path!r} is a directory")
    return file


async def _walked(snapshot: Snapshot, directory: str, cursor: str) -> tuple[list[dict[str, Any]], str]:
    """A page of all that lies below a directory, the directories too, and where the next page begins."""
    found: list[dict[str, Any]] = []
    before = cursor
    async for path, file in files_of(snapshot, directory, cursor):
        if len(found) >= TREE_PAGE:
            return found, before
        for parent in _parents_between(before or directory, path, directory):
            found.append(_directory(parent))
        found.append(_of_file(path, file))
        before = path
    return found, ""


def _parents_between(before: str, path: str, top: str) -> list[str]:
    """The directories of a path, below ``top``, that the path before it does not lie in."""
    parents = [path[:at] for at, char in enumerate(path) if char == "/" and at > len(top)]
    return [parent for parent in parents if not before.startswith(parent + "/")]


async def _described(snapshot: Snapshot, path: str) -> dict[str, Any] | None:
    """What a path is, for a listing; None for nothing."""
    try:
        found = await snapshot.look(path)
    except NotFoundError:
        return None
    if found is None or found.entry.kind == EMPTY_DIRECTORY:
        return _directory(path)
    return _of_file(path, found)


def _directory(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": "0" * COMMIT_CHARS, "size": 0, "path": path}


def _of_file(path: str, file: File) -> dict[str, Any]:
    name, size = file.entry.sha256.hex(), file.entry.size
    lfs = {"oid": name, "sha256": name, "size": size, "pointerSize": 134}
    return {"type": "file", "oid": name[:COMMIT_CHARS], "size": size, "path": path, "lfs": lfs}


def _json(document: Any, headers: dict[str, str]) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document), headers={**SAFE, **headers, "Content-Type": "application/json"}
    )


def _refusal(status: int, code: str, detail: str) -> web.Response:
    message = "".join(char for char in detail if char.isascii() and char.isprintable())
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    response = _json({"error": detail}, headers)
    response.set_status(status)
    return response
