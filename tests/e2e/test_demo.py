"""The demo: it passes, it fails when it should, and it leaves nothing behind, also on Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.e2e.harness import Bench


def _source(root: Path) -> Path:
    for folder in range(4):
        (root / f"folder-{folder}").mkdir(parents=True)
        (root / f"folder-{folder}" / "text.txt").write_text(f"line {folder}\n" * 30_000, encoding="ascii")
        (root / f"folder-{folder}" / "large.bin").write_bytes(os.urandom(2_000_000))
    (root / "empty").mkdir()
    return root


def test_it_passes_and_cleans_up(bench: Bench) -> None:
    source = _source(bench.folder / "source")
    before = sorted(path.read_bytes() for path in source.rglob("*") if path.is_file())
    done = bench.run("nobody", "demo", str(source), "--json")
    assert done.exit_code == 0, done.stderr
    summary = done.json
    assert summary["ok"] is True
    assert summary["seconds"] < 60
    assert len(summary["checks"]) >= 13
    assert all(check["ok"] for check in summary["checks"])
    assert len(summary["rounds"]) == 3
    assert sorted(path.read_bytes() for path in source.rglob("*") if path.is_file()) == before
    assert bench.left_over() == []
    assert list((bench.folder / "temporary").iterdir()) == []
    assert not bench.home("nobody").exists()


def test_ctrl_c_ends_every_process(bench: Bench) -> None:
    process = bench.spawn("nobody", "demo", str(_source(bench.folder / "source")))
    assert process.stdout is not None
    for line in process.stdout:
        if b"all are ready" in line:
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.decode().count("\n") == 1
    assert bench.left_over() == []
    assert list((bench.folder / "temporary").iterdir()) == []


def test_even_kill_9_leaves_no_process(bench: Bench) -> None:
    process = bench.spawn("nobody", "demo", str(_source(bench.folder / "source")))
    assert process.stdout is not None
    for line in process.stdout:
        if b"all are ready" in line:
            break
    process.kill()
    process.communicate(timeout=60)
    assert bench.left_over() == []


def test_what_cannot_be_shown(bench: Bench) -> None:
    assert "is not there" in bench.refused(3, "nobody", "demo", str(bench.folder / "none"))
    file = bench.folder / "file"
    file.touch()
    assert "not a directory" in bench.refused(2, "nobody", "demo", str(file))


def test_a_failure_is_told_as_json_too(bench: Bench) -> None:
    done = bench.run("nobody", "demo", str(bench.folder / "none"), "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["exit_code"] == 3
