"""A directory that holds a version's files, read and written without ever leaving it.

``Tree`` opens files below one root, following no symbolic link on the way, so that neither a dataset nor whoever else writes in
the directory can point us elsewhere. ``TreeStore`` serves blocks out of such a directory: each read is verified, so a file
that was altered is noticed before it is served. Blocking; safe to use from several threads.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from blake3 import blake3

from swarm.encoding import encode_raw
from swarm.errors import AetherError, FullError
from swarm.manifest import Manifest, Place
from swarm.segments import EMPTY_DIRECTORY, FILE, FileEntry
from swarm.signature import signature_of

OPEN_FILES_MAX: Final = 64
READ_BYTES: Final = 1 << 20


def failure(doing: str, error: OSError) -> AetherError:
    """Our error for a failure of the filesystem."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return FullError(f"{doing}: {error.strerror}; free some space, then repeat: what is there is kept")
    return AetherError(f"{doing}: {error.strerror}; repair that, then repeat: what is there is kept")


class Tree:
    """Files below ``root``, by dataset path. Keeps a bounded number of them open."""

    def __init__(self, root: Path, *, writable: bool = False) -> None:
        self.root = root
        self._flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
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
                descriptor = self._open_below(path, create)
                self._open[path] = descriptor
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

    def _open_below(self, path: str, create: bool) -> int:
        """Open part by part: no part but the last may be anything but a real directory, and no part a link."""
        *directories, name = path.split("/")
        at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for directory in directories:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(directory, 0o755, dir_fd=at)
                below = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                os.close(at)
                at = below
            flags = self._flags | (os.O_CREAT if create else 0)
            return os.open(name, flags | os.O_NONBLOCK, 0o600, dir_fd=at)
        finally:
            os.close(at)

    def status(self, path: str) -> os.stat_result | None:
        """lstat of a path, None if it is not there or lies behind a link."""
        *directories, name = path.split("/")
        try:
            at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for directory in directories:
                    below = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                    os.close(at)
                    at = below
                return os.stat(name, dir_fd=at, follow_symlinks=False)
            finally:
                os.close(at)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise failure(f"cannot look at {self.root / path}", error) from error

    def hash_of(self, path: str) -> bytes | None:
        """BLAKE3 of a regular file's content, None if there is none."""
        return self._hash(path, lambda: blake3())

    def sha256_of(self, path: str) -> bytes | None:
        return self._hash(path, hashlib.sha256)

    def _hash(self, path: str, make: Callable[[], hashlib._Hash | blake3]) -> bytes | None:
        hasher = make()
        buffer = bytearray(READ_BYTES)
        try:
            with self.file(path) as descriptor:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    return None
                offset = 0
                while count := os.preadv(descriptor, [buffer], offset):
                    hasher.update(memoryview(buffer)[:count])
                    offset += count
        except OSError:
            return None
        return hasher.digest()

    def close(self) -> None:
        """Close what nobody uses."""
        with self._lock:
            self._shrink(0)


def read_places(places: list[Place], size: int, open_file: Callable[[int], contextlib.AbstractContextManager[int]]) -> bytes | None:
    """The plain bytes of a block from the stretches that make it up, None if a file is short or gone."""
    plain = bytearray(size)
    view = memoryview(plain)
    try:
        for place in places:
            with open_file(place.file_index) as descriptor:
                part = view[place.block_offset : place.block_offset + place.length]
                if os.preadv(descriptor, [part], place.file_offset) != place.length:
                    return None
    except OSError:
        return None
    return bytes(plain)


def occurrences(manifest: Manifest, index: int) -> Iterator[list[Place]]:
    """The places of a block, occurrence by occurrence."""
    size = manifest.unique[index].size
    gathered: list[Place] = []
    for place in manifest.places(index):
        gathered.append(place)
        if place.block_offset + place.length == size:
            yield gathered
            gathered = []


class TreeStore:
    """A Store of the blocks in a version's directory. ``get`` gives raw encoded blocks, verified, or None."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.tree = Tree(root)
        self._gone: set[bytes] = set()

    def has(self, signature: bytes) -> bool:
        """Whether the block should be there; only ``get`` knows."""
        return signature in self.manifest.index_of and signature not in self._gone

    def get(self, signature: bytes) -> bytes | None:
        """The block, or None if the directory no longer holds it, which is remembered."""
        index = self.manifest.index_of.get(signature)
        if index is None or signature in self._gone:
            return None
        for places in occurrences(self.manifest, index):
            plain = read_places(places, self.manifest.unique[index].size, self._file)
            if plain is not None and signature_of(plain) == signature:
                return encode_raw(plain)
        self._gone.add(signature)
        return None

    def _file(self, file_index: int) -> contextlib.AbstractContextManager[int]:
        return self.tree.file(self.manifest.files[file_index].path)

    def put(self, signature: bytes, encoded: bytes) -> None:
        """Nothing is put into a tree by signature."""

    def close(self) -> None:
        self.tree.close()


def verify_tree(root: Path, manifest: Manifest) -> list[str]:
    """Every difference between a directory and a version, a line each: what, and where."""
    tree = Tree(root)
    differences = [line for entry in manifest.files for line in _compare(tree, entry)]
    tree.close()
    expected = {entry.path for entry in manifest.files}
    for directory, names, files in os.walk(root):
        below = os.path.relpath(directory, root)
        prefix = "" if below == "." else below + "/"
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        differences += [f"extra: {prefix}{name}" for name in [*files, *links] if prefix + name not in expected]
        if not names and not files and below != "." and below not in expected:
            differences.append(f"extra: {below}")
    return sorted(differences)


def _compare(tree: Tree, entry: FileEntry) -> Iterator[str]:
    status = tree.status(entry.path)
    if status is None:
        yield f"missing: {entry.path}"
        return
    if entry.kind == FILE:
        if not stat.S_ISREG(status.st_mode):
            yield f"kind: {entry.path} is not a file"
        elif status.st_size != entry.size or tree.hash_of(entry.path) != entry.blake3:
            yield f"content: {entry.path}"
    elif entry.kind == EMPTY_DIRECTORY:
        if not stat.S_ISDIR(status.st_mode):
            yield f"kind: {entry.path} is not a directory"
    elif not stat.S_ISLNK(status.st_mode):
        yield f"kind: {entry.path} is not a link"
        return
    elif os.readlink(tree.root / entry.path) != entry.target:
        yield f"content: {entry.path} leads elsewhere"
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o777 != entry.mode:
        yield f"mode: {entry.path} is {status.st_mode & 0o777:o}, not {entry.mode:o}"
    if status.st_mtime_ns != entry.mtime_ns:
        yield f"mtime: {entry.path}"
