"""Content cut at other block sizes: as a scan cuts it at the one in use, and what moves is what a pull fetches."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.fetch import fetch_of
from swarm.analysis.recut import BLOCK_EXTRA_BYTES, Recut, is_cut_alike, sweep
from swarm.cli.recutting import Reader, latest
from swarm.errors import IncompleteError, IntegrityError
from swarm.limits import BLOCK_TARGET_BYTES, KIB
from swarm.manifest import Manifest
from swarm.scan import scan
from tests.datasets import seeded


def filled(root: Path, middle: bytes = b"") -> Manifest:
    """Small files in runs, large ones between them, an empty one, a link."""
    root.mkdir(exist_ok=True)
    large = seeded("large", 3_000_000)
    (root / "c-large.bin").write_bytes(large[:1_500_000] + middle + large[1_500_000:])
    (root / "e-large.bin").write_bytes(seeded("more", 64 * KIB))
    (root / "empty").write_bytes(b"")
    for name in ("a", "b", "d", "z"):
        for number in range(4):
            (root / f"{name}{number}").write_bytes(seeded(f"{name}{number}", 40_000))
    if not (root / "link").is_symlink():
        (root / "link").symlink_to("a0")
    return scan(root).manifest


def recut_of(root: Path, manifest: Manifest) -> dict[int, Manifest]:
    return Reader(manifest.total_bytes, lambda report: None, lambda: False).of_directory(root, manifest)


def test_at_the_parameter_in_use_the_cuts_are_the_version_s_own(tmp_path: Path) -> None:
    manifest = filled(tmp_path / "d")
    found = recut_of(tmp_path / "d", manifest)
    assert is_cut_alike(manifest, found)
    assert found[BLOCK_TARGET_BYTES].version == manifest.version
    assert len(found[64 * KIB].unique) > len(manifest.unique) > len(found[1024 * KIB].unique)
    assert all(sum(block.size for block in each.blocks) == manifest.total_bytes for each in found.values())


def test_a_move_costs_what_a_pull_fetches(tmp_path: Path) -> None:
    old = filled(tmp_path / "d")
    before = recut_of(tmp_path / "d", old)
    new = filled(tmp_path / "d", b"inserted")
    steps = {step.parameter: step for step in sweep([before, recut_of(tmp_path / "d", new)])}
    fetch = fetch_of(new, old)
    step = steps[BLOCK_TARGET_BYTES]
    assert (step.moves[0].bytes, step.moves[0].blocks) == (fetch.bytes, len(fetch.blocks))
    assert step.moves[0].manifest_bytes == fetch.manifest_bytes()
    assert step.overhead_bytes == fetch.manifest_bytes() + BLOCK_EXTRA_BYTES * len(fetch.blocks)
    assert sum(step.sizes) == fetch.bytes
    assert steps[64 * KIB].fetch_bytes < step.fetch_bytes < steps[1024 * KIB].fetch_bytes


def test_content_that_is_not_the_version_s_is_refused(tmp_path: Path) -> None:
    manifest = filled(tmp_path / "d")
    recut = Recut()
    recut.file(3)
    recut.feed(b"abc")
    with pytest.raises(IntegrityError):
        recut.finish(manifest.files)
    (tmp_path / "d" / "c-large.bin").write_bytes(seeded("other", 3_000_000))
    with pytest.raises(IntegrityError, match="changed while it was read"):
        recut_of(tmp_path / "d", manifest)


def test_reading_can_be_stopped(tmp_path: Path) -> None:
    manifest = filled(tmp_path / "d")
    with pytest.raises(IncompleteError):
        Reader(1, lambda report: None, lambda: True).of_directory(tmp_path / "d", manifest)


@pytest.mark.parametrize(
    ("versions", "version", "most", "found"),
    [
        (["a", "b", "c"], None, 2, ["b", "c"]),
        (["a", "b", "c"], "b", 4, ["a", "b"]),
        (["a", "b", "a"], "a", 4, ["b", "a"]),
        (["a", "b"], "x", 4, ["x"]),
        ([], "x", 4, ["x"]),
    ],
)
def test_a_history_ends_with_the_version_and_names_each_once(
    versions: list[str], version: str | None, most: int, found: list[str]
) -> None:
    assert latest(versions, version, most) == found
