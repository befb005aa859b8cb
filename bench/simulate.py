"""A rollout forecast before it is made, then made, in one run: what ``aetherfs simulate`` would say beside what came.

The forecast knows the lines, the version's blocks, and what a pull takes besides moving blocks (``start_s``): that is
measured first, by bringing next to nothing to as many peers. It is the processors of one machine that make most of it,
and in real swarms each peer has its own. How much of them the rollout took is told, and what the forecast would be with
them as one more link (``machine_bytes_per_s``, by the CPU seconds of this round). The verdict is on the first alone.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.compare import BITS, DELAY_S, busy_share, measured
from bench.contenders.ours_swarm import OursSwarm
from bench.payload import make_payload
from bench.report import Tell
from bench.scenarios import Scenario
from bench.swarm import SwarmSettings, run_swarm
from swarm.encoding import encode_block
from swarm.scan import scan
from swarm.sim.forecast import Conditions, Forecast, forecast

WITHIN: Final = 0.20
JUDGED: Final = ("p50", "p95")
RUNS: Final = 3
# Next to nothing: one block of the smallest size.
TINY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure: forecast, with the machine as a link, and measured."""

    name: str
    forecast: float
    with_machine: float
    measured: float

    @property
    def difference(self) -> float:
        """Of the forecast, as a share of the measured."""
        return self.forecast / self.measured - 1

    @property
    def with_machine_difference(self) -> float:
        return self.with_machine / self.measured - 1


def conditions_of(scenario: Scenario) -> Conditions:
    """The lines of a plain scenario or of sites, as a user would describe them."""
    per_s = scenario.peers[0].up_bits_per_s / BITS
    sites = scenario.sites if scenario.wan_bits_per_s else 0
    return Conditions(
        peers=len(scenario.peers),
        link=scenario.wan_bits_per_s / BITS if sites else per_s,
        sites=sites,
        seed_link=scenario.origin.up_bits_per_s / BITS,
        lan=per_s,
        delay_s=DELAY_S,
    )


def sizes_in(folder: Path, size_bytes: int, seed: int) -> list[int]:
    """What the simulator is given of the payload: the manifest's parts and the blocks, as ``aetherfs simulate`` does.

    The payload is made for that and removed.
    """
    payload = make_payload(folder / "told", size_bytes, seed)
    try:
        manifest = scan(payload.directory).manifest
    finally:
        shutil.rmtree(folder / "told")
    parts = [len(encode_block(data)) for data in (manifest.root_bytes, *manifest.segments.values())]
    return [*parts, *(block.size for block in manifest.unique)]


def run_simulate(scenario: Scenario, size_bytes: int, seed: int, folder: Path, tell: Tell) -> dict[str, Any]:
    """Forecast, then one real rollout, then both. BenchError when the rollout failed."""
    conditions, sizes = conditions_of(scenario), sizes_in(folder, size_bytes, seed)
    conditions = msgspec.structs.replace(conditions, start_s=start_s(scenario, conditions, seed, folder, tell))
    told = forecast(sizes, conditions, runs=RUNS)
    tell(f"forecast: p50 {told.p50_s:.2f} s, p95 {told.p95_s:.2f} s, last {told.last_s:.2f} s")
    real = json.loads(run_swarm([OursSwarm()], SwarmSettings(scenario, size_bytes, 1, seed), folder, tell).as_json())
    found = measured(real)
    machine = msgspec.structs.replace(conditions, machine_bytes_per_s=machine_of(real))
    lines = compared(told, forecast(sizes, machine, runs=RUNS), found)
    return {
        **real,
        "conditions": msgspec.to_builtins(conditions),
        "forecast": msgspec.to_builtins(told),
        "machine_bytes_per_s": round(machine.machine_bytes_per_s),
        "busy_share": round(busy_share(real), 3),
        "compared": [told_of(line) for line in lines],
        "within": WITHIN,
        "is_within": all(abs(line.difference) <= WITHIN for line in lines if line.name in JUDGED),
    }


def start_s(scenario: Scenario, conditions: Conditions, seed: int, folder: Path, tell: Tell) -> float:
    """What a pull takes besides moving blocks: the median time of a rollout of next to nothing, without what the lines
    take for it.
    """
    tell("measuring what pulls take besides moving blocks")
    tiny = folder / "tiny"
    tiny.mkdir()
    real = json.loads(run_swarm([OursSwarm()], SwarmSettings(scenario, TINY_BYTES, 1, seed), tiny, tell).as_json())
    moving = forecast(sizes_in(folder, TINY_BYTES, seed), conditions, runs=RUNS)
    return round(max(0.0, measured(real)["p50"] - moving.p50_s), 3)


def machine_of(report: dict[str, Any]) -> float:
    """What the machine's processors carry of such a rollout, in bytes a second, by the CPU seconds that it took."""
    took = [float(entry["cpu_s_per_gb"]) for entry in report["rounds"] if entry["ok"]]
    return 1e9 * (os.cpu_count() or 1) / max(took)


def compared(told: Forecast, with_machine: Forecast, found: dict[str, float]) -> list[Compared]:
    """The figures that both know."""
    names = {"p50": "p50_s", "p95": "p95_s", "last": "last_s", "copies": "origin_copies"}
    return [
        Compared(name, getattr(told, field), getattr(with_machine, field), found[name]) for name, field in names.items()
    ]


def told_of(line: Compared) -> dict[str, Any]:
    """As the report has it."""
    return {
        "figure": line.name,
        "forecast": line.forecast,
        "measured": line.measured,
        "difference": round(line.difference, 4),
        "with_machine": line.with_machine,
        "with_machine_difference": round(line.with_machine_difference, 4),
    }
