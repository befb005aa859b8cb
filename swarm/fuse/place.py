"""Directories of this machine on which a version is mounted: attaching one to the kernel, detaching it, what is left
of one whose process has died.

Root asks the kernel itself. Everybody else asks ``fusermount3``, which is allowed to and hands over the descriptor.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import os
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarm.errors import AetherError, ConflictError, NotAllowedError, NotFoundError

DEVICE: Final = "/dev/fuse"
TYPE: Final = "fuse.aetherfs"
READ_AHEAD_KIB: Final = 1024
HELPERS: Final = ("fusermount3", "fusermount")
# linux/mount.h: MS_RDONLY, MS_NOSUID, MS_NODEV; MNT_DETACH.
_READ_ONLY, _NO_SUID, _NO_DEVICES, _DETACH = 1, 2, 4, 2
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mounted:
    """A line of the kernel's table of mounts."""

    number: int
    device: str
    place: str
    kind: str
    source: str


def mounts() -> list[Mounted]:
    """What is mounted, the latest last."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        head, _, tail = line.partition(" - ")
        number, _, device, _, place, *_ = head.split(" ")
        kind, source, *_ = tail.split(" ")
        found.append(Mounted(int(number), device, _unescaped(place), kind, _unescaped(source)))
    return found


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)


def mounted_at(place: str) -> Mounted | None:
    """Our own mount at exactly this directory, if it is the uppermost there."""
    here = [one for one in mounts() if one.place == place]
    return here[-1] if here and here[-1].kind == TYPE else None


def is_dead(place: str) -> bool:
    """Whether a mount's process has gone: all that is asked of it fails at once."""
    try:
        os.stat(place)
    except OSError as error:
        return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def attach(place: str, source: str, *, allow_other: bool = False, by_helper: bool | None = None) -> int:
    """Mount at a directory: the descriptor on which the kernel asks. What is left of a dead mount there goes first.

    NotFoundError, ConflictError, NotAllowedError, AetherError.
    """
    if mounted_at(place) is not None:
        if not is_dead(place):
            raise ConflictError(f"{place} is a mount already: `aetherfs unmount {place}` first")
        detach(place, lazily=True)
    if not os.path.isdir(place):
        raise NotFoundError(f"{place} is no directory: make it first")
    if os.listdir(place):
        raise ConflictError(f"{place} is not empty, and a mount would hide what is in it: name an empty directory")
    is_by_helper = os.geteuid() != 0 if by_helper is None else by_helper
    descriptor = _by_helper(place, source, allow_other) if is_by_helper else _by_kernel(place, source, allow_other)
    with contextlib.suppress(OSError):
        _read_far_ahead(place)
    return descriptor


def _by_kernel(place: str, source: str, allow_other: bool) -> int:
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise NotAllowedError(
            f"{DEVICE} cannot be opened ({error.strerror}): load the kernel's module fuse, or run the container with "
            f"--device {DEVICE} --cap-add SYS_ADMIN"
        ) from error
    told = f"fd={descriptor},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},default_permissions"
    told += ",allow_other" if allow_other else ""
    flags = _READ_ONLY | _NO_SUID | _NO_DEVICES
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(place), TYPE.encode(), flags, told.encode()):
        os.close(descriptor)
        why = os.strerror(ctypes.get_errno())
        raise NotAllowedError(f"the kernel does not mount at {place}: {why}; a container needs --cap-add SYS_ADMIN")
    return descriptor


def _by_helper(place: str, source: str, allow_other: bool) -> int:
    helper = next(filter(None, map(shutil.which, HELPERS)), None)
    if helper is None:
        raise NotAllowedError(
            "mounting without root needs the program fusermount3: install fuse3 (Debian, Fedora, Alpine: package fuse3)"
        )
    options = f"ro,nosuid,nodev,default_permissions,subtype=aetherfs,fsname={source}"
    options += ",allow_other" if allow_other else ""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [helper, "-o", options, "--", place],
            env={**os.environ, "_FUSE_COMMFD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NotAllowedError(f"{helper} does not mount at {place}: {_last(done.stderr)}")
        return _received(ours)


def _received(connection: socket.socket) -> int:
    """The descriptor that was sent."""
    numbers = array.array("i")
    _, extra, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(numbers.itemsize))
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: numbers.itemsize])
            os.set_inheritable(numbers[0], False)
            return numbers[0]
    raise AetherError("fusermount3 has mounted and handed nothing over: try `aetherfs unmount`, then again")


def _read_far_ahead(place: str) -> None:
    """Let the kernel read ahead by more than its usual 128 KiB. OSError for who may not."""
    found = mounted_at(place)
    if found is not None:
        Path(f"/sys/class/bdi/{found.device}/read_ahead_kb").write_text(str(READ_AHEAD_KIB), encoding="ascii")


def detach(place: str, *, lazily: bool = False) -> None:
    """Unmount; ``lazily``: out of the way at once, and gone when nobody has anything open there. NotFoundError,
    ConflictError, NotAllowedError.
    """
    if mounted_at(place) is None:
        raise NotFoundError(f"{place} is no mount of aetherfs: see `mount -t {TYPE}`")
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        if not libc.umount2(os.fsencode(place), _DETACH if lazily else 0):
            return
        why, is_busy = os.strerror(ctypes.get_errno()), ctypes.get_errno() == errno.EBUSY
    else:
        helper = next(filter(None, map(shutil.which, HELPERS)), HELPERS[0])
        done = subprocess.run(
            [helper, "-u", *(["-z"] if lazily else []), "--", place], capture_output=True, text=True, check=False
        )
        if not done.returncode:
            return
        why = _last(done.stderr)
        is_busy = "busy" in why
    if is_busy:
        raise ConflictError(f"{place} is in use: close what is open there, or detach it with --lazy")
    raise NotAllowedError(f"{place} is not unmounted: {why}")


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it does not say why"])[-1]


def guard(place: str) -> subprocess.Popen[bytes]:
    """Something small that lives as long as this process, and then clears its mount away if it still is there."""
    found = mounted_at(place)
    number = found.number if found is not None else 0
    script = (
        'cat >/dev/null; grep -q "^$2 " /proc/self/mountinfo || exit 0; '
        'umount -l "$1" 2>/dev/null || fusermount3 -uz "$1" 2>/dev/null || fusermount -uz "$1"'
    )
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", place, str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
