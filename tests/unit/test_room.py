"""Room for large files: made before their bytes, refused before any, and never in the way of what a try left."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from pathlib import Path

import pytest

from swarm import room
from swarm.errors import FullError
from swarm.room import make_room
from swarm.staging import ROOM_FROM_BYTES
from tests.datasets import manifest_of, seeded
from tests.staged import staging_of

LARGE = seeded("large", ROOM_FROM_BYTES + 1000)
MANIFEST, BLOCKS = manifest_of({"large": LARGE})


def test_the_first_block_makes_room_for_all(tmp_path: Path) -> None:
    with staging_of(tmp_path / "out", MANIFEST) as staging:
        staging.recover()
        staging.write(3, BLOCKS[MANIFEST.unique[3].signature])
        status = (staging.directory / "large").stat()
        assert status.st_size == len(LARGE)
        assert status.st_blocks * 512 >= len(LARGE)


def test_room_holds_no_block(tmp_path: Path) -> None:
    with staging_of(tmp_path / "out", MANIFEST) as staging:
        staging.recover()
        staging.write(3, BLOCKS[MANIFEST.unique[3].signature])
    with staging_of(tmp_path / "out", MANIFEST) as staging:
        assert staging.recover() == {3}


def test_a_disk_without_room_is_said_before_a_byte_is_written(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with staging_of(tmp_path / "out", MANIFEST) as staging:
        staging.recover()
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(LARGE) - 1, before[1]))
        try:
            with pytest.raises(FullError, match="free some space"):
                staging.write(0, BLOCKS[MANIFEST.unique[0].signature])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (staging.directory / "large").stat().st_size == 0
        staging.write(0, BLOCKS[MANIFEST.unique[0].signature])


def test_what_a_file_holds_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"here before")
    descriptor = os.open(path, os.O_RDWR)
    try:
        make_room(descriptor, 100_000)
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b"here before".ljust(100_000, b"\0")


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOSYS, errno.EINTR])
def test_a_filesystem_that_makes_no_room_is_no_failure(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(room, "_fallocate", fail)
    make_room(0, 1)
    monkeypatch.setattr(room, "_fallocate", None)
    make_room(0, 1)
