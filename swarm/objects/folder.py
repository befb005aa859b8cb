"""An object store in a folder: the default, for one machine or a shared filesystem.

An object is a file whose name ends in ``~``, which no key may hold, so that ``a`` and ``a/b`` can both exist. It is
written beside, synced, and linked or renamed to its name, and the directory is synced: what is acknowledged is whole
and survives a power cut. ``link`` fails when the name is taken, on every POSIX filesystem: that is put-if-absent,
across processes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from swarm.errors import AetherError, NotFoundError, UnreachableError
from swarm.objects import check_key
from swarm.objects.usage import Usage, usage_of_sizes
from swarm.tree import failure, is_absent

SUFFIX: Final = "~"
TEMPORARY: Final = ".new"
# A temporary file this old belongs to a process that is gone.
ABANDONED_S: Final = 86_400.0
# What a disk or a mount that is not there any more answers with.
_GONE: Final = frozenset(
    {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN, errno.ETIMEDOUT}
)


class FolderObjectStore:
    """An ObjectStore below ``path``, which is made if need be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path / TEMPORARY
        try:
            self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
            for file in self._temporary.iterdir():
                with contextlib.suppress(FileNotFoundError):  # of another process, which has just renamed it
                    if time.time() - file.stat().st_mtime > ABANDONED_S:
                        file.unlink()
        except OSError as error:
            raise failure(f"cannot use {path} as an object store", error) from error

    @property
    def path(self) -> Path:
        return self._path

    def get(self, key: str) -> bytes:
        try:
            return self._file(key).read_bytes()
        except OSError as error:
            raise self._missing(key, error) from error

    def get_range(self, key: str, start: int, length: int) -> bytes:
        try:
            with open(self._file(key), "rb", buffering=0) as file:
                return os.pread(file.fileno(), length, start)
        except OSError as error:
            raise self._missing(key, error) from error

    def put(self, key: str, data: bytes) -> None:
        path = self._file(key)
        with self._written(key, data) as temporary:
            self._make_parents(path)
            os.replace(temporary, path)
            _sync(path.parent)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        path = self._file(key)
        if path.exists():
            return False
        with self._written(key, data) as temporary:
            self._make_parents(path)
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            _sync(path.parent)
        return True

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        self._check_there()
        directory = prefix.rpartition("/")[0]
        found = sorted(key for key in self._walk(directory) if key.startswith(prefix) and key > after)
        return found[:limit]

    def usage(self, prefix: str = "") -> Usage:
        """The objects whose keys begin with ``prefix``."""
        sizes = (self._size(key) for key in self._walk(prefix.rpartition("/")[0]) if key.startswith(prefix))
        return usage_of_sizes(size for size in sizes if size is not None)

    def _size(self, key: str) -> int | None:
        try:
            return self._file(key).stat().st_size
        except FileNotFoundError:
            return None

    def delete(self, key: str) -> None:
        try:
            self._file(key).unlink(missing_ok=True)
        except OSError as error:
            raise _failed(f"cannot delete object {key}", error) from error

    def close(self) -> None:
        """Nothing is held open."""

    def _file(self, key: str) -> Path:
        return self._path / (check_key(key) + SUFFIX)

    def _missing(self, key: str, error: OSError) -> AetherError:
        if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            self._check_there()
            return NotFoundError(f"there is no object {key}")
        return _failed(f"cannot read object {key}", error)

    def _check_there(self) -> None:
        """The folder itself is there: one that was unmounted or moved is not an empty store."""
        if not self._temporary.is_dir():
            raise UnreachableError(f"the object store is gone from {self._path}: mount it again, or put it back")

    def _walk(self, directory: str) -> Iterator[str]:
        for at, names, files in os.walk(self._path / directory, onerror=_unless_absent):
            if TEMPORARY in names:
                names.remove(TEMPORARY)
            below = os.path.relpath(at, self._path)
            prefix = "" if below == "." else below + "/"
            yield from (prefix + name[: -len(SUFFIX)] for name in files if name.endswith(SUFFIX))

    @contextlib.contextmanager
    def _written(self, key: str, data: bytes) -> Iterator[Path]:
        """A synced temporary file, gone afterwards unless it was renamed."""
        temporary = self._temporary / secrets.token_hex(16)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._check_there()
            raise _failed(f"cannot write object {key}", error) from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

    def _make_parents(self, path: Path) -> None:
        """Make the directories on the way, each synced into the one above it."""
        missing = [parent for parent in path.parents if parent.is_relative_to(self._path) and not parent.exists()]
        for parent in reversed(missing):
            with contextlib.suppress(FileExistsError):
                parent.mkdir(mode=0o700)
            _sync(parent.parent)


def holds_object(path: Path, key: str) -> bool:
    """Whether a store in this folder holds an object. Nothing is made, unlike by opening it."""
    try:
        (path / (check_key(key) + SUFFIX)).stat()
    except OSError as error:
        if is_absent(error):
            return False
        raise _failed(f"cannot use {path} as an object store", error) from error
    return True


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unless_absent(error: OSError) -> None:
    """A folder that cannot be read is not an empty one."""
    if not is_absent(error):
        raise _failed("cannot list the object store", error) from error


def _failed(doing: str, error: OSError) -> AetherError:
    """Our error. A filesystem that is gone is as good as a server that does not answer."""
    if error.errno in _GONE:
        return UnreachableError(f"{doing}: {error.strerror}; look at that disk or mount, then repeat")
    return failure(doing, error)
