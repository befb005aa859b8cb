"""An OCI registry that only gives (distribution-spec 1.1, pull): ``oras pull``, ``skopeo copy``, ``podman`` tools.

A repository is ``scope/name``, its tags are the dataset's. A version is an image manifest with an empty configuration
and one layer a file: the file's bytes as they are, by its SHA-256, named by ``org.opencontainers.image.title``. So
nothing is packed or hashed for it, any layer is read on demand, and a version's manifest has the same digest wherever
it is asked for. Links show as what they lead to; modes and empty directories are not told. A version of more files
than a manifest holds (4 MiB, about 15,000 files) is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from swarm.errors import AetherError, BusyError, IntegrityError, NotFoundError, UsageError
from swarm.http.routes import Route
from swarm.limits import MIB, PAGE_MAX
from swarm.names import DEFAULT_SCOPE, Reference, check_name, check_tag
from swarm.peer import catalogue
from swarm.peer.file_answers import CHANGING, SAFE, UNCHANGING, answer_file, version_headers
from swarm.peer.file_routes import parts_of
from swarm.peer.linked import files_of
from swarm.peer.node import PeerNode
from swarm.peer.snapshot import Snapshot

PREFIX: Final = "/v2"
MANIFEST_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
KIND: Final = "application/vnd.aetherfs.version.v1"
LAYER_TYPE: Final = "application/octet-stream"
EMPTY: Final = b"{}"
EMPTY_DIGEST: Final = "sha256:" + hashlib.sha256(EMPTY).hexdigest()
# What clients take at most.
MANIFEST_MAX_BYTES: Final = 4 * MIB
# Versions whose layers can be asked for by digest without asking for the manifest again: of all together this part of
# the memory that is set for blocks, but the last one in any case.
REMEMBERED_SHARE: Final = 8
# A layer is kept as a digest and a path: two small objects, and their places in a dict.
_LAYER_BYTES: Final = 256
# Tags whose versions are looked through for a digest that is not among these: this peer may have been restarted. One
# search at a time, and none of a dataset in which just now nothing was found: anybody can name a digest.
SEARCHED_MAX: Final = 16
SEARCH_REST_S: Final = 10.0
RESTING_MAX: Final = 1024
_WORDS: Final = ("manifests", "blobs", "tags", "referrers")


class _RegistryError(NotFoundError):
    """A refusal with the code that the specification has for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class _Image:
    """A version as an image: its manifest's bytes and digest, and the paths of its files by hash."""

    version: bytes
    data: bytes
    digest: str
    paths: dict[bytes, str]
    size_bytes: int


class RegistryRoutes:
    """The handlers of one node."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._images: OrderedDict[tuple[str, bytes], _Image] = OrderedDict()
        self._images_bytes = 0
        self._images_most_bytes = node.settings.memory_bytes // REMEMBERED_SHARE
        self._searching = asyncio.Lock()
        self._resting: OrderedDict[str, float] = OrderedDict()

    def routes(self) -> list[Route]:
        return [
            Route(method, PREFIX + path, self._answer, "public", "As an OCI registry would", response=LAYER_TYPE)
            for method in ("GET", "HEAD")
            for path in ("/", "/{path:.*}")
        ]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = [part for part in parts_of(request.rel_url.raw_path.removeprefix(f"{PREFIX}/")) if part]
        try:
            if not parts:
                return _json({}, {})
            if parts == ["_catalog"]:
                return await self._catalog(request)
            dataset, word, rest = _split(parts)
            match word:
                case "tags" if rest == ["list"]:
                    return await self._tags(request, dataset)
                case "manifests" if len(rest) == 1:
                    return await self._manifest(request, dataset, rest[0])
                case "blobs" if len(rest) == 1:
                    return await self._blob(request, dataset, rest[0])
                case "referrers" if len(rest) == 1:
                    return _json({"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": []}, {}, _INDEX_TYPE)
            raise _RegistryError("UNSUPPORTED", "this registry gives manifests, blobs and lists of tags")
        except _RegistryError as error:
            return _refusal(404, error.code, str(error))
        except NotFoundError as error:
            return _refusal(404, "NAME_UNKNOWN", str(error))
        except UsageError as error:
            return _refusal(400, "NAME_INVALID", str(error))
        except AetherError as error:
            refusal = _refusal(error.http_status, "DENIED" if error.http_status == 403 else "UNKNOWN", str(error))
            if isinstance(error, BusyError):
                refusal.headers["Retry-After"] = str(math.ceil(error.wait_s))
            return refusal

    # ---- lists ------------------------------------------------------------------------------------------------------

    async def _catalog(self, request: web.Request) -> web.Response:
        count, last = _page_asked(request)
        found, has_more = await catalogue.datasets(self._node, after=last, limit=count) if count else ([], False)
        return _json({"repositories": found}, _next(request, found, has_more))

    async def _tags(self, request: web.Request, dataset: str) -> web.Response:
        count, last = _page_asked(request)
        later = [tag for tag in sorted(await catalogue.tags(self._node, dataset)) if tag > last]
        page = later[:count]
        return _json({"name": dataset, "tags": page}, _next(request, page, len(later) > count > 0))

    # ---- versions ---------------------------------------------------------------------------------------------------

    async def _manifest(self, request: web.Request, dataset: str, reference: str) -> web.StreamResponse:
        is_digest = ":" in reference
        if is_digest:
            image = await self._find(dataset, lambda image: image.digest == reference)
            if image is None:
                raise _RegistryError("MANIFEST_UNKNOWN", f"no version of {dataset} that is known here is {reference}")
        else:
            scope, _, name = dataset.partition("/")
            try:
                snapshot = await self._node.snapshots.open(Reference(scope, name, check_tag(reference)))
            except NotFoundError as error:
                raise _RegistryError("MANIFEST_UNKNOWN", str(error)) from error
            image = await self._image(snapshot)
        headers = {
            **SAFE,
            "Docker-Content-Digest": image.digest,
            "ETag": f'"{image.digest}"',
            "Cache-Control": UNCHANGING if is_digest else CHANGING,
            "AetherFS-Version": image.version.hex(),
            "Content-Type": MANIFEST_TYPE,
        }
        return web.Response(body=image.data, headers=headers)

    async def _blob(self, request: web.Request, dataset: str, digest: str) -> web.StreamResponse:
        headers = {"Docker-Content-Digest": digest}
        if digest == EMPTY_DIGEST:
            await catalogue.tags(self._node, dataset)
            return web.Response(body=EMPTY, headers={**SAFE, **headers, "Content-Type": LAYER_TYPE})
        sha256 = _hash_in(digest)
        image = await self._find(dataset, lambda image: sha256 in image.paths) if sha256 else None
        if image is None:
            raise _RegistryError("BLOB_UNKNOWN", f"no version of {dataset} that is known here has {digest}")
        snapshot = await self._open(dataset, image.version)
        file = await snapshot.find(image.paths[sha256])
        if file is None:
            raise _RegistryError("BLOB_UNKNOWN", f"{dataset} has {digest} no more")
        headers |= version_headers(snapshot, is_fixed=True)
        return await answer_file(request, snapshot, file, headers, media_type=LAYER_TYPE)

    async def _open(self, dataset: str, version: bytes) -> Snapshot:
        scope, _, name = dataset.partition("/")
        return await self._node.snapshots.open(Reference(scope, name, None, version))

    async def _find(self, dataset: str, fits: Any) -> _Image | None:
        """The version of a dataset that fits: one that was asked for, or one that a tag means."""
        known = self._remembered(dataset, fits)
        if known is not None or self._is_resting(dataset):
            return known
        async with self._searching:
            # Who waited may find what somebody else has looked for.
            known = self._remembered(dataset, fits)
            if known is not None or self._is_resting(dataset):
                return known
            found = await self._search(dataset, fits)
            if found is None:
                self._resting[dataset] = time.monotonic() + SEARCH_REST_S
                if len(self._resting) > RESTING_MAX:
                    self._resting.popitem(last=False)
            return found

    def _remembered(self, dataset: str, fits: Any) -> _Image | None:
        for (name, version), image in reversed(self._images.items()):
            if name == dataset and fits(image) and not self._node.access.is_purged(name, version):
                return image
        return None

    def _is_resting(self, dataset: str) -> bool:
        return time.monotonic() < self._resting.get(dataset, 0.0)

    async def _search(self, dataset: str, fits: Any) -> _Image | None:
        refused: IntegrityError | None = None
        versions = dict.fromkeys((await catalogue.tags(self._node, dataset)).values())
        for version in list(versions)[:SEARCHED_MAX]:
            if (dataset, version) not in self._images:
                try:
                    image = await self._image(await self._open(dataset, version))
                except IntegrityError as error:
                    refused = refused or error  # one that no required signer published bars no other
                    continue
                if fits(image):
                    return image
        if refused is not None:
            raise refused
        return None

    async def _image(self, snapshot: Snapshot) -> _Image:
        key = snapshot.dataset, snapshot.version
        image = self._images.get(key)
        if image is None:
            image = self._remember(key, await _made(snapshot))
        self._images.move_to_end(key)
        return image

    def _remember(self, key: tuple[str, bytes], image: _Image) -> _Image:
        """The image; somebody else's that was made meanwhile goes."""
        former = self._images.pop(key, None)
        self._images_bytes += image.size_bytes - (former.size_bytes if former is not None else 0)
        self._images[key] = image
        while self._images_bytes > self._images_most_bytes and len(self._images) > 1:
            self._images_bytes -= self._images.popitem(last=False)[1].size_bytes
        return image


_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"


async def _made(snapshot: Snapshot) -> _Image:
    """A version's manifest. The order of its members is part of its digest: change nothing here."""
    layers: list[dict[str, Any]] = []
    paths: dict[bytes, str] = {}
    size = 0
    async for path, file in files_of(snapshot):
        digest = f"sha256:{file.entry.sha256.hex()}"
        paths[file.entry.sha256] = file.entry.path
        title = {"org.opencontainers.image.title": path}
        layers.append({"mediaType": LAYER_TYPE, "digest": digest, "size": file.entry.size, "annotations": title})
        size += 192 + len(path.encode())
        if size > MANIFEST_MAX_BYTES:
            raise UsageError(
                f"{snapshot.dataset} has more files than an OCI manifest may name: `aetherfs pull` it, or read /fs/"
            )
    empty = {"mediaType": EMPTY_TYPE, "digest": EMPTY_DIGEST, "size": len(EMPTY)}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": KIND,
        "config": empty,
        "layers": layers or [empty],
        "annotations": {"io.aetherfs.version": snapshot.version.hex()},
    }
    data = msgspec.json.encode(document)
    held_bytes = sum(_LAYER_BYTES + len(path.encode()) for path in paths.values())
    return _Image(snapshot.version, data, "sha256:" + hashlib.sha256(data).hexdigest(), paths, len(data) + held_bytes)


def _hash_in(digest: str) -> bytes:
    """The hash that a digest names; nothing for one of another kind."""
    return bytes.fromhex(digest[7:]) if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else b""


def _split(parts: Sequence[str]) -> tuple[str, str, list[str]]:
    """The dataset, what is asked of it, and what follows."""
    at = next((n for n in (2, 1) if len(parts) > n + 1 and parts[n] in _WORDS), 0)
    if not at:
        raise _RegistryError("NAME_UNKNOWN", "a repository's name is scope/name")
    scope, name = parts[:2] if at == 2 else (DEFAULT_SCOPE, parts[0])
    return f"{check_name(scope, 'scope')}/{check_name(name)}", parts[at], list(parts[at + 1 :])


def _page_asked(request: web.Request) -> tuple[int, str]:
    text = request.query.get("n", str(PAGE_MAX))
    if not (text.isascii() and text.isdigit()):
        raise UsageError("n is a number")
    return min(int(text[:9]), PAGE_MAX), request.query.get("last", "")


def _next(request: web.Request, page: Sequence[str], has_more: bool) -> dict[str, str]:
    if not has_more or not page:
        return {}
    query = urlencode({"n": request.query.get("n", str(PAGE_MAX)), "last": page[-1]})
    return {"Link": f'<{request.path}?{query}>; rel="next"'}


def _json(document: Any, headers: dict[str, str], media_type: str = "application/json") -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document),
        headers={**SAFE, "Docker-Distribution-API-Version": "registry/2.0", **headers, "Content-Type": media_type},
    )


def _refusal(status: int, code: str, message: str) -> web.Response:
    response = _json({"errors": [{"code": code, "message": message, "detail": None}]}, {})
    response.set_status(status)
    return response
