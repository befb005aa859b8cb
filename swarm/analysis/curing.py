"""Measuring what a remedy saves: both versions of the files as they are and as they would be, scanned and compared.

A remedy writes cured copies of an older and a newer set of files into scratch folders; the scan that publishing uses
cuts them, and ``fetch`` tells what an update moves. Originals are linked to, not copied. What there is of older files
comes from the swarm, or is made: the same files with one record taken out. Blocking.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import zstandard

from swarm.analysis.fetch import fetch_of
from swarm.analysis.findings import Cost, Finding, Measured, best_of, finding_of
from swarm.analysis.sizes import EncodedSizes
from swarm.errors import AetherError, IncompleteError
from swarm.scan import scan
from swarm.units import counted

HEAD_BYTES: Final = 512
# Of many files the largest are looked at.
LOOKED_AT_MAX: Final = 4096
MADE: Final = "each file with one record taken out near its beginning"

Files = Mapping[str, Path]


# What libraries raise for bytes that are not what they seemed. A file may be anybody's: an older version's publisher.
FOREIGN: Final = (
    ValueError,
    LookupError,
    ArithmeticError,
    EOFError,
    NotImplementedError,
    struct.error,
    subprocess.SubprocessError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    zstandard.ZstdError,
)


class Unfit(Exception):
    """A file is not what its beginning promised: it is left out."""


class Remedy(Protocol):
    """One kind of change to files, and how it is applied."""

    kind: str
    title: str

    def fits(self, path: str, head: bytes, size: int) -> bool:
        """Whether a file may be concerned, by its path and its first HEAD_BYTES."""

    def missing(self) -> str:
        """What is lacking here to measure it; empty for nothing."""

    def change(self) -> str:
        """What to do, in words, with the command where there is one."""

    def cure(self, old: Files, new: Files, to_old: Path, to_new: Path) -> Collection[str]:
        """Write both sets as they would be, and tell which files of the new one are concerned: only these count.

        Unfit where something is not what it seemed.
        """

    def made(self, files: Files, to_old: Path, to_new: Path) -> Collection[str]:
        """Without an older version: write one, and the newer one as it would be written beside it.

        Tells for which files that was done: not for those that are right, or of which one version tells nothing.
        """

    def shorten(self, source: Path, target: Path, limit: int) -> bool:
        """Write the beginning of a file that is too large, as a file of its kind; whether that is possible."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that changed, or any file where nothing is compared. ``before``: its path in the older version."""

    path: str
    size: int
    fetch_bytes: int
    before: str = ""
    size_before: int = 0


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a set of files lies, and how older ones are had: ``older(path, to, limit)`` writes one.

    ``budget_bytes`` is what one remedy may treat. ``should_stop`` is looked at between files.
    """

    root: Path
    older: Callable[[str, Path, int], None] | None
    budget_bytes: int
    fetch_bytes: int
    basis: str
    should_stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda words: None


def below(folder: Path, path: str) -> Path:
    """Where a file is to be written; the directories above it are made."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def head_of(path: Path) -> bytes:
    """A file's beginning; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def examine(
    candidates: Sequence[Candidate], remedies: Sequence[Remedy], bench: Bench
) -> tuple[list[Finding], list[str]]:
    """What is worth changing, the best of what there is for the same files, and notes about what could not be measured.
    IncompleteError when told to stop.
    """
    found: list[tuple[Finding, frozenset[str]]] = []
    notes: list[str] = []
    largest = sorted(candidates, key=lambda one: (-one.fetch_bytes, one.path))[:LOOKED_AT_MAX]
    if len(largest) < len(candidates):
        notes.append(f"only the {LOOKED_AT_MAX} files that cost most were looked at for findings")
    heads = {one.path: head_of(bench.root / one.path) for one in largest}
    for remedy in remedies:
        mine = [one for one in largest if remedy.fits(one.path, heads[one.path], one.size)]
        if not mine:
            continue
        if lacking := remedy.missing():
            notes.append(f"{remedy.title}: {counted(len(mine), 'file')} not measured, as {lacking}")
            continue
        bench.tell(remedy.title)
        finding, concerned, said = _measured(remedy, mine, bench)
        notes += said
        found += [(finding, frozenset(concerned))] if finding is not None else []
    return best_of(found), notes


def _measured(
    remedy: Remedy, mine: Sequence[Candidate], bench: Bench
) -> tuple[Finding | None, tuple[str, ...], list[str]]:
    with scratch() as folder:
        try:
            sample = _Sample(remedy, mine, bench, folder)
            if not sample.new:
                return None, (), sample.notes
            for name in ("cured-old", "cured-new"):
                (folder / name).mkdir()
            cured = remedy.cure(sample.old, sample.new, folder / "cured-old", folder / "cured-new")
            if not cured:
                return None, (), sample.notes
            sample.keep(cured)
            now = cost_of(folder / "new", folder / "old")
            after = cost_of(folder / "cured-new", folder / "cured-old")
        except IncompleteError:
            raise
        except (Unfit, AetherError, *FOREIGN) as error:
            return None, (), [f"{remedy.title}: not measured: {error}"]
        except OSError as error:
            return None, (), [f"{remedy.title}: not measured: {error.strerror or error}"]
    return (
        finding_of(
            remedy.kind,
            remedy.title,
            remedy.change(),
            sample.concerned,
            now,
            after,
            sample.measured(),
            fetch_bytes=bench.fetch_bytes if not sample.is_made else 0,
            basis=MADE if sample.is_made else bench.basis,
        ),
        sample.concerned,
        sample.notes,
    )


class _Sample:
    """Both versions of the files that are measured, in ``folder / "old"`` and ``folder / "new"``."""

    def __init__(self, remedy: Remedy, mine: Sequence[Candidate], bench: Bench, folder: Path) -> None:
        self.notes: list[str] = []
        self.is_made = bench.older is None
        self.old: dict[str, Path] = {}
        self.new: dict[str, Path] = {}
        self._mine = [one for one in mine if self.is_made or one.before]
        self._bytes = 0
        self._taken: dict[str, int] = {}
        for name in ("old", "new", "source"):
            (folder / name).mkdir()
        for one in self._mine:
            if bench.should_stop():
                raise IncompleteError("the analysis was stopped: repeat the command to go on")
            self._take(remedy, one, bench, folder)
        if self.is_made and self.new:
            self._make(remedy, folder)

    def _take(self, remedy: Remedy, one: Candidate, bench: Bench, folder: Path) -> None:
        """One more file, if there is room for it, or for its beginning."""
        room = bench.budget_bytes - self._bytes
        source = bench.root / one.path
        target = below(folder / "new", one.path)
        whole = max(one.size, one.size_before) <= room
        if not whole and self.new:
            return
        if whole:
            os.symlink(os.path.abspath(source), target)
        elif not remedy.shorten(source, target, room):
            self.notes.append(f"{remedy.title}: {one.path} is too large to be measured: raise --budget")
            return
        if bench.older is not None and not self._take_older(remedy, one, bench, folder, room, whole=whole):
            os.unlink(target)
            return
        self.new[one.path] = target
        self._taken[one.path] = min(one.size, room)
        self._bytes += self._taken[one.path]

    def _take_older(
        self, remedy: Remedy, one: Candidate, bench: Bench, folder: Path, room: int, *, whole: bool
    ) -> bool:
        target = below(folder / "old", one.path)
        older = target if whole else below(folder / "source", one.path)
        assert bench.older is not None
        try:
            bench.older(one.before, older, one.size_before if whole else 2 * room)
        except AetherError as error:
            self.notes.append(f"{one.path}: its older version could not be read: {error}")
            return False
        if not whole and not remedy.shorten(older, target, room):
            return False
        self.old[one.path] = target
        return True

    def _make(self, remedy: Remedy, folder: Path) -> None:
        """An older version of the files, and the newer as it would be written beside it."""
        sources = {path: Path(os.path.realpath(target)) for path, target in self.new.items()}
        shutil.rmtree(folder / "new")
        (folder / "new").mkdir()
        self.new = {}
        made = remedy.made(sources, folder / "old", folder / "new")
        self.old = {path: folder / "old" / path for path in made}
        self.new = {path: folder / "new" / path for path in made}
        self._mine = [one for one in self._mine if one.path in made or one.path not in sources]

    def keep(self, paths: Collection[str]) -> None:
        """Only these files are concerned after all; of those that were not measured as large a share is taken to be."""
        for path in self.new.keys() - set(paths):
            os.unlink(self.new[path])
            if path in self.old:
                os.unlink(self.old[path])
        left_out = [one for one in self._mine if one.path not in self.new]
        self._mine = [one for one in self._mine if one.path in paths]
        self._bytes = sum(self._taken[one.path] for one in self._mine)
        if len(paths) == len(self.new):
            self._mine += left_out
        self.new = {path: self.new[path] for path in paths}

    @property
    def concerned(self) -> tuple[str, ...]:
        return tuple(one.path for one in self._mine)

    def measured(self) -> Measured:
        """How much of what is concerned was measured."""
        return Measured(len(self.new), len(self._mine), self._bytes, sum(one.size for one in self._mine))


def cost_of(new: Path, old: Path) -> Cost:
    """What an update from one directory to another moves."""
    with EncodedSizes() as sizes:
        before = scan(old, links="follow").manifest
        after = scan(new, links="follow", made=sizes.take, cut=sizes.take).manifest
        fetch = fetch_of(after, before)
        manifest_bytes = fetch.manifest_bytes()
        return Cost(
            fetch.raw_bytes() + manifest_bytes, fetch.encoded_bytes(sizes.of) + manifest_bytes, after.total_bytes
        )


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for copies, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="aetherfs-analyze-") as folder:
        yield Path(folder)
