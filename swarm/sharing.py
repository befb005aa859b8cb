"""Files that a new version has in common with directories of others here: their bytes lie on the disk once.

A file is shared by a reflink where the filesystem can, which is a file of its own; else by a hard link, if mode and
times are the same too, as they belong to the bytes then. What can be neither is copied, block by block, as anything
else that is here. Only a file is shared that surely has the content: by its state (``swarm.scan_cache``) or its hash.
Hard links want files that nobody writes into: see the mask of ``Staging``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from swarm.errors import AetherError
from swarm.manifest import Manifest
from swarm.rooted import Tree, Way
from swarm.scan_cache import FileState, ScanCache
from swarm.segments import FILE, FileEntry

# ioctl_ficlone(2); the number is the same on all of Linux's architectures but mips, powerpc and sparc, which refuse it.
FICLONE: Final = 0x40049409

Clone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Origin:
    """A directory that holds a version, and what its files are known to look like."""

    root: Path
    manifest: Manifest
    known: ScanCache = field(default_factory=ScanCache)


@dataclass(frozen=True, slots=True)
class Shared:
    """A shared file as it is in the staged tree. ``is_linked``: its inode is that of another version too."""

    state: FileState
    is_linked: bool


def clone(target: int, source: int) -> None:
    """Make a file's content that of another, with no byte copied. OSError where the filesystem cannot."""
    fcntl.ioctl(target, FICLONE, source)


def share(
    staged: Path, wanted: Mapping[int, FileEntry], origins: Sequence[Origin], mask: int, clone: Clone = clone
) -> dict[int, Shared]:
    """Put into ``staged`` which of the ``wanted`` files any of the directories has. What lies there in their places
    is replaced. OSError when the disk is full, say.
    """
    found: dict[int, Shared] = {}
    for origin in origins:
        holds = {entry.blake3: entry for entry in origin.manifest.files if entry.kind == FILE}
        tree = Tree(origin.root)
        sharing = _Sharing(tree, origin.known, mask, clone)
        with Way(staged, create=True) as to, tree.way() as way:
            for index, entry in wanted.items():
                source = holds.get(entry.blake3) if entry.kind == FILE and entry.size and index not in found else None
                shared = sharing.put(source, way, entry, to) if source is not None else None
                if shared is not None:
                    found[index] = shared
    return _as_they_are(Tree(staged), wanted, found)


def _as_they_are(staged: Tree, wanted: Mapping[int, FileEntry], found: Mapping[int, Shared]) -> dict[int, Shared]:
    """The shared files, all links made: each link has changed the ctime of those to the same bytes."""
    result: dict[int, Shared] = {}
    with staged.way() as way:
        for index, shared in found.items():
            status = staged.status(wanted[index].path, way)
            if status is not None and FileState.of(status).content == shared.state.content:
                result[index] = Shared(FileState.of(status), shared.is_linked)
            elif status is not None:
                directory, name = way.to(wanted[index].path)
                os.unlink(name, dir_fd=directory)
    return result


class _Sharing:
    def __init__(self, tree: Tree, known: ScanCache, mask: int, clone: Clone) -> None:
        self._tree = tree
        self._known = known
        self._mask = mask
        self._clone: Clone | None = clone

    def put(self, source: FileEntry, way: Way, entry: FileEntry, to: Way) -> Shared | None:
        """One file, None if it cannot be shared."""
        before = self._surely(source, way)
        if before is None:
            return None
        directory, name = to.to(entry.path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        from_directory, from_name = way.to(source.path)
        if self._cloned(from_directory, from_name, directory, name):
            state = FileState.of(os.stat(name, dir_fd=directory, follow_symlinks=False))
            is_as_before = self._state(source.path, way) == before
            shared = Shared(state, is_linked=False)
        else:
            linked = self._linked(entry, from_directory, from_name, directory, name)
            if linked is None:
                return None
            # Linking changes the ctime; whatever else changes the content shows in size or mtime.
            is_as_before = linked.content == before.content
            shared = Shared(linked, is_linked=True)
        if is_as_before:
            return shared
        os.unlink(name, dir_fd=directory)
        return None

    def _surely(self, source: FileEntry, way: Way) -> FileState | None:
        """The state of a file that has its version's content, None of one that does not."""
        before = self._state(source.path, way)
        if before is None or before.size != source.size:
            return None
        known = self._known.unchanged(source.path, before)
        try:
            content = known.blake3 if known is not None else self._tree.hash_of(source.path, way)
            return before if content == source.blake3 and self._state(source.path, way) == before else None
        except AetherError:
            return None  # It cannot be read, which is no reason not to fetch it.

    def _state(self, path: str, way: Way) -> FileState | None:
        status = self._tree.status(path, way)
        return FileState.of(status) if status is not None and stat.S_ISREG(status.st_mode) else None

    def _cloned(self, from_directory: int, from_name: str, directory: int, name: str) -> bool:
        if self._clone is None:
            return False
        source = os.open(from_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=from_directory)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            target = os.open(name, flags, 0o600, dir_fd=directory)
            try:
                self._clone(target, source)
                return True
            except OSError:
                self._clone = None  # Not on this filesystem: it need not be tried for each file.
                os.unlink(name, dir_fd=directory)
                return False
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _linked(
        self, entry: FileEntry, from_directory: int, from_name: str, directory: int, name: str
    ) -> FileState | None:
        status = os.stat(from_name, dir_fd=from_directory, follow_symlinks=False)
        if status.st_mode & 0o777 != entry.mode & self._mask or status.st_mtime_ns != entry.mtime_ns:
            return None
        try:
            os.link(from_name, name, src_dir_fd=from_directory, dst_dir_fd=directory, follow_symlinks=False)
        except OSError:
            return None  # Too many links, another filesystem, or one without them: it is copied.
        return FileState.of(os.stat(name, dir_fd=directory, follow_symlinks=False))


def part_links(staged: Tree, paths: Sequence[str]) -> None:
    """Remove the files of a staged tree that another directory has too: what is written there must not change that."""
    with staged.way() as way:
        for path in paths:
            status = staged.status(path, way)
            if status is not None and stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                directory, name = way.to(path)
                os.unlink(name, dir_fd=directory)
