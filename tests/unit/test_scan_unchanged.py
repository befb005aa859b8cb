"""Of a directory in which nothing at all changed, the manifest that is at hand is taken."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.scan import scan
from swarm.scan_cache import ScanCache
from tests.datasets import write_files
from tests.unit.scanned import settled_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return settled_tree(tmp_path / "tree")


def test_of_an_unchanged_directory_the_manifest_at_hand_is_taken(tree: Path, tmp_path: Path) -> None:
    cache = ScanCache()
    first = scan(tree, cache=cache).manifest
    cache.save(tmp_path / "cache")
    cache = ScanCache.load(tmp_path / "cache")
    assert scan(tree, cache=cache, manifest_of={first.version: first}.get).manifest is first
    assert scan(tree, cache=cache).manifest.root_bytes == first.root_bytes


def test_a_cache_that_has_learnt_nothing_is_not_written(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, kept = ScanCache(), tmp_path / "cache"
    first = scan(tree, cache=cache).manifest
    cache.save(kept)
    cache = ScanCache.load(kept)
    scan(tree, cache=cache, manifest_of={first.version: first}.get)
    kept.unlink()
    cache.save(kept)
    assert not kept.exists()
    write_files(tree, {"run/050": b"other"})
    written_ns = (tree / "run/050").stat().st_ctime_ns
    monkeypatch.setattr("swarm.reading.time.time_ns", lambda: written_ns)
    again = scan(tree, cache=cache, manifest_of={first.version: first}.get).manifest
    cache.save(kept)
    found = ScanCache.load(kept)
    assert found.whole is None and "run/050" in found.files  # it is as new as the reading, so nothing is sure
    assert scan(tree, cache=found).manifest.root_bytes == again.root_bytes


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: write_files(tree, {"run/050": b"other"}),
        lambda tree: write_files(tree, {"run/new": b""}),
        lambda tree: (tree / "run/050").unlink(),
        lambda tree: (tree / "run/050").chmod(0o600),
        lambda tree: os.utime(tree / "large/a"),
        lambda tree: (tree / "run/link").symlink_to("050"),
        lambda tree: (tree / "run/nothing").mkdir(),
        lambda tree: (tree / "run/050").rename(tree / "run/moved"),
    ],
)
def test_of_a_directory_that_changed_at_all_it_is_not(tree: Path, change: Callable[[Path], object]) -> None:
    cache = ScanCache()
    first = scan(tree, cache=cache).manifest
    change(tree)
    again = scan(tree, cache=cache, manifest_of={first.version: first}.get).manifest
    assert again.root_bytes != first.root_bytes
    assert again.root_bytes == scan(tree).manifest.root_bytes


def test_of_a_directory_that_was_touched_as_it_was_read_it_is_not(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change could carry the same times."""
    read_ns = time.time_ns() + 10**10  # of all files; a busy machine comes to this one later than a tick
    monkeypatch.setattr("swarm.reading.time.time_ns", lambda: read_ns)
    os.utime(tree / "run" / "050", ns=(read_ns, read_ns))
    cache = ScanCache()
    first = scan(tree, cache=cache).manifest
    assert scan(tree, cache=cache, manifest_of={first.version: first}.get).manifest is not first
