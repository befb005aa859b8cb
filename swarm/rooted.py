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
from typing import Final, Self

from blake3 import blake3

from swarm.errors import AetherError, FullError
from swarm.paths import shown
from swarm.room import make_room

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


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of it. OSError as pwrite(2) gives it."""
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count


class Way:
    """Goes from path to path below ``root``; directories that two in a row share are opened once.

    For one thread, and for a short while: a directory that is moved meanwhile is still reached, where it is then. With
    ``follow_links`` every path is given as it is.
    """

    def __init__(self, root: Path, *, create: bool = False, follow_links: bool = False) -> None:
        self._root = root
        self._create = create
        self._follow_links = follow_links
        self._head: str | None = None
        self._names: list[str] = []
        self._open: list[int] = []

    def to(self, path: str) -> tuple[int, str]:
        """A descriptor of the directory that a path is in, valid until the next, and the path's last part.

        OSError if a part of the way is no real directory.
        """
        head, _, name = ("", "", path) if self._follow_links else path.rpartition("/")
        if head != self._head:
            self._go(head)
        return self._open[-1], name

    def _go(self, head: str) -> None:
        self._head = None
        if not self._open:
            self._open.append(os.open(self._root, _DIRECTORY))
        names = head.split("/") if head else []
        shared = 0
        for before, now in zip(self._names, names, strict=False):
            if before != now:
                break
            shared += 1
        self._back_to(shared)
        for name in names[shared:]:
            if self._create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=self._open[-1])
            self._open.append(os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=self._open[-1]))
            self._names.append(name)
        self._head = head

    def _back_to(self, depth: int) -> None:
        while len(self._names) > depth:
            self._names.pop()
            os.close(self._open.pop())

    def close(self) -> None:
        self._head = None
        self._back_to(0)
        if self._open:
            os.close(self._open.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
    def file(self, path: str, *, create: bool = False, room_bytes: int = 0) -> Iterator[int]:
        """A descriptor of the file, valid inside the ``with``. OSError as open(2) gives it, and when there is no room
        for so many bytes in it.
        """
        descriptor = self._take(path, create, room_bytes)
        try:
            yield descriptor
        finally:
            self._give_back(descriptor)

    def _take(self, path: str, create: bool, room_bytes: int) -> int:
        with self._lock:
            descriptor = self._open.get(path)
            if descriptor is None:
                descriptor = self._open[path] = self._open_file(path, create, room_bytes)
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

    def _open_file(self, path: str, create: bool, room_bytes: int) -> int:
        flags = (os.O_RDWR if self._writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK
        if self._follow_links:
            return os.open(self.root / path, flags)
        flags |= os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        with self.parent(path, create=create) as (directory, name):
            descriptor = self._open_in(directory, name, flags, 0o600)
        if room_bytes:
            try:
                make_room(descriptor, room_bytes)
            except OSError:
                os.close(descriptor)
                raise
        return descriptor

    def _open_in(self, directory: int, name: str, flags: int, mode: int) -> int:
        try:
            return os.open(name, flags, mode, dir_fd=directory)
        except PermissionError:
            if not self._writable:
                raise
            # Ours, from a try that was killed when it had set the modes already.
            os.chmod(name, 0o600, dir_fd=directory)
            return os.open(name, flags, mode, dir_fd=directory)

    def open_made(self, way: Way, path: str, mode: int) -> int:
        """A descriptor for writing a file, which is made if it lacks, with a mode that the umask narrows. The caller
        closes it. OSError as open(2) gives it.
        """
        directory, name = way.to(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        return self._open_in(directory, name, flags, mode)

    def way(self, *, create: bool = False) -> Way:
        """A way through this tree's directories, which ``create`` makes where they lack. Close it."""
        return Way(self.root, create=create, follow_links=self._follow_links)

    @contextlib.contextmanager
    def parent(self, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the directory that a path is in, and its last part. OSError if a part is no real
        directory.
        """
        with Way(self.root, create=create) as way:
            yield way.to(path)

    def read_at(self, way: Way, path: str, part: memoryview, offset: int) -> int:
        """Read from a file, which is not kept open: how many bytes. OSError as open(2) and preadv(2) give it."""
        descriptor = self._open_to_read(way, path)
        try:
            return os.preadv(descriptor, [part], offset)
        finally:
            os.close(descriptor)

    def _open_to_read(self, way: Way, path: str) -> int:
        directory, name = way.to(path)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        return self._open_in(directory, name, flags if self._follow_links else flags | os.O_NOFOLLOW, 0)

    def status(self, path: str, way: Way | None = None) -> os.stat_result | None:
        """lstat of a path, None if it is not there or lies behind a link. ``way`` is for one path after the other."""
        if way is None:
            with Way(self.root) as own:
                return self.status(path, own)
        try:
            directory, name = way.to(path)
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

    def hash_of(self, path: str, way: Way | None = None) -> bytes | None:
        """BLAKE3 of a regular file's content, None if there is none; our error for one that cannot be read."""
        if way is None:
            with self.way() as own:
                return self.hash_of(path, own)
        try:
            descriptor = self._open_to_read(way, path)
            try:
                status = os.fstat(descriptor)
                return _hash_of(descriptor, status.st_size) if stat.S_ISREG(status.st_mode) else None
            finally:
                os.close(descriptor)
        except OSError as error:
            if is_absent(error):
                return None
            raise failure(f"cannot read {shown(str(self.root / path))}", error) from error

    def close(self) -> None:
        """Close what nobody uses."""
        with self._lock:
            self._shrink(0)


def _hash_of(descriptor: int, size: int) -> bytes:
    hasher = blake3()
    buffer = memoryview(bytearray(min(max(size, 1), READ_BYTES)))
    while count := os.readv(descriptor, [buffer]):
        hasher.update(buffer[:count])
    return hasher.digest()
