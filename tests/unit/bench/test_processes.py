"""What processes cost is read from the kernel, and they end with the measurement."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from bench.debian import missing_program
from bench.payload import holds, make_payload
from bench.processes import (
    BenchError,
    Meter,
    Standing,
    cpu_seconds,
    forget_peaks,
    peak_rss_bytes,
    run_measured,
    run_plain,
)

BURN = "import time\nwhile time.process_time() < 0.3: pass"
READY = f"{BURN}\nprint('ready', flush=True); time.sleep(600)"
GROWN = "import sys, time; x = b'x' * (64 << 20); del x; print('ready', flush=True); time.sleep(600)"


def test_the_cpu_time_of_a_command_is_its_own(tmp_path: Path) -> None:
    spent = run_measured([sys.executable, "-c", BURN], tmp_path / "errors", None, timeout_s=60)
    assert spent.exit_code == 0
    assert spent.cpu_s >= 0.3
    assert spent.seconds >= 0.3


def test_a_command_past_its_deadline_is_killed(tmp_path: Path) -> None:
    spent = run_measured([sys.executable, "-c", READY], tmp_path / "errors", None, timeout_s=0.2)
    assert spent.exit_code == -9


def test_a_standing_process_is_ended_with_its_context(tmp_path: Path) -> None:
    with Standing([sys.executable, "-c", READY], tmp_path / "log") as standing:
        assert standing.wait_line(60) == "ready\n"
        assert standing.pids() == [standing.process.pid]
        assert cpu_seconds(standing.pids()) > 0
    assert standing.process.returncode == -15


def test_a_process_that_is_not_ready_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('the port is taken')"]
    with Standing(command, tmp_path / "log") as standing, pytest.raises(BenchError, match="the port is taken"):
        standing.wait_line(60)


def test_children_are_counted_with_their_parent(tmp_path: Path) -> None:
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {READY!r}])"
    with Standing([sys.executable, "-c", script], tmp_path / "log") as standing:
        standing.wait_line(60)
        parent, child = standing.pids()
        assert parent == standing.process.pid
        # Only the child burns. The kernel tells it in ticks of a hundredth.
        assert cpu_seconds([parent, child]) - cpu_seconds([parent]) >= 0.25


def test_a_peak_before_the_clock_is_forgotten(tmp_path: Path) -> None:
    with Standing([sys.executable, "-c", GROWN], tmp_path / "log") as standing:
        standing.wait_line(60)
        pid = standing.process.pid
        assert peak_rss_bytes(pid) > 64 << 20
        forget_peaks([pid])
        assert peak_rss_bytes(pid) < 64 << 20


def test_a_plain_command_that_fails_raises_with_its_last_line() -> None:
    with pytest.raises(BenchError, match="no such thing"):
        run_plain([sys.executable, "-c", "import sys; sys.exit('no such thing')"])


def test_a_program_that_is_not_there_is_named_with_its_package() -> None:
    why = missing_program("no-such-program", "some-package", is_root=False)
    assert why is not None
    assert "needs root" in why
    assert "some-package" in why
    assert missing_program("sh", "dash", is_root=False) is None


def test_the_payload_follows_from_its_seed(tmp_path: Path) -> None:
    first = make_payload(tmp_path / "a", 100_000, seed=1)
    again = make_payload(tmp_path / "b", 100_000, seed=1)
    other = make_payload(tmp_path / "c", 100_000, seed=2)
    assert first.sha256 == again.sha256 != other.sha256
    assert holds(again.file, first)
    assert not holds(other.file, first)
    assert not holds(tmp_path / "nothing", first)


def test_a_child_that_a_thread_started_belongs_to_the_family(tmp_path: Path) -> None:
    start = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=subprocess.DEVNULL)"
    code = f"""
import subprocess, sys, threading, signal, os
children = []
started = threading.Event()
def work():
    children.append({start})
    started.set()
    threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
started.wait()
signal.signal(signal.SIGTERM, lambda *_: (children[0].kill(), children[0].wait(), os._exit(0)))
print(children[0].pid, flush=True)
signal.pause()
"""
    with Standing([sys.executable, "-c", code], tmp_path / "log") as standing:
        child = int(standing.wait_line(60))
        assert standing.pids() == [standing.process.pid, child]


def test_an_interrupted_end_leaves_no_process(tmp_path: Path) -> None:
    # The signal comes when the process is asked to end, which it does not: at no other time.
    answers = "lambda *_: os.kill(os.getppid(), signal.SIGALRM)"
    deaf = f"import os, signal, time; signal.signal(signal.SIGTERM, {answers}); print('deaf', flush=True)"
    standing = Standing([sys.executable, "-c", f"{deaf}; time.sleep(600)"], tmp_path / "log")
    standing.wait_line(60)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), standing:
            pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert standing.process.returncode == -signal.SIGKILL


def test_a_meter_counts_a_child_that_came_and_went(tmp_path: Path) -> None:
    burn = f"import subprocess, sys; print('ready', flush=True); sys.stdin = open({str(tmp_path / 'go')!r}); "
    burn += f"sys.stdin.read(); subprocess.run([sys.executable, '-c', {BURN!r}]); print('over', flush=True); "
    os.mkfifo(tmp_path / "go")
    with Standing([sys.executable, "-c", burn + "import time; time.sleep(600)"], tmp_path / "log") as standing:
        standing.wait_line(60)
        meter = Meter([standing.process.pid])
        (tmp_path / "go").write_text("go")
        standing.wait_line(60)
        meter.sample()
        # It burns 0.3 s, which the kernel tells in ticks of a hundredth.
        assert meter.cpu_s() >= 0.25
        assert meter.peak_rss_bytes > 1 << 20
