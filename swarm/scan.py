"""Reading a directory into a manifest: hash every file, cut it into blocks, read nothing twice that did not change.

Blocking, meant for a thread. A file of LARGE_FILE_BYTES or more is cut alone; a run of smaller ones is cut together and ends
where a large file begins. A file that changes while it is read is noticed by its times, and the scan starts over with what it
has learnt; after a few rounds it gives up. Memory is bounded by a few windows, not by the dataset.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from swarm import manifest as manifests
from swarm.cut import first_cut
from swarm.errors import AetherError, RemoteProtocolError, UsageError
from swarm.limits import BLOCK_MAX_BYTES, LARGE_FILE_BYTES
from swarm.manifest import Manifest
from swarm.scan_cache import FileState, Known, RunBlock, ScanCache, Span
from swarm.segments import FILE, BlockEntry, FileEntry
from swarm.signature import signature_of
from swarm.walk import Found, Links, walk

ROUNDS: Final = 5
READ_BYTES: Final = 4 * BLOCK_MAX_BYTES

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Scan:
    """A directory's manifest, where the tree begins on disk, and how many bytes had to be read for it."""

    manifest: Manifest
    root: Path
    read_bytes: int


class _Changed(Exception):
    """A file is not what it was when it was listed."""

    def __init__(self, location: Path) -> None:
        super().__init__(str(location))
        self.location = location


def scan(
    root: Path,
    *,
    links: Links = "refuse",
    cache: ScanCache | None = None,
    progress: Progress = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Scan:
    """Scan a directory, or one file. ``cache`` is read and brought up to date.

    ``progress`` gets (bytes done, bytes in all). Raises NotFoundError, UsageError and AetherError as ``walk`` does, and AetherError for
    a file that does not stop changing.
    """
    known = cache if cache is not None else ScanCache()
    changed: Path | None = None
    read_bytes = 0
    for _ in range(ROUNDS):
        reader = _Reader(walk(root, links, should_stop), known, progress, should_stop)
        try:
            manifest = reader.manifest()
        except _Changed as error:
            changed = error.location
            read_bytes += reader.read_bytes
            continue
        except RemoteProtocolError as error:
            raise UsageError(f"cannot publish {root}: {error}") from error
        return Scan(manifest, root if root.is_dir() else root.parent, read_bytes + reader.read_bytes)
    raise AetherError(f"cannot publish {root}: {changed} keeps changing while it is read; publish when it is at rest")


class _Reader:
    """One round of a scan."""

    def __init__(
        self, found: list[Found], cache: ScanCache, progress: Progress, should_stop: Callable[[], bool]
    ) -> None:
        self._found = found
        self._cache = cache
        self._progress = progress
        self._should_stop = should_stop
        self._total = sum(item.stat.st_size for item in found if item.kind == FILE)
        self._done = 0
        self._runs: dict[tuple[str, int], RunBlock] = {}
        self.read_bytes = 0

    def manifest(self) -> Manifest:
        blocks: list[BlockEntry] = []
        run: list[Found] = []
        for item in self._found:
            if item.kind != FILE or item.stat.st_size < LARGE_FILE_BYTES:
                run += [item] if item.kind == FILE else []
                continue
            blocks += self._cut_run(run)
            run = []
            blocks += self._large(item)
        blocks += self._cut_run(run)
        manifest = manifests.build([self._entry(item) for item in self._found], blocks)
        here = {item.path for item in self._found}
        self._cache.files = {path: known for path, known in self._cache.files.items() if path in here}
        self._cache.runs = self._runs
        return manifest

    def _entry(self, item: Found) -> FileEntry:
        if item.kind != FILE:
            return FileEntry(item.path, item.kind, 0, item.stat.st_mode & 0o777, item.stat.st_mtime_ns, b"", b"", item.target)
        known = self._cache.files[item.path]
        size, mode = item.stat.st_size, item.stat.st_mode & 0o777
        return FileEntry(item.path, FILE, size, mode, item.stat.st_mtime_ns, known.blake3, known.sha256, "")

    def _advance(self, length: int) -> None:
        if self._should_stop():
            raise KeyboardInterrupt
        self._done += length
        self._progress(self._done, self._total)

    # ---- large files --------------------------------------------------------------------------------------------

    def _large(self, item: Found) -> tuple[BlockEntry, ...]:
        state = FileState.of(item.stat)
        known = self._cache.unchanged(item.path, state)
        if known is not None and known.blocks:
            self._advance(state.size)
            return known.blocks
        read_ns = time.time_ns()
        whole, strong = blake3(), hashlib.sha256()
        blocks: list[BlockEntry] = []
        with _opened(item) as file:
            for block in self._windows(file):
                blocks.append(BlockEntry(signature_of(block), len(block)))
                whole.update(block)
                strong.update(block)
                self._advance(len(block))
            _check_unchanged(item, file.fileno(), sum(block.size for block in blocks))
        found = Known(state, read_ns, whole.digest(), strong.digest(), tuple(blocks))
        self._cache.files[item.path] = found
        return found.blocks

    def _windows(self, file: _File) -> Iterator[memoryview]:
        """The file block by block, each a view that is valid until the next."""
        buffer = bytearray(READ_BYTES)
        view = memoryview(buffer)
        start = end = 0
        at_end = False
        while True:
            if end - start < BLOCK_MAX_BYTES and not at_end:
                buffer[: end - start] = bytes(view[start:end])
                start, end = 0, end - start
                while end < READ_BYTES:
                    count = file.readinto(view[end:])
                    if not count:
                        at_end = True
                        break
                    end += count
                    self.read_bytes += count
            if start == end:
                return
            length = first_cut(view[start : min(end, start + BLOCK_MAX_BYTES)])
            yield view[start : start + length]
            start += length

    # ---- runs of small files ------------------------------------------------------------------------------------

    def _cut_run(self, files: list[Found]) -> Iterator[BlockEntry]:
        """Cut small files together. A block known from before is taken over unread where all that it was cut from is as it was."""
        contents: dict[int, bytes] = {}
        index = offset = 0
        for item in files:
            if item.stat.st_size == 0:
                self._small(item)
        while True:
            while index < len(files) and offset >= files[index].stat.st_size:
                contents.pop(index, None)
                index, offset = index + 1, 0
            if index == len(files):
                return
            old = self._cache.runs.get((files[index].path, offset))
            if old is None or not self._still_holds(old, files, index, offset):
                old = self._cut_one(files, index, offset, contents)
            self._runs[files[index].path, offset] = old
            yield old.block
            self._advance(old.block.size)
            left = old.block.size
            while left:
                step = min(left, files[index].stat.st_size - offset)
                left, offset = left - step, offset + step
                if left:
                    contents.pop(index, None)
                    index, offset = index + 1, 0

    def _still_holds(self, old: RunBlock, files: list[Found], index: int, offset: int) -> bool:
        for span in old.spans:
            while index < len(files) and files[index].stat.st_size == offset:
                index, offset = index + 1, 0
            if index == len(files):
                return False
            item = files[index]
            if (item.path, offset) != (span.path, span.offset) or span.length > item.stat.st_size - offset:
                return False
            if self._cache.unchanged(item.path, FileState.of(item.stat)) is None:
                return False
            offset += span.length
        is_end = offset == files[index].stat.st_size and all(item.stat.st_size == 0 for item in files[index + 1 :])
        return is_end or not old.is_tail

    def _cut_one(self, files: list[Found], index: int, offset: int, contents: dict[int, bytes]) -> RunBlock:
        window = bytearray()
        spans: list[Span] = []
        at = index
        while at < len(files) and len(window) < BLOCK_MAX_BYTES:
            if at not in contents:
                contents[at] = self._small(files[at])
            part = contents[at][offset:]
            window += part
            if part:
                spans.append(Span(files[at].path, offset, len(part)))
            at, offset = at + 1, 0
        ended = at == len(files) and len(window) <= BLOCK_MAX_BYTES
        length = first_cut(memoryview(window)[:BLOCK_MAX_BYTES])
        block = BlockEntry(signature_of(memoryview(window)[:length]), length)
        return RunBlock(block, _trimmed(spans, length), is_tail=ended and length == len(window))

    def _small(self, item: Found) -> bytes:
        """A small file's content, remembered with its hashes."""
        state = FileState.of(item.stat)
        read_ns = time.time_ns()
        with _opened(item) as file:
            content = file.read(LARGE_FILE_BYTES + 1)
            _check_unchanged(item, file.fileno(), len(content))
        self.read_bytes += len(content)
        self._cache.files[item.path] = Known(
            state, read_ns, signature_of(content), hashlib.sha256(content).digest(), ()
        )
        return content


class _File:
    """A file opened for reading, with foreign errors mapped."""

    def __init__(self, item: Found) -> None:
        self._item = item

    def __enter__(self) -> _File:
        try:
            self._file = open(self._item.location, "rb", buffering=0)
        except FileNotFoundError as error:
            raise _Changed(self._item.location) from error
        except OSError as error:
            raise self._unreadable(error) from error
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, view: memoryview) -> int:
        try:
            return self._file.readinto(view) or 0
        except OSError as error:
            raise self._unreadable(error) from error

    def read(self, limit: int) -> bytes:
        try:
            return self._file.read(limit) or b""
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> AetherError:
        return AetherError(
            f"cannot read {self._item.location}: {error.strerror}; make it readable, or take it out of the directory"
        )


def _opened(item: Found) -> _File:
    return _File(item)


def _check_unchanged(item: Found, descriptor: int, length: int) -> None:
    if FileState.of(os.fstat(descriptor)) != FileState.of(item.stat) or length != item.stat.st_size:
        raise _Changed(item.location)


def _trimmed(spans: list[Span], length: int) -> tuple[Span, ...]:
    """The spans that make up the first ``length`` bytes."""
    kept: list[Span] = []
    for span in spans:
        if length <= 0:
            break
        kept.append(Span(span.path, span.offset, min(span.length, length)))
        length -= span.length
    return tuple(kept)
