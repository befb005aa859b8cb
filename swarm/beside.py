"""Where a version is staged: which directory, whose it is, and what becomes of those that nobody goes on with.

One process builds in a staging directory at a time: it holds a lock on it, which ends with the process, so a directory
that is not locked was left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from swarm.errors import ConflictError
from swarm.paths import is_staging, shown
from swarm.placing import remove_tree
from swarm.rooted import failure
from swarm.signature import signature_of

# Longer names leave no room for what we put around them.
_NAME_BYTES: Final = 200


def staging_path(target: Path, version: bytes) -> Path:
    """Where the version is staged: on the target's filesystem, hidden, the same at every try.

    Beside the target; inside it when nothing can be renamed from there: a mount point, or a parent that is not ours to
    write. Also for the directory that this process works in: a shell would go on in the one that was replaced.
    """
    target = Path(os.path.realpath(target))
    suffix = f"aetherfs-{version.hex()[:12]}"
    if target.is_dir() and not _can_be_replaced(target):
        return target / f".{suffix}"
    name = target.name
    if len(os.fsencode(name)) > _NAME_BYTES:
        name = signature_of(os.fsencode(name)).hex()[:32]
    return target.parent / f".{name}.{suffix}"


def _can_be_replaced(target: Path) -> bool:
    is_effective = os.access in os.supports_effective_ids
    if target == target.parent or not os.access(target.parent, os.W_OK | os.X_OK, effective_ids=is_effective):
        return False
    if _mount_of(target) != _mount_of(target.parent):
        return False
    try:
        return not os.path.samefile(target, os.curdir)
    except OSError:
        return True  # what we worked in is gone


def _mount_of(directory: Path) -> str:
    """Something that differs between mounts, bind mounts of one filesystem included where the system tells (Linux)."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
        finally:
            os.close(descriptor)
    except OSError:
        lines = []
    return next((line for line in lines if line.startswith("mnt_id:")), str(directory.stat().st_dev))


def make_and_lock(directory: Path, target: Path) -> int:
    """Make the staging directory of a target, or take an earlier try's, and lock it: a descriptor that holds the lock.

    ConflictError when another process has it, or when it is somebody else's.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        is_new = _make(directory)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError as error:
        raise ConflictError(f"{shown(str(directory))} is in the way of a pull: remove it") from error
    except OSError as error:
        raise failure(f"cannot build {shown(str(target))}", error) from error
    try:
        if not is_new and os.fstat(descriptor).st_uid != os.geteuid():
            raise ConflictError(f"{shown(str(directory))} belongs to somebody else: remove it, or pull elsewhere")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), os.stat(directory)):
            raise FileNotFoundError
    except (BlockingIOError, FileNotFoundError) as error:  # held, or taken away when its holder was done
        os.close(descriptor)
        raise ConflictError(f"another pull is building {shown(str(target))}: wait for it") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make(directory: Path) -> bool:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def remove_others(own: Path) -> None:
    """Remove what tries of other versions left for the same target, but for those that a pull is building now."""
    prefix = own.name.rpartition("-")[0]
    with contextlib.suppress(OSError):  # tidying up, and what cannot be removed is not ours to judge
        for name in os.listdir(own.parent):
            if is_staging(name) and name.rpartition("-")[0] == prefix:
                remove_unless_locked(own.parent / name)


def remove_unless_locked(directory: Path) -> None:
    """Remove a staged directory that no process builds in."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(directory)
    finally:
        os.close(descriptor)
