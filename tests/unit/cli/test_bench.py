"""What a machine can do beside what a publish reached, and which stage is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.cli import ceilings
from swarm.cli.bottleneck import bottleneck
from swarm.cli.main import main

RATES = {"read, cut and hash": 500e6, "compress": 300e6, "tls": 600e6, "disk write": 400e6}


def publish(**stages: tuple[float, int]) -> dict[str, Any]:
    told = {name: {"seconds": seconds, "bytes": size} for name, (seconds, size) in stages.items()}
    return {"dataset": "library/d", "at": 0, "bytes": 10**9, "seconds": 10.0, "held_up_s": 0.0, "stages": told}


def test_the_stage_that_was_at_work_longest_is_named() -> None:
    told = bottleneck(RATES, publish(read=(2.0, 10**9), compress=(3.0, 10**9), send=(9.0, 10**9)), 2)
    assert "held up most by sending to the seed (90% of the time): 111 MB/s" in told
    assert "the line or the seed holds it up" in told
    told = bottleneck(RATES, publish(read=(9.0, 4 * 10**9), send=(5.0, 10**9)), 2)
    assert "reading, cutting and hashing" in told
    assert "this machine is the limit" in told


def test_reading_that_waits_for_the_rest_is_not_to_blame_and_compressing_is_shared_by_threads() -> None:
    held_up = publish(read=(9.0, 10**9), compress=(6.0, 10**9), send=(4.0, 10**9)) | {"held_up_s": 8.0}
    assert "sending to the seed" in bottleneck(RATES, held_up, 2)
    assert "compressing" in bottleneck(RATES, held_up, 1)


def test_round_trips_have_no_rate() -> None:
    assert "round trips" in bottleneck(RATES, publish(read=(0.1, 10**6), commit=(5.0, 0)), 2)


def test_without_a_publish_the_slowest_of_the_machine_is_named() -> None:
    assert "slowest at: compress, 300 MB/s" in bottleneck(RATES, None, 2)


def test_the_command_measures_everything_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ceilings, "MEASURED_S", 0.01)
    monkeypatch.setattr(ceilings, "SAMPLE_BYTES", 2 * 1024 * 1024)
    monkeypatch.setattr(ceilings, "DISK_BYTES", 2 * 1024 * 1024)
    assert main(["bench", "--home", str(tmp_path / "home"), "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = [ceiling["name"] for ceiling in told["ceilings"]]
    assert names == ["cut", "hash", "compress", "tls", "disk write", "disk read", "read, cut and hash"]
    assert all(ceiling["bytes_per_s"] > 0 for ceiling in told["ceilings"])
    assert told["last_publish"] is None
    assert list((tmp_path / "home").iterdir()) == []
