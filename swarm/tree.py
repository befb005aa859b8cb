"""A directory that holds a version's files, as a source of blocks, and how it differs from the version.

A block is verified when it is read, so a file that was altered is noticed before it is served; one that was verified,
or hashed by the scan just made, is not hashed again while its file's size, times and inode stand (with git's rule for a
file touched just then). Blocking; safe to use from several threads.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from swarm.encoding import RAW, Encoded
from swarm.errors import AetherError, NotFoundError
from swarm.manifest import Manifest, Place
from swarm.paths import is_staging, shown
from swarm.rooted import Tree, Way, failure, is_absent
from swarm.scan_cache import FileState, is_racy
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK, FileEntry
from swarm.signature import signature_of

# Blocks of a directory that are remembered as verified.
VERIFIED_MAX: Final = 65_536

TreeOf = Callable[[int], Tree]


class TreeStore:
    """A Store of the blocks in a version's directory. ``get`` gives raw encoded blocks, verified, or None.

    ``follow_links``: the directory is a producer's own, scanned with its links followed. ``hashed``: states of files
    by path, whose content this process has read since it began and found to be the version's (``Scan.hashed``).
    """

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        *,
        follow_links: bool = False,
        hashed: Mapping[str, FileState] = MappingProxyType({}),
    ) -> None:
        self.manifest = manifest
        self.tree = Tree(root, follow_links=follow_links)
        self._gone: set[bytes] = set()
        self._verified: dict[int, FileState] = {}
        self._hashed = hashed

    def has(self, signature: bytes) -> bool:
        """Whether the block should be there; only ``get`` knows."""
        return signature in self.manifest.index_of and signature not in self._gone

    def get(self, signature: bytes) -> Encoded | None:
        """The block, or None if the directory no longer holds it, which is remembered."""
        index = self.manifest.index_of.get(signature)
        if index is None or signature in self._gone:
            return None
        try:
            encoded = self._read_alone(index) or read_block(self.manifest, index, lambda file_index: self.tree)
        except OSError:
            return None  # it may be there and cannot be read now: too many open files, say
        if encoded is None:
            self._gone.add(signature)
        return encoded

    def _read_alone(self, index: int) -> Encoded | None:
        """A block that lies in one file, from there; None if it is not there any more.

        Not hashed again while the file is as it was when the block was verified. Its state is looked at after reading:
        a write changes the times before it changes the bytes.
        """
        block, place = self.manifest.unique[index], next(self.manifest.places(index))
        if place.length != block.size:
            return None
        path = self.manifest.files[place.file_index].path
        try:
            with self.tree.file(path) as descriptor:
                now_ns, before = time.time_ns(), FileState.of(os.fstat(descriptor))
                encoded = bytearray(1 + block.size)
                encoded[0] = RAW
                if os.preadv(descriptor, [memoryview(encoded)[1:]], place.file_offset) != block.size:
                    return None
                known = self._verified.get(index) or self._hashed.get(path)
                if known == before == FileState.of(os.fstat(descriptor)):
                    return encoded
        except OSError as error:
            if is_absent(error):
                return None
            raise
        if signature_of(memoryview(encoded)[1:]) != block.signature:
            return None
        if not is_racy(before, now_ns):
            if len(self._verified) >= VERIFIED_MAX:
                self._verified.clear()
            self._verified[index] = before
        return encoded

    def put(self, signature: bytes, encoded: Encoded) -> None:
        """Nothing is put into a tree by signature."""

    def close(self) -> None:
        self.tree.close()


def read_block(manifest: Manifest, index: int, tree_of: TreeOf) -> Encoded | None:
    """A block, raw encoded and verified, from the first of its occurrences that still holds it, or None."""
    block = manifest.unique[index]
    for places in occurrences(manifest, index):
        encoded = read_places(manifest, places, block.size, tree_of)
        if encoded is not None and signature_of(memoryview(encoded)[1:]) == block.signature:
            return encoded
    return None


def read_places(manifest: Manifest, places: Sequence[Place], size: int, tree_of: TreeOf) -> bytearray | None:
    """A block, raw encoded, from the stretches that make it up; None if a file is short or gone. Not verified.

    ``tree_of`` tells where a file lies, by its index. OSError when a file may be there and cannot be read.
    """
    encoded = bytearray(1 + size)
    encoded[0] = RAW
    view = memoryview(encoded)[1:]
    with contextlib.ExitStack() as stack:
        ways: dict[Tree, Way] = {}
        try:
            for place in places:
                part = view[place.block_offset : place.block_offset + place.length]
                tree, entry = tree_of(place.file_index), manifest.files[place.file_index]
                if len(places) == 1:
                    with tree.file(entry.path) as descriptor:
                        count = os.preadv(descriptor, [part], place.file_offset)
                else:  # one small file of many in this block: hardly another asks for it
                    way = ways.get(tree)
                    if way is None:
                        way = ways[tree] = stack.enter_context(tree.way())
                    count = tree.read_at(way, entry.path, part, place.file_offset)
                if count != place.length:
                    return None
        except OSError as error:
            if is_absent(error):
                return None
            raise
    return encoded


def occurrences(manifest: Manifest, index: int) -> Iterator[list[Place]]:
    """The places of a block, occurrence by occurrence."""
    size = manifest.unique[index].size
    gathered: list[Place] = []
    for place in manifest.places(index):
        gathered.append(place)
        if place.block_offset + place.length == size:
            yield gathered
            gathered = []


def verify_tree(root: Path, manifest: Manifest, mask: int = 0o777, chosen: Container[str] | None = None) -> list[str]:
    """Every difference between a directory and a version, a line each: what, and where. ``mask`` is what modes were cut
    to. Of what is not ``chosen``, if that is given, nothing need be there. NotFoundError without a directory.
    """
    if not root.is_dir():
        raise NotFoundError(f"there is no directory {shown(str(root))}: check the path")
    tree = Tree(root)
    entries = [e for e in manifest.files if chosen is None or e.path in chosen or tree.status(e.path) is not None]
    differences = [line for entry in entries for line in _compare(tree, entry, mask)]
    tree.close()
    return sorted(differences + list(extra_in(root, {entry.path for entry in manifest.files})))


def extra_in(root: Path, expected: set[str]) -> Iterator[str]:
    """What lies in the directory and is not of the version."""

    def refuse(error: OSError) -> None:
        raise failure(f"cannot look through {shown(str(root))}", error) from error

    for directory, names, files in os.walk(root, onerror=refuse):
        names[:] = [name for name in names if not is_staging(name)]
        below = os.path.relpath(directory, root)
        prefix = "" if below == "." else below + "/"
        links = [name for name in names if os.path.islink(os.path.join(directory, name))]
        yield from (f"extra: {_line(prefix + name)}" for name in [*files, *links] if prefix + name not in expected)
        if not names and not files and below != "." and below not in expected:
            yield f"extra: {_line(below)} is an empty directory"


def _compare(tree: Tree, entry: FileEntry, mask: int) -> Iterator[str]:
    status = tree.status(entry.path)
    path = _line(entry.path)
    if status is None:
        yield f"missing: {path}"
    elif entry.kind == SYMLINK:
        if not stat.S_ISLNK(status.st_mode):
            yield f"kind: {path} is not a link"
        elif tree.link(entry.path) != entry.target:
            yield f"content: {path} leads elsewhere"
        elif status.st_mtime_ns != entry.mtime_ns:
            yield f"mtime: {path}"
    elif entry.kind == FILE and not stat.S_ISREG(status.st_mode):
        yield f"kind: {path} is not a file"
    elif entry.kind == EMPTY_DIRECTORY and not stat.S_ISDIR(status.st_mode):
        yield f"kind: {path} is not a directory"
    else:
        if entry.kind == FILE:
            yield from _compare_content(tree, entry, status.st_size)
        if status.st_mode & 0o777 != entry.mode & mask:
            yield f"mode: {path} is {status.st_mode & 0o777:o}, not {entry.mode & mask:o}"
        if status.st_mtime_ns != entry.mtime_ns:
            yield f"mtime: {path}"


def _compare_content(tree: Tree, entry: FileEntry, size: int) -> Iterator[str]:
    try:
        if size != entry.size or tree.hash_of(entry.path) != entry.blake3:
            yield f"content: {_line(entry.path)}"
    except AetherError:
        yield f"unreadable: {_line(entry.path)}"


def _line(path: str) -> str:
    """A path on one line, whatever it holds."""
    return path if path.isprintable() else ascii(path)


__all__ = [
    "Tree",
    "TreeStore",
    "extra_in",
    "failure",
    "is_absent",
    "occurrences",
    "read_block",
    "read_places",
    "verify_tree",
]
