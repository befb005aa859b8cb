"""The directory of a subscription: whole versions, one current, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swarm.errors import AetherError, ConflictError
from swarm.versions import Versions, mask_at

OLD, NEW = b"o" * 32, b"n" * 32


def versions_in(root: Path, *present: bytes) -> Versions:
    versions = Versions(root)
    versions.open()
    for version in present:
        versions.path_of(version).mkdir()
        (versions.path_of(version) / "file").write_bytes(version)
    return versions


def test_current_is_one_version_then_the_other(tmp_path: Path) -> None:
    versions = versions_in(tmp_path / "d", OLD, NEW)
    assert versions.current() is None
    for version in (OLD, NEW, OLD):
        versions.switch(version)
        assert versions.current() == version
        assert (tmp_path / "d" / "current" / "file").read_bytes() == version
    assert sorted(os.listdir(tmp_path / "d")) == ["current", "versions"]
    assert versions.whole() == sorted([OLD, NEW])


def test_who_has_opened_a_version_stays_in_it(tmp_path: Path) -> None:
    versions = versions_in(tmp_path / "d", OLD, NEW)
    versions.switch(OLD)
    opened = os.open(tmp_path / "d" / "current", os.O_RDONLY | os.O_DIRECTORY)
    try:
        versions.switch(NEW)
        with open("file", "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=opened)) as file:
            assert file.read() == OLD
    finally:
        os.close(opened)


@pytest.mark.parametrize("foreign", ["file", "directory", "link", "link within"])
def test_what_is_not_ours_is_not_replaced(tmp_path: Path, foreign: str) -> None:
    versions = versions_in(tmp_path / "d", NEW)
    link = tmp_path / "d" / "current"
    if foreign == "file":
        link.write_text("mine")
    elif foreign == "directory":
        link.mkdir()
    else:
        link.symlink_to("elsewhere" if foreign == "link" else "versions/mine")
    with pytest.raises(ConflictError, match="in the way"):
        versions.open()
    assert os.path.lexists(link)


def test_a_version_that_is_gone_does_not_become_current(tmp_path: Path) -> None:
    versions = versions_in(tmp_path / "d", OLD)
    versions.switch(OLD)
    with pytest.raises(AetherError, match="gone"):
        versions.switch(NEW)
    assert versions.current() == OLD


def test_the_current_version_is_not_removed(tmp_path: Path) -> None:
    versions = versions_in(tmp_path / "d", OLD, NEW)
    versions.switch(NEW)
    with pytest.raises(AetherError, match="is current"):
        versions.remove(NEW)
    versions.remove(OLD)
    versions.remove(OLD)  # Twice is once.
    assert versions.whole() == [NEW]


def test_what_killed_processes_left_is_tidied_away_and_what_is_the_users_is_not(tmp_path: Path) -> None:
    versions = versions_in(tmp_path / "d", OLD, NEW)
    versions.switch(NEW)
    below = tmp_path / "d" / "versions"
    os.rename(versions.path_of(OLD), below / f".{OLD.hex()}.aetherfs-{OLD.hex()[:12]}")  # A removing, broken off.
    (tmp_path / "d" / f".current.aetherfs-{OLD.hex()[:12]}").symlink_to("versions/x")  # A switch, broken off.
    (tmp_path / "d" / "notes").write_text("mine")
    (below / "mine").mkdir()
    versions.tidy()
    assert sorted(os.listdir(tmp_path / "d")) == ["current", "notes", "versions"]
    assert sorted(os.listdir(below)) == sorted([NEW.hex(), "mine"])


def test_a_directory_is_of_one_home(tmp_path: Path) -> None:
    versions = versions_in(tmp_path / "d")
    versions.claim("one", "/homes/one")
    versions.claim("one", "/moved/one")
    with pytest.raises(ConflictError, match="followed by the home '/homes/one'"):
        versions.claim("two", "/homes/two")
    versions.release("two")
    (tmp_path / "d" / ".aetherfs-home").write_text("on")  # Killed while it wrote.
    versions.claim("two", "/homes/two")
    versions.release("two")
    versions.claim("one", "/homes/one")


def test_of_two_homes_that_come_at_once_one_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = versions_in(tmp_path / "d")
    versions.claim("one", "/homes/one")
    look, looks = Versions._owner, iter([True])
    # The other home looks before the first one's mark is there.
    monkeypatch.setattr(Versions, "_owner", lambda self: None if next(looks, False) else look(self))
    with pytest.raises(ConflictError, match="followed by the home '/homes/one'"):
        versions.claim("two", "/homes/two")


def test_only_files_of_a_subscription_are_read_only(tmp_path: Path) -> None:
    versions = versions_in(tmp_path / "d", NEW)
    versions.switch(NEW)
    assert mask_at(tmp_path / "d" / "current", NEW) == 0o555
    assert mask_at(tmp_path / "d" / "current", OLD) == 0o777
    assert mask_at(tmp_path, NEW) == 0o777
