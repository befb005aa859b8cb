"""What changes while it is scanned: noticed, read again, never torn, and given up where it never rests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from swarm.errors import AetherError, IncompleteError, UsageError
from swarm.limits import BLOCK_MAX_BYTES
from swarm.scan import scan
from swarm.scan_cache import ScanCache
from tests.datasets import open_below, write_files
from tests.unit.scanned import FILES, TOTAL, same, settle, settled_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return settled_tree(tmp_path / "tree")


class Meddler:
    """Does something to the directory while it is read: at each of the first calls of progress."""

    def __init__(self, *deeds: object) -> None:
        self.deeds = list(deeds)

    def __call__(self, done: int, total: int) -> None:
        if self.deeds:
            deed = self.deeds.pop(0)
            assert callable(deed)
            deed()


@pytest.mark.parametrize("path", ["large/a", "large/c", "run/000", "run/199", "z"])
def test_a_file_that_changes_is_noticed_and_read_again(tree: Path, path: str) -> None:
    changed = FILES[path][:-1] + b"!"
    meddler = Meddler(lambda: write_files(tree, {path: changed}))
    found = scan(tree, cache=ScanCache(), progress=meddler)
    assert same(found.manifest, FILES | {path: changed})
    assert not meddler.deeds


def test_a_file_that_grows_shrinks_vanishes_or_turns_into_something_else(tree: Path) -> None:
    def replace_by_directory() -> None:
        (tree / "z").unlink()
        (tree / "z").mkdir()

    def replace_by_pipe() -> None:
        shutil.rmtree(tree / "z")
        os.mkfifo(tree / "z")

    meddler = Meddler(
        lambda: write_files(tree, {"large/d": bytes(3 * BLOCK_MAX_BYTES)}),
        lambda: write_files(tree, {"large/d": b""}),
        (tree / "large" / "c").unlink,
        replace_by_directory,
        lambda: write_files(tree, {"z/x": FILES["z"]}),
    )
    files = {path: content for path, content in FILES.items() if path not in ("large/c", "z")}
    files |= {"large/d": b"", "z/x": FILES["z"]}
    manifest = scan(tree, cache=ScanCache(), progress=meddler).manifest
    assert same(manifest, files)
    with pytest.raises(UsageError, match="it is a socket, pipe or device"):
        scan(tree, progress=Meddler(replace_by_pipe))


def test_a_small_file_that_changes_between_listing_and_reading_is_noticed(tree: Path, tmp_path: Path) -> None:
    """Its state is looked at when all is read: content of one moment is not published with the times of another."""
    other = tmp_path / "other"
    other.write_bytes(FILES["run/199"][:-1] + b"!")
    os.utime(other, ns=(5, 5))
    meddler = Meddler(lambda: os.replace(other, tree / "run/199"))
    manifest = scan(tree, cache=ScanCache(), progress=meddler).manifest
    assert same(manifest, FILES | {"run/199": FILES["run/199"][:-1] + b"!"})
    assert [entry.mtime_ns for entry in manifest.files if entry.path == "run/199"] == [5]


def test_no_file_stays_open(tree: Path) -> None:
    scan(tree)
    done: list[int] = []
    with pytest.raises(IncompleteError):
        scan(tree, progress=lambda read, total: done.append(read), should_stop=lambda: len(done) == 3)
    assert open_below(tree) == 0


def test_a_change_after_the_reading_is_noticed_too(tree: Path) -> None:
    """The manifest is of one moment: the first file changes when the last one is read."""
    calls = 0

    def meddle(done: int, total: int) -> None:
        nonlocal calls
        if done == total and not calls:
            calls = 1
            write_files(tree, {"large/a": b"a" * 100_000})

    found = scan(tree, progress=meddle)
    assert calls == 1
    assert same(found.manifest, FILES | {"large/a": b"a" * 100_000})


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(tree: Path) -> None:
    def replace() -> None:
        (tree / "z").unlink()
        os.mkfifo(tree / "z")

    with pytest.raises(UsageError, match="it is a socket, pipe or device"):
        scan(tree, progress=Meddler(replace))


def test_a_file_is_not_chased_to_an_end_that_moves(tmp_path: Path) -> None:
    """A log that is written faster than it is read: as much as was listed is read of it, then it has changed."""
    listed = 6 * BLOCK_MAX_BYTES
    write_files(tmp_path, {"log": bytes(listed)})
    grown = 0

    def grow(done: int, total: int) -> None:
        nonlocal grown
        if total == listed and grown < 40:
            grown += 1
            os.truncate(tmp_path / "log", (6 + 4 * grown) * BLOCK_MAX_BYTES)

    assert scan(tmp_path, progress=grow).manifest.total_bytes == (6 + 4 * grown) * BLOCK_MAX_BYTES
    assert grown == 6


def test_what_never_rests_is_given_up(tmp_path: Path) -> None:
    write_files(tmp_path, {"log": b"line\n"})

    def append(done: int, total: int) -> None:
        with open(tmp_path / "log", "ab") as log:
            log.write(b"line\n")

    with pytest.raises(AetherError, match=r"log' keeps changing while it is read; wait for it"):
        scan(tmp_path, progress=append)


def test_a_block_is_not_taken_over_from_before_an_interruption(tree: Path) -> None:
    """A scan that was stopped has read the new content of a file, while the blocks are of the old: they must not
    mix.
    """
    cache = ScanCache()
    scan(tree, cache=cache)
    files = FILES | {"run/000": b"new" * 100}
    write_files(tree, {"run/000": files["run/000"]})
    settle(tree)
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += "run/000" in cache.files and cache.files["run/000"].state.size == 300
        return calls > 0

    with pytest.raises(IncompleteError, match="was stopped"):
        scan(tree, cache=cache, should_stop=stop)
    assert cache.files["run/000"].state.size == 300
    assert same(scan(tree, cache=cache).manifest, files)


def test_a_stopped_scan_has_not_read_in_vain(tree: Path) -> None:
    cache = ScanCache()
    done_bytes = 0

    def progress(done: int, total: int) -> None:
        nonlocal done_bytes
        done_bytes = done

    with pytest.raises(IncompleteError):
        scan(tree, cache=cache, progress=progress, should_stop=lambda: done_bytes > 0.8 * TOTAL)
    assert scan(tree, cache=cache).read_bytes < 0.28 * TOTAL
