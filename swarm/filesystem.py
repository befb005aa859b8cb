"""``aetherfs://scope/name:tag/path`` for whatever opens files through fsspec: pandas, pyarrow, polars, dask.

Read-only. One instance reads one version of each tag, the one that it meant when the instance first looked: a dataset
read file by file is never a mix of two. A new instance sees what is new, and a copy sent to another process reads the
same versions. The agent on AETHERFS_HOME reads; where none runs, a peer is started that ends with the program.

Storage options: ``home``, the state folder in place of AETHERFS_HOME; ``agent``, the address of an agent
(``http://127.0.0.1:7072``); ``versions``, a version for each ``scope/name:tag``, in hex. Where the home's settings or
AETHERFS_REQUIRE_SIGNER require a signer, an agent that does not is refused.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode

from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem, make_instance

from swarm.names import DEFAULT_TAG
from swarm.reader_calls import ReaderCalls

PART_BYTES: Final = 1 << 20
BLOCK_BYTES: Final = 4 << 20
_KINDS: Final = {"file": "file", "directory": "directory", "link": "link"}


class AetherFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """See the module. Methods are those of fsspec."""

    protocol: ClassVar[str] = "aetherfs"
    # An instance is a snapshot: who asks for a new one means now.
    cachable: ClassVar[bool] = False
    root_marker: ClassVar[str] = ""

    def __init__(
        self,
        home: str | None = None,
        agent: str | None = None,
        versions: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._calls = ReaderCalls(home, agent)
        self._versions: dict[str, str] = dict(versions or {})

    def __reduce__(self) -> tuple[Any, ...]:
        options = {**self.storage_options, "versions": dict(self._versions)}
        return make_instance, (type(self), self.storage_args, options)

    # ---- names ------------------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return str(super()._strip_protocol(path)).strip("/")

    def _url(self, path: str) -> str:
        """Where the agent has a path: of the version that this instance reads."""
        scope, _, rest = path.partition("/")
        name, _, below = rest.partition("/")
        if below and not (":" in name or "@" in name):
            raise FileNotFoundError(errno.ENOENT, f"{path!r} lacks its tag: write {scope}/{name}:{DEFAULT_TAG}/{below}")
        dataset, _, _ = name.partition("@")[0].partition(":")
        version = self._version(f"{scope}/{name}", f"{scope}/{dataset}")
        return f"/fs/{quote(scope)}/{quote(dataset)}/@{version}/{quote(below)}"

    def _version(self, reference: str, dataset: str) -> str:
        known = self._versions.get(reference)
        if known is None:
            name, _, signature = reference.partition("@")
            tag = f"@{signature}" if signature else name.rpartition(":")[2]
            listed = self._calls.json(f"/fs/{quote(dataset)}/{quote(tag, safe='@')}/?info=1")
            known = self._versions[reference] = str(listed["version"])
        return known

    def _names(self, url: str, kind: str) -> list[str]:
        return [entry[kind] for entry in self._entries(url)]

    def _entries(self, url: str, **query: str) -> list[dict[str, Any]]:
        """All entries of a listing, page by page."""
        found: list[dict[str, Any]] = []
        asked = {"format": "json", **query}
        while True:
            page = self._calls.json(f"{url}?{urlencode(asked)}")
            found += page["entries"]
            if not page["next"]:
                return found
            asked["after"] = page["next"]

    # ---- what there is ----------------------------------------------------------------------------------------------

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if "/" not in path or not (":" in path or "@" in path):
            if path:
                self.ls(path)
            return {"name": path, "size": 0, "type": "directory"}
        entry = self._calls.json(f"{self._url(path)}?info=1")["entries"][0]
        return _described(path, entry)

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        found = self._listed(path)
        return found if detail else [entry["name"] for entry in found]

    def _listed(self, path: str) -> list[dict[str, Any]]:
        parts = path.split("/") if path else []
        if len(parts) < 2:
            datasets = self._names(f"/fs/{quote(path)}{'/' if path else ''}", "dataset")
            if path and not datasets:
                raise FileNotFoundError(errno.ENOENT, f"there is no dataset in {path}")
            return [_directory(dataset) for dataset in datasets]
        if len(parts) == 2 and not (":" in path or "@" in path):
            return [_directory(f"{path}:{tag}") for tag in self._names(f"/fs/{quote(path)}/", "tag")]
        url = self._url(path)
        known = self._calls.json(f"{url}?info=1")["entries"][0]
        if known["kind"] == "file":
            return [_described(path, known)]
        entries = self._entries(url if url.endswith("/") else f"{url}/")
        return [self._followed(f"{path}/{entry['name']}", entry) for entry in entries]

    def _followed(self, path: str, entry: dict[str, Any]) -> dict[str, Any]:
        """An entry of a listing; a link is what it leads to, if it leads anywhere."""
        if entry["kind"] != "link":
            return _described(path, entry)
        try:
            return {**self.info(path), "islink": True, "destination": entry["target"]}
        except FileNotFoundError:
            return {**_described(path, entry), "size": 0, "islink": True, "destination": entry["target"]}

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **options: Any
    ) -> Any:
        path = self._strip_protocol(path)
        has_tag = "/" in path and (":" in path or "@" in path)
        if maxdepth is not None or withdirs or not has_tag:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **options)
        top = "/".join(path.split("/")[:2])
        try:
            first = self.info(path)
        except FileNotFoundError:
            return {} if detail else []
        if first["type"] == "file":
            found = {path: first}
        else:
            entries = self._entries(f"{self._url(path)}/".replace("//", "/"), recursive="1")
            if any(entry["kind"] == "link" for entry in entries):
                return super().find(path, detail=detail, **options)
            named = ((f"{top}/{entry['path']}", entry) for entry in entries if entry["kind"] == "file")
            found = {name: _described(name, entry) for name, entry in named}
        return found if detail else sorted(found)

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self.info(path)["mtime"], UTC)

    def ukey(self, path: str) -> str:
        return str(self.info(path)["sha256"])

    def checksum(self, path: str) -> int:
        return int(self.ukey(path), 16)

    # ---- bytes ------------------------------------------------------------------------------------------------------

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AetherFile:
        if mode != "rb":
            raise OSError(errno.EROFS, "a version does not change: publish a directory with `aetherfs publish`", path)
        return AetherFile(
            self,
            path,
            mode,
            block_size or BLOCK_BYTES,
            cache_options=dict(cache_options) if cache_options else None,
            **options,
        )

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        path = self._strip_protocol(path)
        if start is None and end is None:
            return self._calls.body(self._file_url(path))
        size = self.info(path)["size"]
        first = max(0, size + start) if start is not None and start < 0 else start or 0
        last = size if end is None else size + end if end < 0 else min(end, size)
        return self.read_range(path, first, last)

    def _file_url(self, path: str) -> str:
        """A file's, as a directory answers with its listing."""
        if self.info(path)["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "this is a directory", path)
        return self._url(path)

    def read_range(self, path: str, begin: int, end: int) -> bytes:
        """These bytes of a file, which has them."""
        if begin >= end:
            return b""
        data = self._calls.body(self._url(path), {"Range": f"bytes={begin}-{end - 1}"})
        if len(data) != end - begin:
            raise OSError(errno.EIO, f"{end - begin} bytes were asked for and {len(data)} came", path)
        return data

    def get_file(
        self, rpath: str, lpath: Any, callback: Callback = DEFAULT_CALLBACK, outfile: Any = None, **_options: Any
    ) -> None:
        rpath = self._strip_protocol(rpath)
        entry = self.info(rpath)
        is_file_object = isinstance(lpath, io.IOBase) or hasattr(lpath, "write")
        if entry["type"] == "directory" and not is_file_object:
            self._local_folder(str(lpath))
            return
        callback.set_size(entry["size"])
        if is_file_object:
            self._copy(rpath, lpath, callback)
            return
        self._local_folder(str(lpath).rpartition("/")[0])
        with open(lpath, "wb") as into:
            self._copy(rpath, into, callback)

    def _local_folder(self, path: str) -> None:
        from pathlib import Path

        if path:
            Path(path).mkdir(parents=True, exist_ok=True)

    def _copy(self, path: str, into: Any, callback: Callback) -> None:
        for part in self._calls.parts(self._url(path), PART_BYTES):
            into.write(part)
            callback.relative_update(len(part))


class AetherFile(AbstractBufferedFile):  # type: ignore[misc]
    """An open file: its bytes by ranges, through fsspec's cache."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.read_range(self.path, start, min(end, self.size))  # type: ignore[no-any-return]


def _directory(path: str) -> dict[str, Any]:
    return {"name": path, "size": 0, "type": "directory"}


def _described(path: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What fsspec wants to know of an entry of ours."""
    described: dict[str, Any] = {"name": path, "size": entry.get("size", 0), "type": _KINDS[entry["kind"]]}
    if "mtime_ns" in entry:
        described |= {"mtime": entry["mtime_ns"] / 1e9, "mode": int(entry["mode"], 8)}
    if "sha256" in entry:
        described |= {"sha256": entry["sha256"], "blake3": entry["blake3"]}
    return described
