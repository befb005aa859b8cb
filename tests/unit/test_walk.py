"""What is found to publish, and the one clear line for what cannot be."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from swarm.errors import AetherError, IncompleteError, NotFoundError, UsageError
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK
from swarm.walk import Links, walk
from tests.datasets import public_directory, unprivileged, write_files
from tests.unit.test_paths import ODD_NAMES


def found(root: Path, links: Links = "refuse") -> dict[str, int]:
    return {item.path: item.kind for item in walk(root, links)}


def test_everything_in_path_order(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {"b": b"", "a/b": b"", "a-b": b"", "a.b": b"", "\u00e9": b"", "Z": b"", "\U0001f30d": b"", "\uffee": b""},
    )
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "l").symlink_to("a/b")
    (tmp_path / "dangling").symlink_to("nowhere")
    items = walk(tmp_path, "refuse")
    paths = [item.path for item in items]
    assert paths == sorted(paths, key=lambda path: path.encode())
    assert found(tmp_path) == {
        **dict.fromkeys(["Z", "a-b", "a.b", "a/b", "b", "\u00e9", "\uffee", "\U0001f30d"], FILE),
        "empty/inner": EMPTY_DIRECTORY,
        "l": SYMLINK,
        "dangling": SYMLINK,
    }
    assert {item.target for item in items if item.kind == SYMLINK} == {"a/b", "nowhere"}


def test_odd_names_are_found(tmp_path: Path) -> None:
    names = [name for name in ODD_NAMES if name != "con"]
    write_files(tmp_path, dict.fromkeys(names, b""))
    assert sorted(found(tmp_path)) == sorted(names)


def test_one_file_is_a_dataset(tmp_path: Path) -> None:
    write_files(tmp_path, {"one.csv": b"1", "two.csv": b"2"})
    assert found(tmp_path / "one.csv") == {"one.csv": FILE}


def test_what_is_not_there_or_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"missing.*No such file or directory; check the path"):
        walk(tmp_path / "missing", "refuse")
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(NotFoundError):
        walk(tmp_path / "dangling", "refuse")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a directory nor a file"):
        walk(tmp_path / "pipe", "refuse")


def test_pipes_sockets_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"pipe.*: it is a socket, pipe or device; remove it"):
        walk(tmp_path, "refuse")
    (tmp_path / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        with pytest.raises(UsageError, match="it is a socket"):
            walk(tmp_path, "follow")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (b"not utf-8 \xff", "not UTF-8"),
        ("not nfc e\u0301".encode(), "normal form C"),
        (b"new\nline " + "e\u0301".encode(), "normal form C"),
    ],
)
def test_names_that_cannot_be_published(tmp_path: Path, name: bytes, why: str) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(b"")
    with pytest.raises(UsageError, match=f"{why}: rename it") as caught:
        walk(tmp_path, "refuse")
    assert "\n" not in str(caught.value)
    assert str(caught.value).encode()
    assert name.split(b" ")[0].decode().split("\n")[0] in str(caught.value)


def test_links_that_leave(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_files(tmp_path, {"outside/file": b"secret", "root/in": b""})
    (root / "absolute").symlink_to(root / "in")
    with pytest.raises(UsageError, match=r"absolute.*outside the directory; remove it, or use --links"):
        walk(root, "refuse")
    (root / "up").symlink_to("../outside")
    (root / "stays").symlink_to("in")
    assert found(root, "skip") == {"in": FILE, "stays": SYMLINK}
    assert found(root, "follow") == {"absolute": FILE, "in": FILE, "stays": SYMLINK, "up/file": FILE}


def test_links_that_leave_by_way_of_others(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_files(tmp_path, {"file": b"secret", "root/d/in": b""})
    (root / "d" / "up").symlink_to("..")
    (root / "d" / "x").symlink_to("up/../file")
    with pytest.raises(UsageError, match="outside the directory"):
        walk(root, "refuse")
    assert found(root, "skip") == {"d/in": FILE, "d/up": SYMLINK}
    assert found(root, "follow") == {"d/in": FILE, "d/up": SYMLINK, "d/x": FILE}


def test_links_inside_what_is_followed_stay_inside_that(tmp_path: Path) -> None:
    """``../in`` is inside the dataset by its text, but not where the link lies."""
    root = tmp_path / "root"
    write_files(tmp_path, {"in": b"other", "outside/file": b"", "root/in": b""})
    (tmp_path / "outside" / "up").symlink_to("../in")
    (tmp_path / "outside" / "here").symlink_to("file")
    (root / "d").symlink_to("../outside")
    assert found(root, "follow") == {"d/file": FILE, "d/here": SYMLINK, "d/up": FILE, "in": FILE}


def test_links_that_cannot_be_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "gone").symlink_to("/nowhere/at/all")
    with pytest.raises(UsageError, match="cannot be followed: No such file"):
        walk(root, "follow")
    (root / "gone").unlink()
    (root / "loop").symlink_to(root)
    with pytest.raises(UsageError, match="goes round in a circle; use --links skip"):
        walk(root, "follow")
    assert found(root, "skip") == {}


def test_what_cannot_be_read_is_named() -> None:
    with public_directory() as root:
        (root / "closed").mkdir(mode=0o000)
        with (
            unprivileged(),
            pytest.raises(AetherError, match=r"cannot read .*closed': Permission denied; make it readable"),
        ):
            walk(root, "refuse")


def test_a_directory_that_a_pull_builds_in_is_not_published(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": b"", ".d.aetherfs-0123456789ab/x": b"", "d/.aetherfs-0123456789ab/x": b"", "d/y": b""})
    assert sorted(found(tmp_path)) == ["a", "d/y"]


def test_it_stops_when_told(tmp_path: Path) -> None:
    write_files(tmp_path, {"a": b""})
    with pytest.raises(IncompleteError, match="was stopped"):
        walk(tmp_path, "refuse", lambda: True)
