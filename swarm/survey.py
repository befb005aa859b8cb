"""What a pull finds in its target, and what it may do there. Nothing is changed here.

A file counts as already there only when its bytes have the version's hash, or had it and were surely not touched
since. What an earlier pull put there, and nobody
altered, may be replaced or removed; everything else is the user's, and in the way it is a ConflictError before anything
is changed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swarm.errors import ConflictError
from swarm.paths import is_staging, shown
from swarm.rooted import Tree, Way
from swarm.scan_cache import FileState, ScanCache
from swarm.segments import EMPTY_DIRECTORY, FILE, FileEntry

# What was seen at a path: a file's state, "directory", or None for nothing.
Sight = FileState | str | None


@dataclass(slots=True)
class Survey:
    """``kept``: indices of entries that the target holds already. ``doomed``: paths to remove first, deepest first.

    ``seen``: what was at each path that matters, so that a change meanwhile is noticed.
    """

    kept: set[int] = field(default_factory=set)
    doomed: list[str] = field(default_factory=list)
    seen: dict[str, Sight] = field(default_factory=dict)

    def check_still(self, tree: Tree) -> None:
        """ConflictError if something is not as it was when the survey was made."""
        with tree.way() as way:
            for path, before in self.seen.items():
                if _sight(tree.status(path, way)) != before:
                    path = shown(str(tree.root / path))
                    raise ConflictError(f"{path} was changed while the version came: pull again")


def survey(
    tree: Tree,
    wanted: Mapping[int, FileEntry],
    previous: Mapping[str, FileEntry],
    *,
    force: bool,
    known: ScanCache | None = None,
) -> Survey:
    """Look at the target for these entries. ``previous`` is what we put there before; ``force`` overwrites altered
    files. ``known`` are files that need not be hashed (``swarm.fingerprint``).
    """
    if is_bare(tree.root):
        return Survey(seen=dict.fromkeys(entry.path for entry in wanted.values()))
    with tree.way() as way:
        surveyor = _Surveyor(tree, way, previous, force, known or ScanCache())
        for index, entry in wanted.items():
            surveyor.look(index, entry)
        surveyor.look_for_stale({entry.path for entry in wanted.values()})
    surveyor.result.doomed = sorted(set(surveyor.result.doomed), reverse=True)
    return surveyor.result


def is_bare(directory: Path) -> bool:
    """Whether nothing is there, or a directory with nothing in it but what a pull builds."""
    try:
        with os.scandir(directory) as entries:
            return all(is_staging(entry.name) for entry in entries)
    except FileNotFoundError:
        return True
    except OSError:
        return False  # it is looked at path by path


class _Surveyor:
    def __init__(self, tree: Tree, way: Way, previous: Mapping[str, FileEntry], force: bool, known: ScanCache) -> None:
        self._tree = tree
        self._way = way
        self._previous = previous
        self._force = force
        self._known = known
        self._our_directories = {parent for path in previous for parent in _parents(path)}
        self._looked_at: set[str] = set()
        self.result = Survey()

    def look(self, index: int, entry: FileEntry) -> None:
        """One entry of the version: kept, replaceable, or a conflict."""
        path = entry.path
        status = self._tree.status(path, self._way)
        self.result.seen[path] = _sight(status)
        if status is None:
            self._check_parents(path)
        elif self._is_as(entry, status):
            self.result.kept.add(index)
        elif stat.S_ISDIR(status.st_mode):
            self._check_directory(path)
            self.result.doomed.append(path)
        else:
            self._check_ours(path, status)
            if entry.kind == EMPTY_DIRECTORY:
                self.result.doomed.append(path)

    def look_for_stale(self, wanted: Collection[str]) -> None:
        """What we put there before and the version no longer has."""
        for path in self._previous:
            status = self._tree.status(path, self._way) if path not in wanted else None
            if status is None or (stat.S_ISDIR(status.st_mode) and self._previous[path].kind != EMPTY_DIRECTORY):
                continue
            if not stat.S_ISDIR(status.st_mode):
                self._check_ours(path, status)
                self.result.seen[path] = _sight(status)
            self.result.doomed.append(path)

    def _is_as(self, entry: FileEntry, status: os.stat_result) -> bool:
        if entry.kind == FILE:
            is_candidate = stat.S_ISREG(status.st_mode) and status.st_size == entry.size
            return is_candidate and self._hash_of(entry.path, status) == entry.blake3
        if entry.kind == EMPTY_DIRECTORY:
            return stat.S_ISDIR(status.st_mode)
        return stat.S_ISLNK(status.st_mode) and self._tree.link(entry.path) == entry.target

    def _hash_of(self, path: str, status: os.stat_result) -> bytes | None:
        known = self._known.unchanged(path, FileState.of(status))
        return known.blake3 if known is not None else self._tree.hash_of(path, self._way)

    def _check_ours(self, path: str, status: os.stat_result) -> None:
        before = self._previous.get(path)
        if self._force or (before is not None and self._is_as(before, status)):
            return
        raise ConflictError(
            f"{shown(str(self._tree.root / path))} was not put there by a pull, or was altered since: "
            "move it, or pull with --force"
        )

    def _check_parents(self, path: str) -> None:
        """Whether every part of the way to a new path is a directory, or ours to remove."""
        for parent in _parents(path):
            if parent in self._looked_at:
                continue
            self._looked_at.add(parent)
            status = self._tree.status(parent, self._way)
            if status is None:
                return
            if not stat.S_ISDIR(status.st_mode):
                self._check_ours(parent, status)
                self.result.seen[parent] = _sight(status)
                self.result.doomed.append(parent)
                return

    def _check_directory(self, path: str) -> None:
        """Whether a directory that is in the way of a file holds nothing but what we put there."""
        top = self._tree.root / path
        for directory, names, files in os.walk(top):
            below = os.path.relpath(directory, self._tree.root)
            is_ours = below in self._our_directories or below in self._previous
            links = [name for name in names if os.path.islink(os.path.join(directory, name))]
            for name in [*files, *links]:
                inside = f"{below}/{name}"
                status = self._tree.status(inside, self._way)
                before = self._previous.get(inside)
                is_ours = is_ours and status is not None and before is not None and self._is_as(before, status)
            if not is_ours:
                raise ConflictError(
                    f"{shown(directory)} is in the way of the file {shown(path)} and holds what no pull put there: "
                    "move it, or pull elsewhere"
                )


def _sight(status: os.stat_result | None) -> Sight:
    if status is None:
        return None
    return "directory" if stat.S_ISDIR(status.st_mode) else FileState.of(status)


def _parents(path: str) -> Iterator[str]:
    """The directories that a path is in, from the top."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
