"""A directory of a version as one tar or zip, written as it is read: nothing is held but a window of blocks.

The same directory of the same version gives the same bytes. Links that lead out of the directory are left out: an
archive reaches nothing outside of where it is unpacked.
"""

from __future__ import annotations

import io
import posixpath
import stat
import tarfile
import time
import zipfile
from collections.abc import AsyncIterator
from typing import Final

from swarm.peer.ahead import Share
from swarm.peer.snapshot import File, Snapshot
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK, FileEntry

MEDIA_TYPES: Final = {"tar": "application/x-tar", "zip": "application/zip"}
_TAR_BLOCK: Final = 512
# What zip can say of times.
_ZIP_FIRST_S: Final = 315_532_800
_ZIP_LAST_S: Final = 4_354_819_198
_ZIP_LONG_BYTES: Final = 0x7FFF_FFFF


async def archive(
    snapshot: Snapshot, directory: str, kind: str, place: Share | None = None
) -> AsyncIterator[bytes | memoryview]:
    """The bytes of an archive of a directory, in order. ``kind`` is one of MEDIA_TYPES, ``place`` a reader's.
    RemoteProtocolError for a version that must not be unpacked.
    """
    await snapshot.check()
    async for part in _tar(snapshot, directory, place) if kind == "tar" else _zip(snapshot, directory, place):
        yield part


async def _entries(snapshot: Snapshot, directory: str) -> AsyncIterator[tuple[str, File]]:
    """What goes into the archive, by its name there."""
    cut = len(directory) + 1 if directory else 0
    async for file in snapshot.walk(directory):
        if file.entry.kind != SYMLINK or not _leaves(file.entry, cut):
            yield file.entry.path[cut:], file


def _leaves(link: FileEntry, cut: int) -> bool:
    """Whether a link's text leads out of the directory."""
    if not cut:
        return False
    target = posixpath.normpath(posixpath.join(posixpath.dirname(link.path[cut:]), link.target))
    return target == ".." or target.startswith("../")


async def _tar(snapshot: Snapshot, directory: str, place: Share | None) -> AsyncIterator[bytes | memoryview]:
    async for name, file in _entries(snapshot, directory):
        entry = file.entry
        info = tarfile.TarInfo(name)
        info.mode, info.mtime = (
            entry.mode,
            entry.mtime_ns / 10**9 if entry.mtime_ns % 10**9 else entry.mtime_ns // 10**9,
        )
        if entry.kind == EMPTY_DIRECTORY:
            info.type, info.mode = tarfile.DIRTYPE, entry.mode or 0o755
        elif entry.kind == SYMLINK:
            info.type, info.linkname = tarfile.SYMTYPE, entry.target
        else:
            info.size = entry.size
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        if entry.kind == FILE:
            async for part in snapshot.read(file, place=place):
                yield part
            yield bytes(-entry.size % _TAR_BLOCK)
    yield bytes(2 * _TAR_BLOCK)


class _Written(io.RawIOBase):
    """Where ``zipfile`` writes to: what it wrote, to be taken away."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


async def _zip(snapshot: Snapshot, directory: str, place: Share | None) -> AsyncIterator[bytes | memoryview]:
    written = _Written()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as packed:
        async for name, file in _entries(snapshot, directory):
            entry = file.entry
            info = zipfile.ZipInfo(name + "/" * (entry.kind == EMPTY_DIRECTORY), _zip_time(entry.mtime_ns))
            info.create_system = 3  # of a Unix, whatever this runs on: so that modes count
            kind = {FILE: stat.S_IFREG, EMPTY_DIRECTORY: stat.S_IFDIR, SYMLINK: stat.S_IFLNK}[entry.kind]
            info.external_attr = (kind | (entry.mode if entry.kind == FILE else 0o755)) << 16
            if entry.kind != FILE:
                packed.writestr(info, entry.target)
            else:
                with packed.open(info, "w", force_zip64=entry.size > _ZIP_LONG_BYTES) as into:
                    async for part in snapshot.read(file, place=place):
                        into.write(part)
                        yield written.taken()
            yield written.taken()
    yield written.taken()


def _zip_time(mtime_ns: int) -> tuple[int, int, int, int, int, int]:
    wall_s = min(max(mtime_ns // 10**9, _ZIP_FIRST_S), _ZIP_LAST_S)
    return time.gmtime(wall_s)[:6]
