"""Where versions are staged and put: mount points, links, foreign parents, things in the way, full disks."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path

import pytest

from swarm.beside import staging_path
from swarm.errors import AetherError, ConflictError, FullError
from swarm.staging import Staging
from swarm.tree import verify_tree
from tests.datasets import (
    contents_of,
    public_directory,
    pull,
    state_of,
    unprivileged,
    write_files,
)
from tests.staged import BLOCKS, FILES, MANIFEST, UNIQUE, plain, staging_of, write_all

# ---- targets --------------------------------------------------------------------------------------------------------


def test_a_target_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"mine")
    with pytest.raises(ConflictError, match="is not a directory: pull into a directory"):
        Staging(tmp_path / "t", MANIFEST)
    assert os.listdir(tmp_path) == ["t"]


def test_a_target_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "t").symlink_to("real")
    pull(tmp_path / "t", MANIFEST, BLOCKS)
    assert (tmp_path / "t").is_symlink()
    assert contents_of(tmp_path / "real") == FILES


def test_a_target_with_a_long_name(tmp_path: Path) -> None:
    for name in ("x" * 255, "\u00e9" * 127):
        pull(tmp_path / name, MANIFEST, BLOCKS)
        assert contents_of(tmp_path / name) == FILES
    assert len(os.listdir(tmp_path)) == 2


def test_the_directory_that_one_works_in_stays_the_same(tmp_path: Path) -> None:
    """A shell would go on in the one that was replaced, and see nothing."""
    (tmp_path / "t").mkdir()
    inode = (tmp_path / "t").stat().st_ino
    before = Path.cwd()
    os.chdir(tmp_path / "t")
    try:
        pull(Path(), MANIFEST, BLOCKS)
        assert contents_of(Path()) == FILES
    finally:
        os.chdir(before)
    assert (tmp_path / "t").stat().st_ino == inode
    assert os.listdir(tmp_path) == ["t"]


def test_a_parent_that_is_not_ours_to_write() -> None:
    with public_directory() as root:
        (root / "parent" / "t").mkdir(parents=True)
        (root / "parent" / "t").chmod(0o777)
        (root / "parent").chmod(0o555)
        with unprivileged():
            pull(root / "parent" / "t", MANIFEST, BLOCKS)
            assert contents_of(root / "parent" / "t") == FILES
            with pytest.raises(AetherError, match=r"cannot build .*Permission denied; repair that"):
                Staging(root / "parent" / "new", MANIFEST)


def test_something_else_in_the_place_of_the_staging(tmp_path: Path) -> None:
    path = staging_path(tmp_path / "t", MANIFEST.version)
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AetherError):
        Staging(tmp_path / "t", MANIFEST)
    path.unlink()
    path.write_bytes(b"")
    with pytest.raises(ConflictError, match="is in the way of a pull: remove it"):
        Staging(tmp_path / "t", MANIFEST)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_link_slipped_into_the_staging_leads_nobody_outside(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    write_files(tmp_path / "elsewhere", {"large": b"not to be overwritten", "z": b"nor this"})
    before = state_of(tmp_path / "elsewhere")
    with staging_of(tmp_path / "t") as staging:
        (staging.directory / "a").symlink_to(tmp_path / "elsewhere")
        (staging.directory / "z").symlink_to(tmp_path / "elsewhere" / "z")
        staging.recover()
        for path in ("a/large", "z"):
            index = next(iter(MANIFEST.blocks_of(MANIFEST.find(path) or 0)))[0]
            with pytest.raises(AetherError, match="cannot write"):
                staging.write(index, plain(index))
    assert state_of(tmp_path / "elsewhere") == before


# ---- a full disk ----------------------------------------------------------------------------------------------------


def test_what_came_before_a_limit_was_met_is_kept(tmp_path: Path) -> None:
    """A limit on the size of files is the full disk that every user can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    written: list[int] = []
    with staging_of(tmp_path / "t") as staging:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
        try:
            with pytest.raises(FullError, match=r"cannot write .*free some space, then repeat: what is there is kept"):
                write_all(staging, written)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert 0 < len(written) < len(UNIQUE)
    assert not (tmp_path / "t").exists()
    with staging_of(tmp_path / "t") as staging:
        assert staging.recover() >= set(written)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small filesystem")
def test_a_full_disk_that_is_a_mount_point(tmp_path: Path) -> None:
    """A volume as target: nothing can be renamed into it from beside it, and it is full before the version is there."""
    target = tmp_path / "volume"
    target.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(target)], check=True)
    try:
        with staging_of(target) as staging, pytest.raises(FullError, match="No space left on device"):
            write_all(staging, [])
        assert os.listdir(tmp_path) == ["volume"]
        assert set(os.listdir(target)) == {staging_path(target, MANIFEST.version).name}
        subprocess.run(["mount", "-o", "remount,size=30m", str(target)], check=True)
        assert len(pull(target, MANIFEST, BLOCKS)) < len(UNIQUE)
        assert contents_of(target) == FILES
        assert verify_tree(target, MANIFEST) == []
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: binds a directory")
def test_a_bound_directory_of_the_same_filesystem(tmp_path: Path) -> None:
    """One filesystem, two mounts: nothing can be renamed from one to the other, although the device is the same."""
    (tmp_path / "data").mkdir()
    (tmp_path / "volume").mkdir()
    subprocess.run(["mount", "--bind", str(tmp_path / "data"), str(tmp_path / "volume")], check=True)
    try:
        pull(tmp_path / "volume", MANIFEST, BLOCKS)
    finally:
        subprocess.run(["umount", str(tmp_path / "volume")], check=True)
    assert contents_of(tmp_path / "data") == FILES
    shutil.rmtree(tmp_path / "data")
