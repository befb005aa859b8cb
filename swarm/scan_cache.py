"""What a scan remembers of a directory, so that unchanged files are not read again.

By git's rule a file counts as unchanged when size, mtime, ctime and inode are as they were, unless it was touched so shortly
before it was read that a later change could carry the same times. Kept as canonical msgpack; a damaged cache is an absent one.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final, Literal

import msgspec

from swarm import canonical
from swarm.limits import MIB
from swarm.segments import BlockEntry

# Times of the filesystem advance in ticks of up to 10 ms.
RACY_NS: Final = 20_000_000
CACHE_MAX_BYTES: Final = 2048 * MIB


class FileState(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the filesystem says of a file's content."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> FileState:
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


class Known(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A file as it was read: its state, when that was (wall nanoseconds), its hashes, and its blocks if it was cut alone."""

    state: FileState
    read_ns: int
    blake3: bytes
    sha256: bytes
    blocks: tuple[BlockEntry, ...]


class Span(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A stretch of a small file."""

    path: str
    offset: int
    length: int


class RunBlock(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A block of a run of small files and what it was cut from. ``is_tail``: the run's end made it, not its content."""

    block: BlockEntry
    spans: tuple[Span, ...]
    is_tail: bool


class _State(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    files: dict[str, Known]
    runs: tuple[RunBlock, ...]


class ScanCache:
    """Known files by path, and blocks of runs by where they began."""

    def __init__(self) -> None:
        self.files: dict[str, Known] = {}
        self.runs: dict[tuple[str, int], RunBlock] = {}

    @classmethod
    def load(cls, path: Path) -> ScanCache:
        """The cache at ``path``, empty if there is none or it is damaged."""
        cache = cls()
        with contextlib.suppress(OSError):
            state = canonical.try_decode(path.read_bytes(), _State, limit_bytes=CACHE_MAX_BYTES)
            if state is not None:
                cache.files = dict(state.files)
                cache.runs = {(run.spans[0].path, run.spans[0].offset): run for run in state.runs if run.spans}
        return cache

    def save(self, path: Path) -> None:
        """Write it beside and rename. A cache that cannot be written is given up: the next scan just reads more."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_bytes(canonical.encode(_State(1, self.files, tuple(self.runs.values()))))
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def unchanged(self, path: str, state: FileState) -> Known | None:
        """What is known of a file, if it surely still holds."""
        known = self.files.get(path)
        if known is None or known.state != state:
            return None
        is_racy = max(state.mtime_ns, state.ctime_ns) + RACY_NS >= known.read_ns
        return None if is_racy else known
