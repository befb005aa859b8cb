"""Versions beside one another: what is the same lies on the disk once, and what was altered is never shared."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from swarm.errors import ConflictError
from swarm.manifest import Manifest
from swarm.sharing import Origin, share
from swarm.staging import READ_ONLY, Staging
from swarm.tree import verify_tree
from tests.datasets import contents_of, manifest_of, seeded, write_lacking
from tests.staged import BLOCKS, FILES, MANIFEST

CHANGED = {**FILES, "b/one": b"3" * 90, "new": seeded("new", 100_000)}
NEXT, NEXT_BLOCKS = manifest_of(CHANGED)
SAME = set(FILES) - {"b/one", "b/empty"}


def bring(target: Path, manifest: Manifest, blocks: dict[bytes, bytes], *origins: Origin) -> list[int]:
    """A version in a directory of its own. The blocks that had to be fetched."""
    staging = Staging(target, manifest, mask=READ_ONLY)
    try:
        staging.adopt({}, force=False)
        staging.share(origins)
        fetched = write_lacking(staging, manifest, blocks)
        staging.finish()
    finally:
        staging.close()
    return fetched


@contextlib.contextmanager
def writable(path: Path) -> Iterator[Path]:
    """As a user does who means it."""
    path.chmod(0o644)
    yield path
    path.chmod(0o444)


def copy(target: int, source: int) -> None:
    """What a reflink is to who reads, on a filesystem that has none."""
    os.sendfile(target, source, 0, os.fstat(source).st_size)


def refuse(target: int, source: int) -> None:
    """What ext4 does."""
    raise OSError(errno.EOPNOTSUPP, "not here")


def inodes(root: Path) -> dict[str, int]:
    return {path: (root / path).stat().st_ino for path in contents_of(root)}


@pytest.fixture
def no_reflinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.staging.share", partial(share, clone=refuse))


@pytest.fixture
def first(tmp_path: Path) -> Origin:
    bring(tmp_path / "first", MANIFEST, BLOCKS)
    return Origin(tmp_path / "first", MANIFEST)


@pytest.mark.usefixtures("no_reflinks")
def test_files_that_are_the_same_are_one_on_the_disk_and_nobody_writes_into_them(tmp_path: Path, first: Origin) -> None:
    fetched = bring(tmp_path / "second", NEXT, NEXT_BLOCKS, first)
    assert contents_of(tmp_path / "second") == CHANGED
    assert contents_of(tmp_path / "first") == FILES
    old, new = inodes(tmp_path / "first"), inodes(tmp_path / "second")
    assert {path for path in new if old.get(path) == new[path]} >= SAME - {"a/large", "a/large copy"}
    assert new["a/large"] in old.values()
    assert sum(NEXT.unique[index].size for index in fetched) < 400_000
    assert verify_tree(tmp_path / "first", MANIFEST, READ_ONLY) == []
    assert verify_tree(tmp_path / "second", NEXT, READ_ONLY) == []
    assert {(tmp_path / "second" / path).stat().st_mode & 0o222 for path in CHANGED} == {0}


def test_by_reflink_every_file_is_its_own(tmp_path: Path, first: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.staging.share", partial(share, clone=copy))
    fetched = bring(tmp_path / "second", NEXT, NEXT_BLOCKS, first)
    assert sum(NEXT.unique[index].size for index in fetched) < 400_000
    assert not set(inodes(tmp_path / "first").values()) & set(inodes(tmp_path / "second").values())
    assert verify_tree(tmp_path / "second", NEXT, READ_ONLY) == []


def _times_kept(path: Path) -> None:
    """Altered by who hides it: size and mtime are as before, the content is not."""
    status = path.stat()
    with writable(path):
        path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _longer(path: Path) -> None:
    with writable(path), path.open("ab") as file:
        file.write(b"more")


def _gone(path: Path) -> None:
    path.unlink()


def _led_astray(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("alter", [_times_kept, _longer, _gone, _led_astray])
def test_what_was_altered_is_fetched_and_not_shared(
    tmp_path: Path, first: Origin, alter: Callable[[Path], None]
) -> None:
    alter(first.root / "b/two")
    bring(tmp_path / "second", NEXT, NEXT_BLOCKS, first)
    assert verify_tree(tmp_path / "second", NEXT, READ_ONLY) == []


def test_other_times_or_modes_make_a_copy_and_leave_the_old_file_alone(tmp_path: Path) -> None:
    bring(tmp_path / "first", MANIFEST, BLOCKS)
    os.utime(tmp_path / "first" / "z", ns=(7, 7))
    (tmp_path / "first" / "b/two").chmod(0o400)
    bring(tmp_path / "second", NEXT, NEXT_BLOCKS, Origin(tmp_path / "first", MANIFEST))
    assert verify_tree(tmp_path / "second", NEXT, READ_ONLY) == []
    assert (tmp_path / "first" / "z").stat().st_mtime_ns == 7
    assert (tmp_path / "first" / "b/two").stat().st_mode & 0o777 == 0o400


@pytest.mark.usefixtures("no_reflinks")
def test_altered_after_it_was_linked_it_is_noticed(tmp_path: Path, first: Origin) -> None:
    staging = Staging(tmp_path / "second", MANIFEST, mask=READ_ONLY)
    try:
        staging.adopt({}, force=False)
        staging.share([first])
        assert staging.recover() == set(range(len(MANIFEST.unique)))
        _longer(first.root / "z")
        with pytest.raises(ConflictError, match="was changed"):
            staging.finish()
    finally:
        staging.close()
    assert not (tmp_path / "second").exists()
    bring(tmp_path / "second", MANIFEST, BLOCKS, first)
    assert verify_tree(tmp_path / "second", MANIFEST, READ_ONLY) == []


@pytest.mark.usefixtures("no_reflinks")
def test_a_link_that_a_killed_try_left_is_never_written_into(tmp_path: Path, first: Origin) -> None:
    """It was altered meanwhile, so its blocks come anew: into a file of its own."""
    staging = Staging(tmp_path / "second", MANIFEST, mask=READ_ONLY)
    staging.adopt({}, force=False)
    staging.share([first])
    staging.close()
    with writable(first.root / "b/two") as altered:
        altered.write_bytes(b"mine")
    bring(tmp_path / "second", MANIFEST, BLOCKS)
    assert (first.root / "b/two").read_bytes() == b"mine"
    assert verify_tree(tmp_path / "second", MANIFEST, READ_ONLY) == []


def test_without_reflinks_it_is_tried_once(tmp_path: Path, first: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def counted(target: int, source: int) -> None:
        tries.append(target)
        refuse(target, source)

    monkeypatch.setattr("swarm.staging.share", partial(share, clone=counted))
    bring(tmp_path / "second", NEXT, NEXT_BLOCKS, first)
    assert len(tries) == 1
