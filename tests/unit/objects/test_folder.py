"""The folder store beside other processes that use the same folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swarm.objects.folder import TEMPORARY, FolderObjectStore


def test_a_file_that_another_process_has_just_renamed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter([folder / "gone"]))
    FolderObjectStore(tmp_path).put("a", b"1")


def test_what_a_dead_process_left_is_cleared_away(tmp_path: Path) -> None:
    FolderObjectStore(tmp_path)
    for name, age_s in (("old", 100_000), ("young", 10)):
        (tmp_path / TEMPORARY / name).touch()
        os.utime(tmp_path / TEMPORARY / name, (os.stat(tmp_path).st_mtime - age_s,) * 2)
    FolderObjectStore(tmp_path)
    assert [file.name for file in (tmp_path / TEMPORARY).iterdir()] == ["young"]
