"""What a pull may do to its target.

What is ours goes, what is the user's stays, and nothing is changed before that is clear.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.errors import ConflictError
from swarm.manifest import Manifest
from swarm.segments import FileEntry
from tests.datasets import contents_of, directory_entry, link_entry, manifest_of, pull, state_of, write_files

Version = tuple[dict[str, bytes], list[FileEntry]]

OLD: Version = ({"a": b"old a", "d/b": b"old b", "d/c": b"old c", "s/t/u": b"old u"}, [link_entry("l", "a")])


def materialise(target: Path, version: Version, previous: Manifest | None = None, *, force: bool = False) -> Manifest:
    manifest, blocks = manifest_of(*version)
    pull(target, manifest, blocks, previous, force=force)
    return manifest


# ---- what is ours -------------------------------------------------------------------------------------------------

KINDS: list[Version] = [
    ({"x": b"file"}, []),
    ({"x": b"other file"}, []),
    ({"x": b""}, []),
    ({}, [link_entry("x", "nowhere")]),
    ({}, [link_entry("x", "elsewhere")]),
    ({}, [directory_entry("x")]),
    ({"x/below": b"1"}, []),
    ({"x/below/this": b"1", "x/other": b"2"}, []),
    ({}, [directory_entry("x/below")]),
    ({}, [link_entry("x/below", "this")]),
    ({"y": b"file"}, []),
]


@pytest.mark.parametrize("new", KINDS)
@pytest.mark.parametrize("old", KINDS)
def test_any_version_follows_any_other(tmp_path: Path, old: Version, new: Version) -> None:
    """Whatever stood at a path, the version after it stands there as if it were the first."""
    previous = materialise(tmp_path / "t", old)
    (tmp_path / "t" / "users own").write_bytes(b"mine")
    materialise(tmp_path / "t", new, previous)
    (tmp_path / "t" / "users own").unlink()
    materialise(tmp_path / "fresh", new)
    assert state_of(tmp_path / "t") == state_of(tmp_path / "fresh")
    assert sorted(os.listdir(tmp_path)) == ["fresh", "t"]


def test_what_is_the_same_is_not_touched(tmp_path: Path) -> None:
    target = tmp_path / "t"
    previous = materialise(target, OLD)
    before = {path: (target / path).lstat() for path in [*OLD[0], "l"]}
    materialise(target, (OLD[0] | {"a": b"new a"}, OLD[1]), previous)
    after = {path: (target / path).lstat() for path in before}
    assert {path for path in before if before[path].st_ino != after[path].st_ino} == {"a"}
    assert {path for path in before if before[path].st_ctime_ns != after[path].st_ctime_ns} == {"a"}


def test_users_files_stay(tmp_path: Path) -> None:
    target = tmp_path / "t"
    previous = materialise(target, OLD)
    write_files(target, {"mine": b"1", "d/mine": b"2", "s/t/mine": b"3"})
    (target / "empty").mkdir()
    materialise(target, ({"a": b"new"}, []), previous)
    assert contents_of(target) == {"a": b"new", "mine": b"1", "d/mine": b"2", "s/t/mine": b"3"}
    assert (target / "empty").is_dir()


def test_emptied_directories_go(tmp_path: Path) -> None:
    target = tmp_path / "t"
    previous = materialise(target, OLD)
    materialise(target, ({"a": b"old a"}, []), previous)
    assert os.listdir(target) == ["a"]


def test_an_unknown_target_that_happens_to_hold_the_version(tmp_path: Path) -> None:
    """Without a record of an earlier pull, content alone decides: times and modes are put right."""
    write_files(tmp_path / "t", OLD[0])
    os.chmod(tmp_path / "t" / "a", 0o600)
    os.utime(tmp_path / "t" / "a", ns=(1, 1))
    (tmp_path / "t" / "l").symlink_to("a")
    manifest, blocks = manifest_of(*OLD)
    assert pull(tmp_path / "t", manifest, blocks) == []
    pull(tmp_path / "fresh", manifest, blocks)
    assert state_of(tmp_path / "t") == state_of(tmp_path / "fresh")


# ---- what is the user's -------------------------------------------------------------------------------------------


def alter(path: str) -> Callable[[Path], object]:
    return lambda target: (target / path).write_bytes(b"altered")


def relink(target: Path) -> None:
    (target / "l").unlink()
    (target / "l").symlink_to("d")


def pipe(target: Path) -> None:
    (target / "new").unlink(missing_ok=True)
    os.mkfifo(target / "new")


NEW: Version = ({"a": b"new a", "d/b": b"new b", "new": b"new"}, [link_entry("l", "new")])

FILES_IN_THE_WAY: list[tuple[str, Callable[[Path], object], Version]] = [
    ("an altered file that the version changes", alter("a"), NEW),
    ("an altered file that the version removes", alter("d/c"), NEW),
    ("a file of the user where one comes", lambda t: (t / "new").write_bytes(b"mine"), NEW),
    ("a file of the same size as the one that comes", lambda t: (t / "new").write_bytes(b"min"), NEW),
    ("a link of the user where a file comes", lambda t: (t / "new").symlink_to("a"), NEW),
    ("a pipe where a file comes", pipe, NEW),
    ("an altered link", relink, NEW),
    ("a file of the user where a directory has to be", lambda t: (t / "p").write_bytes(b"m"), ({"p/q": b""}, [])),
    ("a link of the user where a directory has to be", lambda t: (t / "p").symlink_to("d"), ({"p/q": b""}, [])),
    (
        "a file of the user where an empty directory comes",
        lambda t: (t / "e").write_bytes(b""),
        ({}, [directory_entry("e")]),
    ),
]

DIRECTORIES_IN_THE_WAY: list[tuple[str, Callable[[Path], object], Version]] = [
    ("a directory of the user", lambda t: write_files(t, {"new/mine": b"mine"}), NEW),
    ("an empty directory of the user", lambda t: (t / "new").mkdir(), NEW),
    ("a file of the user in a directory of ours", lambda t: write_files(t, {"d/mine": b""}), ({"d": b"file"}, [])),
    ("a link of the user in a directory of ours", lambda t: (t / "d" / "m").symlink_to("/"), ({"d": b"file"}, [])),
    ("an empty directory in one of ours", lambda t: (t / "s" / "t" / "v").mkdir(), ({"s": b"file"}, [])),
    ("an altered file in a directory of ours", alter("d/b"), ({"d": b"file"}, [])),
    ("an altered file in a directory of ours, for a link", alter("d/b"), ({}, [link_entry("d", "x")])),
]


@pytest.mark.parametrize(
    ("put", "version"),
    [case[1:] for case in FILES_IN_THE_WAY + DIRECTORIES_IN_THE_WAY],
    ids=[case[0] for case in FILES_IN_THE_WAY + DIRECTORIES_IN_THE_WAY],
)
def test_nothing_is_changed_when_something_is_in_the_way(
    tmp_path: Path, put: Callable[[Path], object], version: Version
) -> None:
    target = tmp_path / "t"
    previous = materialise(target, OLD)
    put(target)
    before = state_of_all(target)
    with pytest.raises(ConflictError, match=r"'.*': move it|: move it, or pull") as caught:
        materialise(target, version, previous)
    assert "\n" not in str(caught.value)
    assert state_of_all(target) == before
    assert os.listdir(tmp_path) == ["t"]


@pytest.mark.parametrize(
    ("put", "version"), [case[1:] for case in FILES_IN_THE_WAY], ids=[case[0] for case in FILES_IN_THE_WAY]
)
def test_force_overwrites_files(tmp_path: Path, put: Callable[[Path], object], version: Version) -> None:
    target = tmp_path / "t"
    previous = materialise(target, OLD)
    put(target)
    materialise(target, version, previous, force=True)
    materialise(tmp_path / "fresh", version)
    assert state_of(target) == state_of(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("put", "version"),
    [case[1:] for case in DIRECTORIES_IN_THE_WAY[:5]],
    ids=[case[0] for case in DIRECTORIES_IN_THE_WAY[:5]],
)
def test_not_even_force_removes_directories(tmp_path: Path, put: Callable[[Path], object], version: Version) -> None:
    target = tmp_path / "t"
    previous = materialise(target, OLD)
    put(target)
    before = state_of_all(target)
    with pytest.raises(ConflictError):
        materialise(target, version, previous, force=True)
    assert state_of_all(target) == before


def test_a_link_in_the_target_leads_nobody_outside(tmp_path: Path) -> None:
    """``d`` was a directory of ours and is now a link to somewhere else."""
    target = tmp_path / "t"
    previous = materialise(target, OLD)
    os.rename(target / "d", tmp_path / "outside")
    (target / "d").symlink_to(tmp_path / "outside")
    before = state_of(tmp_path / "outside")
    for force in (False, True):
        if not force:
            with pytest.raises(ConflictError):
                materialise(target, NEW, previous)
        else:
            materialise(target, NEW, previous, force=True)
        assert state_of(tmp_path / "outside") == before
    assert not (target / "d").is_symlink()


def state_of_all(target: Path) -> tuple[list[str], dict[str, int]]:
    """Everything below a directory, pipes included, with inode and change time."""
    states = {str(path.relative_to(target)): path.lstat() for path in target.rglob("*")}
    return sorted(states), {path: state.st_ino ^ state.st_ctime_ns for path, state in states.items()}
