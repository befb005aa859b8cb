"""A report names the commit that it was measured with, and says when the files were not that commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.provenance import commit


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", "-C", str(root), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_and_whether_the_files_are_it(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    assert commit(tmp_path) is None
    (tmp_path / "bench/results").mkdir(parents=True)
    for name in ("code.py", "bench/results/report.json"):
        (tmp_path / name).write_text("first")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "bench/results/report.json").write_text("measured anew")
    (tmp_path / "notes").write_text("untracked")
    assert commit(tmp_path) == head
    (tmp_path / "code.py").write_text("second")
    assert commit(tmp_path) == f"{head}+changes"


def test_a_folder_inside_a_foreign_repository_has_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "foreign")
    (tmp_path / "installed").mkdir()
    assert commit(tmp_path) is not None
    assert commit(tmp_path / "installed") is None
