"""What a scan remembers of a directory, so that unchanged files are not read again.

By git's rule a file counts as unchanged when size, mtime, ctime and inode are as they were, unless it was touched so
shortly before it was read that a later change could carry the same times. Blocks of runs are tied to the content of the
files they were cut from, so they hold whenever that content comes again. Kept as checked, canonical msgpack; a damaged
cache is an absent one.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Final, Literal

import msgspec
from blake3 import blake3

from swarm import canonical
from swarm.limits import MIB
from swarm.segments import BlockEntry
from swarm.signature import SIGNATURE_BYTES

# Times of a filesystem advance in ticks of up to 10 ms; in whole seconds, or two, where they show nothing finer.
TICK_NS: Final = 20_000_000
COARSE_TICK_NS: Final = 2_000_000_000
CACHE_MAX_BYTES: Final = 2048 * MIB

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class FileState(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """What the filesystem says of a file's content."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileState:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)

    @property
    def content(self) -> tuple[int, int, int]:
        """All but the ctime, which changes with links and modes too."""
        return self.size, self.mtime_ns, self.inode


class Known(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """A file as it was read: its state, when that began (wall nanoseconds), its hashes, and its blocks if it was
    cut alone.
    """

    state: FileState
    read_ns: int
    blake3: Hash
    sha256: Hash
    blocks: tuple[BlockEntry, ...]


class Span(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """A stretch of a small file: its length, and the BLAKE3 of that whole file."""

    length: int
    blake3: Hash


class RunBlock(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A block of a run of small files: the file and offset where it begins, and the stretches that decided it.

    These are its own bytes and those just behind. ``is_tail``: the run ended there, which decided too.
    """

    path: str
    offset: int
    block: BlockEntry
    spans: tuple[Span, ...]
    is_tail: bool

    @property
    def start(self) -> tuple[str, int]:
        return self.path, self.offset


class Whole(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a whole directory was: the digest of all that was found, and the version that it made. No file of it was
    racy.
    """

    found: Hash
    version: Hash


class _Learnt(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    files: dict[str, Known]
    runs: tuple[RunBlock, ...]


class _Head(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What stands before the ``_Learnt``, which a directory that has not changed does not need."""

    format: Literal[5]
    whole: Whole | None


# How long the head is stands before it, and so before each part of what was learnt.
_LENGTH: Final = 4
# Files, and blocks of runs, in a part: a million all at once would be there twice.
PART_ENTRIES: Final = 10_000


class ScanCache:
    """Known files by path, and blocks of runs by (path, offset) where they begin."""

    def __init__(self, whole: Whole | None = None, learnt: Iterable[bytes] = ()) -> None:
        self.whole = whole
        self._files: dict[str, Known] = {}
        self._runs: dict[tuple[str, int], RunBlock] = {}
        self._unread = deque(learnt)

    @classmethod
    def load(cls, path: Path) -> ScanCache:
        """The cache at ``path``, empty if there is none or it is damaged."""
        with contextlib.suppress(OSError), path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= CACHE_MAX_BYTES:
                check, parts = file.read(SIGNATURE_BYTES), list(_parts(file))
                head = canonical.try_decode(parts[0], _Head, limit_bytes=CACHE_MAX_BYTES) if parts else None
                if head is not None and _digest(parts) == check:
                    return cls(head.whole, parts[1:])
        return cls()

    @property
    def files(self) -> dict[str, Known]:
        self._read()
        return self._files

    @property
    def runs(self) -> dict[tuple[str, int], RunBlock]:
        self._read()
        return self._runs

    def replace(self, files: dict[str, Known], runs: dict[tuple[str, int], RunBlock], whole: Whole | None) -> None:
        """All that is known of the directory now."""
        self._files, self._runs, self.whole = files, runs, whole
        self._unread.clear()

    def _read(self) -> None:
        while self._unread:
            learnt = canonical.try_decode(self._unread.popleft(), _Learnt, limit_bytes=CACHE_MAX_BYTES)
            if learnt is not None:
                self._files.update(learnt.files)
                self._runs.update((run.start, run) for run in learnt.runs)

    def save(self, path: Path) -> None:
        """Write it beside and rename. A cache that cannot be written is given up: the next scan just reads more."""
        if self._unread:
            return  # nothing was learnt
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(bytes(SIGNATURE_BYTES))
                check = _digest(_written(file, self._encoded()))
                file.seek(0)
                file.write(check)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _encoded(self) -> Iterator[bytes]:
        yield canonical.encode(_Head(5, self.whole))
        files, runs = iter(self._files.items()), iter(self._runs.values())
        while True:
            learnt = _Learnt(dict(islice(files, PART_ENTRIES)), tuple(islice(runs, PART_ENTRIES)))
            if not learnt.files and not learnt.runs:
                return
            yield canonical.encode(learnt)

    def unchanged(self, path: str, state: FileState) -> Known | None:
        """What is known of a file, if it surely still holds."""
        known = self.files.get(path)
        return known if known is not None and known.state == state and not is_racy(known.state, known.read_ns) else None


def _written(file: IO[bytes], parts: Iterable[bytes]) -> Iterator[bytes]:
    """Write each part as it goes by."""
    for part in parts:
        file.write(len(part).to_bytes(_LENGTH))
        file.write(part)
        yield part


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    """What ``_written`` wrote, as far as it goes: the digest tells whether that is all."""
    while length := file.read(_LENGTH):
        yield file.read(int.from_bytes(length))


def _digest(parts: Iterable[bytes]) -> bytes:
    """Of the parts and of where each ends."""
    hasher = blake3()
    for part in parts:
        hasher.update(len(part).to_bytes(_LENGTH))
        hasher.update(part)
    return hasher.digest()


def is_racy(state: FileState, read_ns: int) -> bool:
    """Whether a change after the reading could have left the same times.

    ctime is the filesystem's own; an mtime may be set to anything, and tells something only near the reading.
    """
    tick_ns = TICK_NS if state.ctime_ns % 1_000_000_000 else COARSE_TICK_NS
    return state.ctime_ns + tick_ns >= read_ns or abs(state.mtime_ns - read_ns) <= tick_ns
