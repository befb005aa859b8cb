"""The same seed prints the same line, in another process and with other hashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "swarm.sim", "--json", "--blocks", "24", "--seed", "7"]


def line(scenario: str, peers: int, hash_seed: str, *more: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [*COMMAND, "--scenario", scenario, "--peers", str(peers), *more]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("scenario", "peers"), [("churn", 20), ("sites", 6), ("slow", 8)])
def test_the_same_seed_prints_the_same_line(scenario: str, peers: int) -> None:
    assert line(scenario, peers, "1") == line(scenario, peers, "2")


@pytest.mark.parametrize("scenario", ["plain", "news"])
def test_the_line_holds_what_is_promised_and_another_seed_prints_another(scenario: str) -> None:
    first, second = (json.loads(text) for text in line(scenario, 6, "0", "--runs", "2").splitlines())
    promised = (
        "peers blocks scenario seed p50_s p95_s p99_s last_s p99_over_bound origin_copies wasted_share violations"
    )
    assert set(promised.split()) <= set(first)
    assert first["seed"] == 7
    assert first != second | {"seed": 7}


def test_sizes_and_rates_are_given_as_to_the_bench_and_one_scenario_stands_beside_another() -> None:
    more = ("--size", "8MiB", "--rate", "50mbit", "--wan", "10mbit", "--against", "plain")
    told = json.loads(line("sites", 6, "0", *more))
    assert told["p50_s"] >= (8 << 20) * 8 / 10e6
    assert told["against"]["scenario"] == "plain"
    assert told["against"]["p50_s"] < (8 << 20) * 8 / 10e6
    assert told["p95_ratio"] == round(told["p95_s"] / told["against"]["p95_s"], 3)
    assert max(told["wan_copies"]) >= 1.0
