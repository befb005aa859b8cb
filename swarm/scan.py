"""Reading a directory into a manifest: hash every file, cut it into blocks, read nothing twice that did not change.

Blocking, meant for a thread. A file of LARGE_FILE_BYTES or more is cut alone; a run of smaller ones is cut together and
ends where a large file begins. What changes while it is read is noticed, and the scan starts over with what it has
learnt; after a few rounds it gives up. In the end everything is looked at once more: the manifest is of one moment.
Memory is bounded by a few windows, not by the bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from swarm import manifest as manifests
from swarm.errors import AetherError, IncompleteError, RemoteProtocolError, UsageError
from swarm.limits import LARGE_FILE_BYTES
from swarm.manifest import Manifest
from swarm.paths import shown
from swarm.reading import Beside, Reading
from swarm.runs import cut_run
from swarm.scan_cache import FileState, Known, RunBlock, ScanCache, Whole
from swarm.segments import FILE, SYMLINK, BlockEntry, FileEntry
from swarm.walk import Changed, Found, Links, walk

ROUNDS: Final = 6
# The pause before the second round; it doubles.
PAUSE_S: Final = 0.05
# What is found is encoded so many at a time: a million at once are a quarter of a gigabyte.
DIGESTED_AT_ONCE: Final = 1000
# Files whose states a scan gives as hashed; the others' blocks are hashed once more when they are first given.
HASHED_MAX: Final = 65_536

Progress = Callable[[int, int], None]
Made = Callable[[BlockEntry, memoryview], None]
ManifestOf = Callable[[bytes], Manifest | None]


@dataclass(frozen=True, slots=True)
class Scan:
    """A directory's manifest, where the tree begins on disk, how many bytes had to be read, whether links were
    followed; the states of files that were cut alone, surely as they were when this scan hashed them.
    """

    manifest: Manifest
    root: Path
    read_bytes: int
    follow_links: bool
    hashed: Mapping[str, FileState]


def scan(
    root: Path,
    *,
    links: Links = "refuse",
    cache: ScanCache | None = None,
    progress: Progress = lambda done, total: None,
    made: Made = lambda entry, plain: None,
    cut: Made = lambda entry, plain: None,
    all_read: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
    manifest_of: ManifestOf = lambda version: None,
) -> Scan:
    """Scan a directory, or one file. ``cache`` is read and brought up to date, also when the scan fails or is stopped.

    ``progress`` gets (bytes done, bytes in all), ``made`` the blocks that are cut from several small files, which are
    dear to read again, ``cut`` those of large files; their bytes are valid during the call. ``all_read`` is called
    after the last of a round. ``manifest_of`` may give the manifest of an earlier version, which is the result when
    nothing at all has changed. Raises NotFoundError, UsageError and AetherError as ``walk`` does, AetherError for what
    does not stop changing, IncompleteError when ``should_stop`` said so.
    """
    known = cache if cache is not None else ScanCache()
    changed = ""
    read_bytes = 0
    for number in range(ROUNDS):
        if number:
            time.sleep(PAUSE_S * 2 ** (number - 1))
        work = _Round(known, progress, made, cut, all_read, should_stop)
        try:
            found = walk(root, links, should_stop)
            manifest = _unchanged(known, found, manifest_of)
            if manifest is None:
                manifest = work.manifest(found)
            else:
                progress(manifest.total_bytes, manifest.total_bytes)
        except Changed as error:
            changed = error.location
            continue
        except RemoteProtocolError as error:
            raise UsageError(f"cannot publish {shown(str(root))}: {error}") from error
        finally:
            read_bytes += work.read_bytes
            work.close()
        return Scan(manifest, root if root.is_dir() else root.parent, read_bytes, links == "follow", work.hashed)
    raise AetherError(
        f"cannot publish {shown(str(root))}: {shown(changed)} keeps changing while it is read; wait for it to rest"
    )


def _unchanged(cache: ScanCache, found: Sequence[Found], manifest_of: ManifestOf) -> Manifest | None:
    """The manifest that the directory had, if everything is as it was then: that it was of one moment was seen then."""
    if cache.whole is None or cache.whole.found != _digest(found):
        return None
    return manifest_of(cache.whole.version)


def _digest(found: Sequence[Found]) -> bytes:
    """Of all that the filesystem says of what was found."""
    hasher = blake3()
    for begin in range(0, len(found), DIGESTED_AT_ONCE):
        hasher.update(msgspec.msgpack.encode(found[begin : begin + DIGESTED_AT_ONCE]))
    return hasher.digest()


class _Round:
    """One round of a scan. Also the ``Contents`` of the runs."""

    def __init__(
        self,
        cache: ScanCache,
        progress: Progress,
        made: Made,
        cut: Made,
        all_read: Callable[[], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._cache = cache
        self._progress = progress
        self.made = made
        self._cut = cut
        self._all_read = all_read
        self._should_stop = should_stop
        self._reading = Reading()
        self._total = self._done = 0
        self.hashed: dict[str, FileState] = {}
        self._small: dict[str, tuple[Known, bytes]] = {}
        self._runs: dict[tuple[str, int], RunBlock] = {}

    @property
    def read_bytes(self) -> int:
        return self._reading.read_bytes

    def close(self) -> None:
        self._reading.close()

    def manifest(self, found: Sequence[Found]) -> Manifest:
        """The manifest of what was found, and the cache brought up to it."""
        files = [item for item in found if item.kind == FILE]
        self._total = sum(item.state.size for item in files)
        blocks: list[BlockEntry] = []
        run: list[Found] = []
        for item in files:
            if item.state.size >= LARGE_FILE_BYTES:
                self._run(run, blocks)
                run = []
                self._large(item, blocks)
            else:
                run.append(item)
        self._run(run, blocks)
        self._all_read()
        manifest = manifests.build([self._entry(item) for item in found], blocks)
        _check_unchanged(found)
        is_sure = all(self._cache.unchanged(item.path, item.state) is not None for item in files)
        whole = Whole(_digest(found), manifest.version) if is_sure else None
        self._cache.replace({item.path: self._cache.files[item.path] for item in files}, self._runs, whole)
        return manifest

    def _run(self, files: Sequence[Found], blocks: list[BlockEntry]) -> None:
        for block in cut_run(files, self._cache.runs, self):
            self._runs[block.start] = self._cache.runs[block.start] = block
            blocks.append(block.block)
            self._advance(block.block.size)

    def _large(self, item: Found, blocks: list[BlockEntry]) -> None:
        known = self._cache.unchanged(item.path, item.state)
        if known is not None and known.blocks:
            self._advance(item.size)
        else:
            known = self._reading.large(item, self._large_block)
            self._cache.files[item.path] = known
            if len(self.hashed) < HASHED_MAX and self._cache.unchanged(item.path, item.state) is not None:
                self.hashed[item.path] = item.state
        blocks += known.blocks

    def _large_block(self, entry: BlockEntry, plain: memoryview) -> None:
        self._cut(entry, plain)
        self._advance(entry.size)

    def _advance(self, length: int) -> None:
        if self._should_stop():
            raise IncompleteError("the scan was stopped: publish again to go on")
        self._done += length
        self._progress(self._done, self._total)

    # ---- the contents of small files ----------------------------------------------------------------------------

    def digest(self, item: Found) -> bytes:
        held = self._small.get(item.path)
        return held[0].blake3 if held is not None else self._known(item).blake3

    def content(self, item: Found) -> tuple[bytes, bytes]:
        known, content = self._small.get(item.path) or self._read(item)
        return known.blake3, content

    def release(self, item: Found) -> None:
        self._small.pop(item.path, None)

    def _known(self, item: Found) -> Known:
        """What is known of a small file, from before or by reading it now."""
        known = self._cache.unchanged(item.path, item.state)
        if known is not None:
            return known
        held = self._small.get(item.path)
        return held[0] if held is not None else self._read(item)[0]

    def _read(self, item: Found) -> tuple[Known, bytes]:
        held = self._small[item.path] = self._reading.small(item)
        self._cache.files[item.path] = held[0]
        return held

    def _entry(self, item: Found) -> FileEntry:
        path, mode, mtime_ns = item.path, item.mode, item.state.mtime_ns
        if item.kind != FILE:
            return FileEntry(path, item.kind, 0, mode, mtime_ns, b"", b"", item.target)
        known = self._cache.files.get(path)
        if known is None or known.state != item.state:
            known = self._known(item)  # an empty file, which no run asks for
            self.release(item)
        return FileEntry(path, FILE, item.size, mode, mtime_ns, known.blake3, known.sha256, "")


def _check_unchanged(found: Sequence[Found]) -> None:
    """Changed, if something is not as it was listed."""
    with Beside() as beside:
        for item in found:
            try:
                name, directory = beside.to(item.location)
                status = os.stat(name, dir_fd=directory, follow_symlinks=item.kind != SYMLINK)
            except OSError as error:
                raise Changed(item.location) from error
            if FileState.of(status) != item.state:
                raise Changed(item.location)
