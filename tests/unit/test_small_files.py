"""Many small files in one block: read and written one after the other, whole, with their modes and times at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from swarm.errors import ConflictError
from swarm.manifest import Manifest, build
from swarm.rooted import Tree
from swarm.segments import BlockEntry
from swarm.staging import Staging
from swarm.tree import TreeStore, verify_tree
from tests.datasets import (
    cut_stream,
    file_entry,
    manifest_of,
    open_below,
    public_directory,
    seeded,
    unprivileged,
    write_lacking,
)

MODES = (0o644, 0o600, 0o755, 0o777, 0o444, 0o400, 0o200, 0o000)
CONTENTS = {f"{d}/{e}/{n}": seeded(f"{d}{e}{n}", 500 + n) for d in "ab" for e in "cd" for n in range(8)}


def moded() -> tuple[Manifest, dict[bytes, bytes]]:
    """Small files of every mode, each with a time of its own, all of them in one block."""
    paths = sorted(CONTENTS)
    entries = [
        file_entry(path, CONTENTS[path], mode=MODES[number % len(MODES)], mtime_ns=1_600_000_000_000_000_000 + number)
        for number, path in enumerate(paths)
    ]
    cut = cut_stream([CONTENTS[path] for path in paths])
    return build(entries, [entry for entry, _ in cut]), {entry.signature: plain for entry, plain in cut}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_modes_and_times_are_exact_whatever_the_umask(mask: int) -> None:
    manifest, blocks = moded()
    with public_directory() as root, unprivileged(), umask(mask):
        staging = Staging(root / "t", manifest)
        staging.adopt({}, force=False)
        assert staging.recover() == set()
        for index, block in enumerate(manifest.unique):
            staging.write(index, blocks[block.signature])
            # Given on before the end, also out of files that nobody may read then.
            assert staging.get(block.signature) is not None
        staging.finish()
        for entry in manifest.files:
            status = (root / "t" / entry.path).stat()
            assert (status.st_mode & 0o777, status.st_mtime_ns) == (entry.mode, entry.mtime_ns), entry.path


def test_what_came_whole_is_not_looked_at_again(tmp_path: Path) -> None:
    """No second pass over small files that were written into a tree of this try."""
    manifest, blocks = manifest_of(CONTENTS)
    staging = Staging(tmp_path / "t", manifest)
    staging.adopt({}, force=False)
    write_lacking(staging, manifest, blocks)
    (staging.directory / "a/c/3").chmod(0o700)
    staging.finish()
    assert verify_tree(tmp_path / "t", manifest) == ["mode: a/c/3 is 700, not 644"]


def test_what_an_earlier_try_made_too_long_is_cut(tmp_path: Path) -> None:
    manifest, blocks = manifest_of(CONTENTS)
    staging = Staging(tmp_path / "t", manifest)
    (staging.directory / "a/c").mkdir(parents=True)
    (staging.directory / "a/c/0").write_bytes(bytes(100_000))
    (staging.directory / "a/stray").write_bytes(b"of another choice of files")
    staging.adopt({}, force=False)
    assert len(write_lacking(staging, manifest, blocks)) == len(manifest.unique)
    staging.finish()
    assert verify_tree(tmp_path / "t", manifest) == []


def test_a_target_that_was_bare_and_is_not_any_more(tmp_path: Path) -> None:
    manifest, blocks = manifest_of(CONTENTS)
    staging = Staging(tmp_path / "t", manifest)
    staging.adopt({}, force=False)
    write_lacking(staging, manifest, blocks)
    (tmp_path / "t/b/d").mkdir(parents=True)
    (tmp_path / "t/b/d/3").write_bytes(b"mine")
    with pytest.raises(ConflictError, match="was changed while the version came"):
        staging.finish()
    assert (tmp_path / "t/b/d/3").read_bytes() == b"mine"
    staging.close()


# ---- the way from file to file --------------------------------------------------------------------------------------


def test_a_way_opens_what_two_paths_share_once_and_closes_all(tmp_path: Path) -> None:
    with Tree(tmp_path).way(create=True) as way:
        inodes = []
        for path in ("a/b/x", "a/b/y", "a/c/d/x", "top", "a/b/x"):
            directory, name = way.to(path)
            inodes.append((os.fstat(directory).st_ino, name))
            assert open_below(tmp_path) == 1 + path.count("/")
    at = {path: (tmp_path / path).stat().st_ino for path in ("a/b", "a/c/d", "")}
    assert inodes == [(at["a/b"], "x"), (at["a/b"], "y"), (at["a/c/d"], "x"), (at[""], "top"), (at["a/b"], "x")]
    assert open_below(tmp_path) == 0


def test_a_way_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x").write_bytes(b"not yours")
    (tmp_path / "root/l").symlink_to("../outside")
    (tmp_path / "root/x").symlink_to("../outside/x")
    tree = Tree(tmp_path / "root", writable=True)
    with tree.way(create=True) as way:
        way.to("a/x")
        for path in ("l/x", "l/new/x", "x"):
            with pytest.raises(OSError, match=r"link|Not a directory"):
                os.close(tree.open_made(way, path, 0o600))
            assert tree.hash_of(path, way) is None
        status = tree.status("a", way)
        assert status is not None  # A way that failed goes on.
        assert status.st_ino == (tmp_path / "root/a").stat().st_ino
    assert open_below(tmp_path) == 0
    assert os.listdir(tmp_path / "outside") == ["x"]


@pytest.mark.parametrize("path", ["a/c/0", "b/d/7"])
def test_a_small_file_that_is_gone_or_short_gives_no_block(tmp_path: Path, path: str) -> None:
    manifest, blocks = manifest_of(CONTENTS)
    for name, content in CONTENTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    block: BlockEntry = manifest.unique[0]
    assert TreeStore(tmp_path, manifest).get(block.signature) == b"\0" + blocks[block.signature]
    assert open_below(tmp_path) == 0
    os.truncate(tmp_path / path, 400)
    assert TreeStore(tmp_path, manifest).get(block.signature) is None
    (tmp_path / path).unlink()
    assert TreeStore(tmp_path, manifest).get(block.signature) is None
    assert open_below(tmp_path) == 0
