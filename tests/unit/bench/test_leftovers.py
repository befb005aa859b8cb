"""What a dead run left is removed, of a live one nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.leftovers import remove_dead, scratch_folder
from tests.e2e.harness import wait_for

# A run: it has a folder, in which a process of its own writes a log; that process would never end by itself.
RUN = """
import subprocess, sys, time
from pathlib import Path
from bench.leftovers import scratch_folder

with scratch_folder(Path(sys.argv[1])) as folder:
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def start(parent: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A run under way, and its process."""
    parent.mkdir()
    run = subprocess.Popen([sys.executable, "-c", RUN, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stdout is not None
    return run, int(run.stdout.readline())


def watchdog_of(run: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return next(pid for pid, command in commands.items() if b"bench.leftovers" in command)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def until_ended(pid: int) -> None:
    """One that was killed has closed its files a moment before it has ended."""
    wait_for(f"process {pid} ends", lambda: not is_running(pid))


def wait(run: subprocess.Popen[bytes]) -> None:
    """Until it has ended, and its watchdog, which holds the same standard output."""
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.close()
    run.stdout.read()
    run.stdout.close()
    run.wait()


def test_a_run_that_is_killed_is_cleaned_up_after_at_once(tmp_path: Path) -> None:
    run, child = start(tmp_path / "run")
    run.kill()
    wait(run)
    until_ended(child)
    assert list((tmp_path / "run").iterdir()) == []
    assert list((tmp_path / "cache/aetherfs-bench/runs").iterdir()) == []


def test_a_run_that_ends_leaves_nothing_either(tmp_path: Path) -> None:
    run, child = start(tmp_path / "run")
    wait(run)
    assert run.returncode == 0
    until_ended(child)
    assert list((tmp_path / "run").iterdir()) == []
    assert list((tmp_path / "cache/aetherfs-bench/runs").iterdir()) == []


def test_the_next_run_removes_what_a_dead_one_left_and_leaves_a_live_one_alone(tmp_path: Path) -> None:
    """Run and watchdog die together, as when the machine's memory ends."""
    (dead, left), (live, own) = start(tmp_path / "dead"), start(tmp_path / "live")
    for pid in (watchdog_of(dead), dead.pid):
        subprocess.run(["kill", f"-{signal.SIGKILL:d}", str(pid)], check=True)
    wait(dead)
    assert is_running(left)
    assert list((tmp_path / "dead").iterdir())
    with scratch_folder(tmp_path):
        until_ended(left)
        assert list((tmp_path / "dead").iterdir()) == []
        assert is_running(own)
        assert list((tmp_path / "live").iterdir())
    assert live.poll() is None
    wait(live)
    until_ended(own)


def test_a_record_that_is_locked_is_left_alone(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        remove_dead(tmp_path / "cache/aetherfs-bench/runs")
        assert folder.is_dir()
    assert not folder.exists()
