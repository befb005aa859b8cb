"""Putting a staged tree in its target's place: whole by one rename, or file by file among what is there.

Every step leaves a tree in which each file is whole, the old or the new, so a pull that is killed here is repeated like
any other. Modes and times are set before a file is moved. OSErrors are the caller's to map.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm.errors import IntegrityError
from swarm.paths import shown
from swarm.rooted import Tree
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK, FileEntry
from swarm.survey import Survey


@dataclass(frozen=True, slots=True)
class Finished:
    """What putting a version in place did, in entries."""

    kept: int
    placed: int
    removed: int


def place_fresh(staged: Path, target: Path, wanted: Mapping[int, FileEntry], complete: Collection[int]) -> Finished:
    """Complete the staged tree and rename it to the target, which does not exist or is an empty directory.

    ``complete`` are the entries that need nothing more.
    """
    for index, entry in wanted.items():
        if index in complete:
            continue
        _complete(staged, entry)
        if entry.kind == EMPTY_DIRECTORY:
            (staged / entry.path).mkdir(mode=0o700, parents=True, exist_ok=True)
    for entry in wanted.values():
        if entry.kind == EMPTY_DIRECTORY:
            _set_metadata(staged / entry.path, entry)
    os.chmod(staged, _mode_of(target, staged))
    os.rename(staged, target)
    return Finished(kept=0, placed=len(wanted), removed=0)


def place_in(
    staged: Path, target: Tree, wanted: Mapping[int, FileEntry], survey: Survey, complete: Collection[int]
) -> Finished:
    """Complete the staged files, those in ``complete`` are, and move them, one by one, into a target that holds
    something.
    """
    coming = {index: entry for index, entry in wanted.items() if index not in survey.kept}
    for index, entry in coming.items():
        if index not in complete:
            _complete(staged, entry)
    for path in survey.doomed:
        _remove(target, path)
    for index, entry in wanted.items():
        if index in survey.kept and entry.kind != EMPTY_DIRECTORY:
            continue
        with target.parent(entry.path, create=True) as (directory, name):
            if entry.kind != EMPTY_DIRECTORY:
                os.replace(staged / entry.path, name, dst_dir_fd=directory)
                continue
            # One that was there may just have gone, with the last thing of ours in it.
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=directory)
    with target.way() as way:
        for entry in wanted.values():
            _restore(*way.to(entry.path), entry)
    return Finished(kept=len(survey.kept), placed=len(coming), removed=len(survey.doomed))


def _complete(staged: Path, entry: FileEntry) -> None:
    """Make what has no blocks; cut what an earlier try made too long; set mode and times."""
    location = staged / entry.path
    if entry.kind == EMPTY_DIRECTORY:
        return
    if entry.kind == SYMLINK:
        location.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        location.unlink(missing_ok=True)
        location.symlink_to(entry.target)
    elif entry.size == 0:
        location.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        location.unlink(missing_ok=True)
        location.touch(mode=0o600)
    else:
        size = location.stat().st_size
        if size < entry.size:
            raise IntegrityError(f"{shown(str(location))} has {size} of {entry.size} bytes: remove it and pull again")
        if size > entry.size:
            os.truncate(location, entry.size)
    _set_metadata(location, entry)


def _set_metadata(location: Path, entry: FileEntry) -> None:
    if entry.kind != SYMLINK:
        os.chmod(location, entry.mode)
    os.utime(location, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)


def _restore(directory: int, name: str, entry: FileEntry) -> None:
    """Set mode and times where they differ, following no link."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if entry.kind != SYMLINK and status.st_mode & 0o777 != entry.mode:
        expected = stat.S_ISREG if entry.kind == FILE else stat.S_ISDIR
        if expected(status.st_mode):
            os.chmod(name, entry.mode, dir_fd=directory)
    if status.st_mtime_ns != entry.mtime_ns:
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)


def _remove(target: Tree, path: str) -> None:
    """Remove what may go, and the directories that this empties."""
    status = target.status(path)
    if status is not None:
        with target.parent(path) as (directory, name):
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(name, dir_fd=directory)
            else:
                with contextlib.suppress(OSError):  # what the user has put in it stays
                    os.rmdir(name, dir_fd=directory)
    parent = path.rpartition("/")[0]
    while parent and target.status(parent) is not None:
        with target.parent(parent) as (directory, name):
            try:
                os.rmdir(name, dir_fd=directory)
            except OSError:
                return  # something is left in it
        parent = parent.rpartition("/")[0]


def remove_unexpected(staged: Path, expected: set[str]) -> None:
    """Remove what a try with another choice of files left in the staged tree."""
    for directory, _names, files in os.walk(staged, topdown=False):
        for name in files:
            path = os.path.join(directory, name)
            if os.path.relpath(path, staged) not in expected:
                os.unlink(path)
        if directory != str(staged) and os.path.relpath(directory, staged) not in expected:
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def modes_made(directory: Path) -> int:
    """The bits that a file made in this directory, or below, may have from the start: those that no umask takes."""
    probe = directory / ".aetherfs-000000000000"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o777)
    try:
        return os.fstat(descriptor).st_mode & 0o777
    finally:
        os.close(descriptor)
        probe.unlink()


def _mode_of(target: Path, staged: Path) -> int:
    """The mode that the target has, or that a new directory gets from the user's umask."""
    try:
        return target.stat().st_mode & 0o7777
    except FileNotFoundError:
        probe = staged / ".aetherfs-000000000000"
        probe.mkdir(0o777)
        mode = probe.stat().st_mode & 0o777
        probe.rmdir()
        return mode


def remove_tree(directory: Path) -> None:
    """Remove a staging directory, whatever modes its directories have."""
    for below, names, _files in os.walk(directory):
        for name in names:
            location = os.path.join(below, name)
            if not os.path.islink(location):
                os.chmod(location, 0o700)
    shutil.rmtree(directory)
