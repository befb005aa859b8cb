"""The demo's own comparison and changes: it must see every difference, or it proves nothing."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.cli.demo import place, trees
from swarm.errors import FullError, NotFoundError, UsageError


def _tree(root: Path) -> Path:
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_text("line\n" * 500, encoding="utf-8")
    (root / "sub" / "b.bin").write_bytes(b"\0" * 5000)
    (root / "sub" / "deep" / "c.txt").write_text("other\n" * 50, encoding="utf-8")
    (root / "none.txt").touch()
    return root


def _twins(tmp_path: Path) -> tuple[Path, Path]:
    left = _tree(tmp_path / "left")
    return left, Path(shutil.copytree(left, tmp_path / "right"))


def test_a_faithful_copy_has_no_differences(tmp_path: Path) -> None:
    assert trees.differences(*_twins(tmp_path)) == []


def _touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def _flip(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"X" + path.read_bytes()[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda root: _flip(root / "a.txt"), "a.txt has other bytes"),
        (lambda root: _touch(root / "a.txt"), "a.txt has kind"),
        (lambda root: (root / "a.txt").chmod(0o600), "a.txt has kind"),
        (lambda root: (root / "none.txt").unlink(), "none.txt is missing"),
        (lambda root: (root / "extra").touch(), "extra is extra"),
        (lambda root: (root / "empty").rmdir(), "empty is missing"),
        (lambda root: ((root / "empty").rmdir(), (root / "empty").touch()), "empty has kind"),
        (lambda root: (root / "sub" / "deep" / "c.txt").write_text("", encoding="utf-8"), "sub/deep/c.txt has kind"),
    ],
)
def test_each_difference_is_seen(tmp_path: Path, harm: Callable[[Path], object], said: str) -> None:
    left, right = _twins(tmp_path)
    harm(right)
    found = trees.differences(left, right)
    assert len(found) == 1
    assert found[0].startswith(said)


def test_changes_touch_text_only_and_add_a_file(tmp_path: Path) -> None:
    left, right = _twins(tmp_path)
    changed = trees.change(left)
    assert changed == ["NEW_IN_THE_SECOND_VERSION", "a.txt", "sub/deep/c.txt"]
    found = trees.differences(left, right)
    assert sorted(line.split()[0] for line in found) == changed


def test_a_copy_leaves_out_caches_and_follows_links_to_files(tmp_path: Path) -> None:
    source = _tree(tmp_path / "source")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "x.pyc").touch()
    outside = tmp_path / "outside"
    outside.write_text("outside", encoding="utf-8")
    (source / "link").symlink_to(outside)
    (source / "circle").symlink_to(source)
    (source / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(source / "pipe")
    files, amount = trees.copy(source, tmp_path / "copy")
    names = {path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*")}
    assert names == {"a.txt", "sub", "sub/b.bin", "sub/deep", "sub/deep/c.txt", "none.txt", "empty", "link"}
    assert (tmp_path / "copy" / "link").read_text(encoding="utf-8") == "outside"
    assert (files, amount) == (5, 2500 + 5000 + 300 + 0 + 7)


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        trees.measure(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        trees.measure(tmp_path / "file")


def test_it_happens_in_memory_only_when_there_is_plenty(tmp_path: Path) -> None:
    shared, other = tmp_path / "shared", tmp_path / "other"
    shared.mkdir()
    other.mkdir()
    plenty = 1 << 40
    assert place.choose(1000, None, shared, plenty) == shared
    assert place.choose(1000, str(other), shared, plenty) == other
    assert place.choose(1000, None, tmp_path / "none", plenty) != shared
    assert place.choose(1000, None, shared, 4 * 8 * 1000 - 1) != shared
    with pytest.raises(FullError, match="TMPDIR"):
        place.choose(1 << 60, str(other), shared, plenty)


def test_what_a_killed_demo_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for name in (f"{place.PREFIX}{gone.pid}-x", f"{place.PREFIX}{os.getpid()}-x", f"{place.PREFIX}mine", "other"):
        (tmp_path / name).mkdir()
    made = place.make(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{place.PREFIX}{os.getpid()}-x", f"{place.PREFIX}mine", "other", made.name}


def test_the_default_is_the_running_pythons_library() -> None:
    assert (trees.standard_library() / "json" / "__init__.py").exists()


def test_ports_that_were_given_are_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while nothing listens there."""
    one, draw = place.free_ports(), random.randrange
    draws = iter([one])
    monkeypatch.setattr("random.randrange", lambda *bounds: next(draws, 0) or draw(*bounds))
    other = place.free_ports(11)
    assert next(draws, 0) == 0 and abs(other - one) >= place.RESERVED_PORTS
    for port in range(other, other + 11):
        socket.create_server(("127.0.0.1", port)).close()
