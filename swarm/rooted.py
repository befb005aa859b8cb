"""Files below one directory, reached without ever leaving it.

Every part of a path but the last has to be a real directory: no symbolic link is followed on the way, so neither a
dataset nor whoever else writes in the directory can point us elsewhere. Foreign failures become ours with ``failure``.
Blocking; safe to use from several threads.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from blake3 import blake3

from swarm.errors import AetherError, FullError
from swarm.paths import shown

OPEN_FILES_MAX: Final = 64
READ_BYTES: Final = 1 << 20
# What the system says where no regular file is, be it nothing, a directory, a link or a pipe.
_ABSENT: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ESPIPE, errno.ENAMETOOLONG}
)
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def failure(doing: str, error: OSError) -> AetherError:
    """Our error for a failure of the filesystem."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return FullError(f"{doing}: {error.strerror}; free some space, then repeat: what is there is kept")
    return AetherError(f"{doing}: {error.strerror}; repair that, then repeat: what is there is kept")


def is_absent(error: OSError) -> bool:
    """Whether a failure says that there is no such file, rather than that it cannot be reached."""
    return error.errno in _ABSENT


class Tree:
    """Files below ``root``, by dataset path. Keeps a bounded number of them open.

    ``writable`` is for a tree of our own, whose files may be made and written. ``follow_links`` is for a producer's own
    directory, published with its links followed: the only tree that may be left.
    """

    def __init__(self, root: Path, *, writable: bool = False, follow_links: bool = False) -> None:
        self.root = root
        self._writable = writable
        self._follow_links = follow_links
        self._open: OrderedDict[str, int] = OrderedDict()
        self._users: dict[int, int] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def file(self, path: str, *, create: bool = False) -> Iterator[int]:
        """A descriptor of the file, valid inside the ``with``. OSError as open(2) gives it."""
        descriptor = self._take(path, create)
        try:
            yield descriptor
        finally:
            self._give_back(descriptor)

    def _take(self, path: str, create: bool) -> int:
        with self._lock:
            descriptor = self._open.get(path)
            if descriptor is None:
                descriptor = self._open[path] = self._open_file(path, create)
            self._open.move_to_end(path)
            self._users[descriptor] = self._users.get(descriptor, 0) + 1
            self._shrink(OPEN_FILES_MAX)
            return descriptor

    def _give_back(self, descriptor: int) -> None:
        with self._lock:
            self._users[descriptor] -= 1
            if not self._users[descriptor]:
                del self._users[descriptor]
                if descriptor not in self._open.values():
                    os.close(descriptor)

    def _shrink(self, limit: int) -> None:
        while len(self._open) > limit:
            _, descriptor = self._open.popitem(last=False)
            if descriptor not in self._users:
                os.close(descriptor)

    def _open_file(self, path: str, create: bool) -> int:
        flags = (os.O_RDWR if self._writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
        if self._follow_links:
            return os.open(self.root / path, flags)
        with self.parent(path, create=create) as (directory, name):
            flags |= os.O_NOFOLLOW | (os.O_CREAT if create else 0)
            try:
                return os.open(name, flags, 0o600, dir_fd=directory)
            except PermissionError:
                if not self._writable:
                    raise
                # Ours, from a try that was killed when it had set the modes already.
                os.chmod(name, 0o600, dir_fd=directory)
                return os.open(name, flags, 0o600, dir_fd=directory)

    @contextlib.contextmanager
    def parent(self, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the directory that a path is in, and its last part. OSError if a part is no real
        directory.
        """
        *directories, name = path.split("/")
        at = os.open(self.root, _DIRECTORY)
        try:
            for directory in directories:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(directory, 0o755, dir_fd=at)
                below = os.open(directory, _DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
                os.close(at)
                at = below
            yield at, name
        finally:
            os.close(at)

    def status(self, path: str) -> os.stat_result | None:
        """lstat of a path, None if it is not there or lies behind a link."""
        try:
            with self.parent(path) as (directory, name):
                return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            if is_absent(error):
                return None
            raise failure(f"cannot look at {shown(str(self.root / path))}", error) from error

    def link(self, path: str) -> str | None:
        """Where a symbolic link leads, None if there is none."""
        try:
            with self.parent(path) as (directory, name):
                return os.readlink(name, dir_fd=directory)
        except OSError as error:
            if is_absent(error) or error.errno == errno.EINVAL:
                return None
            raise failure(f"cannot look at {shown(str(self.root / path))}", error) from error

    def hash_of(self, path: str) -> bytes | None:
        """BLAKE3 of a regular file's content, None if there is none; our error for one that cannot be read."""
        hasher = blake3()
        buffer = memoryview(bytearray(READ_BYTES))
        try:
            with self.file(path) as descriptor:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return None
                offset = 0
                while count := os.preadv(descriptor, [buffer], offset):
                    hasher.update(buffer[:count])
                    offset += count
        except OSError as error:
            if is_absent(error):
                return None
            raise failure(f"cannot read {shown(str(self.root / path))}", error) from error
        return hasher.digest()

    def close(self) -> None:
        """Close what nobody uses."""
        with self._lock:
            self._shrink(0)
