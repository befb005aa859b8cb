"""Which ranges of which files are read: counted per version in a bounded table, and kept as a small file. Pure.

Of each file ``BUCKETS`` equal stretches count the bytes read of them, so the heat of one is how often it was read. When
there is no more room, the file that was read longest ago goes into its version's ``others``, and of too many versions
the one that was read longest ago.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Final, Literal

import msgspec

BUCKETS: Final = 64
VERSIONS_MAX: Final = 32
# Of all versions together: about 400 bytes each, besides their paths.
FILES_MAX: Final = 4096
PATHS_MAX_BYTES: Final = 1 << 20
COUNT_MAX: Final = 1 << 53
FILE_MAX_BYTES: Final = 8 << 20

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
Stretches = Annotated[tuple[Count, ...], msgspec.Meta(min_length=BUCKETS, max_length=BUCKETS)]


class FileReads(msgspec.Struct, frozen=True):
    """Of one file: requests, bytes, and bytes by stretch."""

    path: Annotated[str, msgspec.Meta(max_length=4096)]
    size: Count
    reads: Count
    bytes: Count
    stretches: Stretches

    @property
    def heat(self) -> tuple[float, ...]:
        """How often each stretch was read."""
        return tuple(
            round(count / length, 3) if (length := _end(self.size, at) - _begin(self.size, at)) else 0.0
            for at, count in enumerate(self.stretches)
        )


class VersionReads(msgspec.Struct, frozen=True):
    """Of one version, the file read longest ago first. ``others`` are files that there was no room for; ``stretches``
    are of the whole version, ``size`` bytes.
    """

    dataset: Annotated[str, msgspec.Meta(max_length=129)]
    version: Annotated[str, msgspec.Meta(max_length=64)]
    since: float
    last: float
    reads: Count
    bytes: Count
    files: tuple[FileReads, ...]
    others: Count = 0
    size: Count = 0
    stretches: Stretches = (0,) * BUCKETS


class ReadsFile(msgspec.Struct, frozen=True):
    """What is kept in the home."""

    format: Literal[1] = 1
    versions: Annotated[tuple[VersionReads, ...], msgspec.Meta(max_length=VERSIONS_MAX)] = ()


class _File:
    __slots__ = ("bytes", "reads", "size", "stretches")

    def __init__(self, size: int) -> None:
        self.size = size
        self.reads = self.bytes = 0
        self.stretches = [0] * BUCKETS


class _Version:
    __slots__ = ("bytes", "files", "last", "others", "reads", "since", "size", "stretches")

    def __init__(self, wall_now: float) -> None:
        self.since = self.last = wall_now
        self.reads = self.bytes = self.others = self.size = 0
        self.stretches = [0] * BUCKETS
        self.files: OrderedDict[str, _File] = OrderedDict()


class Reads:
    """The table. ``note`` what was read; ``told`` of a dataset; ``kept`` as a file, ``load`` of it."""

    def __init__(self) -> None:
        self._versions: OrderedDict[tuple[str, str], _Version] = OrderedDict()
        self._files = self._path_bytes = 0
        self.is_dirty = False

    def note(
        self,
        dataset: str,
        version: str,
        path: str,
        size: int,
        begin: int,
        end: int,
        wall_now: float,
        start: int = 0,
        total: int = 0,
    ) -> None:
        """Bytes ``begin`` to ``end`` (without it) of a file of ``size`` bytes were read at one request. The file begins
        at ``start`` of the version's ``total`` bytes.
        """
        if not 0 <= begin < end <= size:
            return
        told = self._version(dataset, version, wall_now)
        file = self._file(told, path, size)
        told.last = max(told.last, wall_now)
        for each in (told, file):
            each.reads = min(COUNT_MAX, each.reads + 1)
            each.bytes = min(COUNT_MAX, each.bytes + end - begin)
        _count(file.stretches, size, begin, end)
        if start + size <= total:
            told.size = total
            _count(told.stretches, total, start + begin, start + end)
        self.is_dirty = True
        self._make_room()

    def _version(self, dataset: str, version: str, wall_now: float) -> _Version:
        key = (dataset, version)
        found = self._versions.get(key)
        if found is None:
            found = self._versions[key] = _Version(wall_now)
        self._versions.move_to_end(key)
        return found

    def _file(self, told: _Version, path: str, size: int) -> _File:
        file = told.files.get(path)
        if file is None or file.size != size:
            self._forget(told, path)
            file = told.files[path] = _File(size)
            self._files += 1
            self._path_bytes += len(path)
        told.files.move_to_end(path)
        return file

    def _forget(self, told: _Version, path: str) -> None:
        if told.files.pop(path, None) is not None:
            self._files -= 1
            self._path_bytes -= len(path)

    def _make_room(self) -> None:
        while len(self._versions) > VERSIONS_MAX:
            _, gone = self._versions.popitem(last=False)
            for path in list(gone.files):
                self._forget(gone, path)
        while self._files > FILES_MAX or self._path_bytes > PATHS_MAX_BYTES:
            told = next(each for each in self._versions.values() if each.files)
            self._forget(told, next(iter(told.files)))
            told.others += 1

    def told(self, dataset: str, version: str | None = None) -> list[VersionReads]:
        """Of one dataset's versions, or of one of them; the latest read first."""
        found = [
            _told(name, digits, told)
            for (name, digits), told in self._versions.items()
            if name == dataset and version in (None, digits)
        ]
        return found[::-1]

    def latest(self, most: int) -> list[VersionReads]:
        """The versions read last, without their files."""
        found = list(self._versions.items())[-most:]
        return [msgspec.structs.replace(_told(*key, told), files=()) for key, told in found]

    def kept(self) -> bytes:
        """As a file. It is not dirty any more."""
        self.is_dirty = False
        versions = tuple(_told(name, digits, told) for (name, digits), told in self._versions.items())
        return msgspec.json.encode(ReadsFile(versions=versions))

    @classmethod
    def load(cls, data: bytes | None) -> Reads:
        """From a file; empty where there is none, or it is damaged."""
        found = cls()
        if data is None or len(data) > FILE_MAX_BYTES:
            return found
        try:
            kept = msgspec.json.decode(data, type=ReadsFile)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return found
        for version in kept.versions:
            told = found._version(version.dataset, version.version, version.since)
            told.last, told.reads, told.bytes, told.others = version.last, version.reads, version.bytes, version.others
            told.size, told.stretches = version.size, list(version.stretches)
            for each in version.files:
                file = found._file(told, each.path, each.size)
                file.reads, file.bytes, file.stretches = each.reads, each.bytes, list(each.stretches)
            found._make_room()
        return found

    def check_invariants(self) -> None:
        """The sums are those of the parts, and within bounds."""
        files = [(path, file) for told in self._versions.values() for path, file in told.files.items()]
        assert self._files == len(files) <= FILES_MAX
        assert self._path_bytes == sum(len(path) for path, _ in files) <= PATHS_MAX_BYTES
        assert len(self._versions) <= VERSIONS_MAX
        assert all(sum(file.stretches) == file.bytes for _, file in files)


def _told(dataset: str, version: str, told: _Version) -> VersionReads:
    files = tuple(
        FileReads(path, file.size, file.reads, file.bytes, tuple(file.stretches)) for path, file in told.files.items()
    )
    return VersionReads(
        dataset,
        version,
        told.since,
        told.last,
        told.reads,
        told.bytes,
        files,
        told.others,
        told.size,
        tuple(told.stretches),
    )


def _count(stretches: list[int], size: int, begin: int, end: int) -> None:
    for at in range(begin * BUCKETS // size, (end - 1) * BUCKETS // size + 1):
        covered = min(end, _end(size, at)) - max(begin, _begin(size, at))
        stretches[at] = min(COUNT_MAX, stretches[at] + max(0, covered))


def _begin(size: int, bucket: int) -> int:
    """Where a stretch begins: the first byte of which ``byte * BUCKETS // size`` is the bucket."""
    return -(-bucket * size // BUCKETS)


def _end(size: int, bucket: int) -> int:
    return _begin(size, bucket + 1)
