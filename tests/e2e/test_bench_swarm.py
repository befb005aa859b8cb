"""``python -m bench swarm`` in real namespaces: two curls; whatever ends it in the middle leaves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.network import make_network, missing_network
from bench.processes import run_plain
from bench.scenarios import make_scenario
from tests.e2e.harness import DEADLINE_S, wait_for
from tests.house.__main__ import ROOT

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True, scope="module")
def _programs() -> None:
    """On a new machine the first test installs what namespaces take."""
    assert missing_network() is None


def bench_swarm(folder: Path, *arguments: str) -> list[str]:
    options = ["--peers", "2", "--contenders", "nginx+curl", "--folder", str(folder), *arguments]
    return [sys.executable, "-m", "bench", "swarm", *options]


def namespaces(pid: int) -> list[str]:
    return [line for line in run_plain(["ip", "netns", "list"]).splitlines() if line.startswith(f"bench{pid}-")]


def processes(folder: Path) -> list[str]:
    found: list[str] = []
    for path in [entry / "cmdline" for entry in Path("/proc").iterdir() if entry.name.isdigit()]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it may end while we look
            found.append(path.read_bytes().decode(errors="replace"))
    return [command for command in found if str(folder) in command]


def is_fetching(folder: Path) -> bool:
    return any(line.split("\0")[0].endswith("curl") for line in processes(folder))


def test_links_are_shaped_and_offloads_are_off() -> None:
    with make_network(make_scenario("plain", 2, 50_000_000)) as network:
        for host in network.hosts:
            shape = run_plain(host.command("tc", "qdisc", "show", "dev", "eth0"))
            assert "tbf" in shape
            assert "rate 50Mbit burst 32Kb" in shape
            features = run_plain(host.command("ethtool", "-k", "eth0")).splitlines()
            for name in ("tcp-segmentation-offload", "generic-segmentation-offload", "generic-receive-offload"):
                assert f"{name}: off" in [line.strip() for line in features]
    assert namespaces(os.getpid()) == []


def test_two_peers_are_measured_and_nothing_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    folder = tmp_path / "folder"
    folder.mkdir()
    # Processor time is counted in hundredths of a second: less may be none.
    command = bench_swarm(folder, "--size", "8MiB", "--json", str(out))
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        _, errors = process.communicate(timeout=2 * DEADLINE_S)
    assert process.returncode == 0, errors.decode()
    (entry,) = json.loads(out.read_text())["rounds"]
    assert entry["ok"]
    assert all(entry["seconds"])
    # Everything comes from the origin, once for each, and the headers are counted.
    assert 2.0 < entry["origin_copies_interface"] < 2.5
    assert entry["cpu_s_per_gb"] > 0
    assert namespaces(process.pid) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_in_the_middle_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    command = bench_swarm(tmp_path, "--size", "32MiB", "--rate", "8mbit")
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        wait_for("curl runs", lambda: process.poll() is not None or is_fetching(tmp_path))
        assert namespaces(process.pid)
        process.send_signal(number)
        process.wait(DEADLINE_S)
    # By Ctrl-C and SIGTERM it unwinds.
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 1)
    if number == signal.SIGKILL:
        wait_for("the watchdog has removed everything", lambda: not list(tmp_path.iterdir()))
    assert namespaces(process.pid) == []
    assert processes(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
