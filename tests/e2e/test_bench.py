"""``python -m bench pair`` and ``small`` as a user types them, on small payloads; nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.house.__main__ import ROOT


def run_bench(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = tmp_path / "folder"
    folder.mkdir()
    command = [sys.executable, "-m", "bench", *arguments, "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert list(folder.iterdir()) == []
    return done


def check_report(path: Path, contender: str) -> None:
    report = json.loads(path.read_text())
    assert report["missing"] == []
    (entry,) = report["rounds"]
    assert entry["contender"] == contender
    assert entry["origin_copies_interface"] >= 1.0
    assert set(report["settings"]["contenders"][contender]) >= {"version", "encryption"}
    assert entry["ok"]
    assert report["settings"]["size_bytes"] == 4 * 1024**2


def test_ours_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = run_bench(tmp_path, "pair", "--size", "4MiB", "--contenders", "ours", "--rounds", "1", "--json", str(out))
    assert done.returncode == 0, done.stderr
    check_report(out, "ours")
    assert json.loads(out.read_text())["rounds"][0]["origin_copies"] == 1.0


@pytest.mark.root
@pytest.mark.parametrize("name", ["nginx+curl", "curl"])
def test_curl_is_measured_and_its_packages_are_installed(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.json"
    done = run_bench(tmp_path, "pair", "--size", "4MiB", "--contenders", name, "--rounds", "1", "--json", str(out))
    assert done.returncode == 0, done.stderr
    check_report(out, "nginx+curl")


def test_ours_is_measured_with_small_files(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--files", "250", "--size", "1KiB", "--contenders", "ours", "--rounds", "1", "--json", str(out)]
    done = run_bench(tmp_path, "small", *arguments)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    (entry,) = report["rounds"]
    assert entry["ok"]
    assert entry["publish_s"] > 0
    assert entry["pull_s"] > 0
    assert (report["settings"]["files"], report["settings"]["size_bytes"]) == (250, 1024)


@pytest.mark.root
def test_syncthing_is_measured_with_small_files(tmp_path: Path) -> None:
    done = run_bench(tmp_path, "small", "--files", "250", "--contenders", "syncthing", "--rounds", "1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["pair", "small", "swarm"])
def test_an_unknown_contender_is_a_usage_error(tmp_path: Path, command: str) -> None:
    done = run_bench(tmp_path, command, "--contenders", "carrier-pigeon")
    assert done.returncode == 2
    assert "carrier-pigeon" in done.stderr


def test_the_origin_is_measured_on_a_real_server(tmp_path: Path) -> None:
    out, began = tmp_path / "out.json", time.time()
    done = run_bench(
        tmp_path, "origin", "--size", "8MiB", "--peers", "2", "--seeds", "1", "--rounds", "1", "--json", str(out)
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    (entry,) = report["rounds"]
    hours = time.time() // 3600 - began // 3600
    assert sum(kind["bytes"] for kind in report["settings"]["files"].values()) == 8 * 1024**2
    for name in ("alone", "publish"):
        assert 0 < entry[name]["received_bytes"] < 9 * 1024**2
        # A lease, one pack, one index, a claim, the dataset's mark, an entry of its log; and what a tracker writes by
        # its own clock: each five seconds at most where it is, whom joiners may begin from, a page of the audit; each
        # minute a page of events, and of two hours where one ends.
        seconds = entry[name]["seconds"]
        assert entry[name]["puts"] <= 6 + 3 * (1 + (seconds + 1) // 5) + 1 + hours + (seconds + 1) // 60, entry
        assert entry[f"{name}_again"]["received_bytes"] < 10_000
    # One seed reads what is stored about once, whoever asks.
    assert 0.9 < entry["cold"]["get_bytes_of_stored"] < 1.1
