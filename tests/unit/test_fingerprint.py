"""What is known of a pulled directory's files is believed only when they were surely not touched since."""

from __future__ import annotations

import os
import time
from pathlib import Path

from swarm.fingerprint import fingerprints
from swarm.manifest import Manifest
from swarm.rooted import Tree
from swarm.scan_cache import FileState, Known, ScanCache
from swarm.segments import FileEntry
from swarm.signature import signature_of
from swarm.survey import survey
from tests.datasets import link_entry, manifest_of, pull

FILES = {"a/one": b"1" * 500, "a/two": b"2" * 700, "b/empty": b"", "three": b"3" * 900}
MANIFEST, BLOCKS = manifest_of(FILES, [link_entry("l", "three")])
WANTED = dict(enumerate(MANIFEST.files))
PREVIOUS = {entry.path: entry for entry in MANIFEST.files}


def settled(target: Path, manifest: Manifest = MANIFEST) -> int:
    """Pull, and wait until the clock has surely moved on from the files' times: then the moment, in nanoseconds."""
    pull(target, manifest, BLOCKS)
    time.sleep(0.05)
    return time.time_ns()


def kept(target: Path, known: ScanCache) -> set[str]:
    """The paths that a pull with ``force`` would leave as they are."""
    found = survey(Tree(target), WANTED, PREVIOUS, force=True, known=known)
    return {MANIFEST.files[index].path for index in found.kept}


def seen(target: Path, placed_ns: int, entries: dict[int, FileEntry] = WANTED) -> ScanCache:
    return fingerprints(Tree(target), entries, (), 0, placed_ns)


def test_an_untouched_file_is_not_read_again(tmp_path: Path) -> None:
    """Told by a fingerprint that says another content than the file has."""
    known = seen(tmp_path / "t", settled(tmp_path / "t"))
    assert set(known.files) == set(FILES)
    assert kept(tmp_path / "t", known) == {*FILES, "l"}
    state = FileState.of((tmp_path / "t/a/one").stat())
    other = signature_of(b"other")
    known.files["a/one"] = Known(state, time.time_ns(), other, other, ())
    assert kept(tmp_path / "t", known) == {*FILES, "l"} - {"a/one"}


def test_what_was_touched_since_is_hashed(tmp_path: Path) -> None:
    """Also when its size and its time are what they were, and when the touching came before the noting."""
    target = tmp_path / "t"
    before = settled(target)
    known = seen(target, before)
    for path in ("a/two", "three"):
        status = (target / path).stat()
        (target / path).write_bytes(FILES[path].swapcase()[:-1] + b"!")
        os.utime(target / path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert kept(target, known) == {"a/one", "b/empty", "l"}
    assert kept(target, seen(target, before)) == {"a/one", "b/empty", "l"}


def test_what_was_there_before_counts_from_when_it_was_looked_at(tmp_path: Path) -> None:
    target = tmp_path / "t"
    looked_ns = settled(target)
    (target / "three").write_bytes(b"!" * 900)
    time.sleep(0.05)
    index = next(number for number, entry in WANTED.items() if entry.path == "three")
    known = fingerprints(Tree(target), WANTED, {index}, looked_ns, time.time_ns())
    assert "three" not in kept(target, known)


def test_what_is_no_file_of_its_size_has_no_fingerprint(tmp_path: Path) -> None:
    target = tmp_path / "t"
    now = settled(target)
    (target / "three").write_bytes(b"short")
    (target / "a/one").unlink()
    (target / "a/two").unlink()
    (target / "a/two").symlink_to("../three")
    assert set(seen(target, now).files) == {"b/empty"}
