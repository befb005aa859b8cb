"""The trace of a run adds up to what the run says."""

from __future__ import annotations

import io
import json

from swarm.sim.links import MBIT
from swarm.sim.run import simulate
from swarm.sim.scenarios import Settings
from swarm.sim.trace import EVERY_S

SETTINGS = Settings(peers=6, blocks=60, seed=3, neighbours=24, rate=50 * MBIT, tick_s=0.1)


def test_a_trace_tells_what_every_class_did_and_changes_nothing() -> None:
    out = io.StringIO()
    traced, plain = simulate("plain", SETTINGS, trace=out), simulate("plain", SETTINGS)
    assert traced.last_s == plain.last_s
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == int(plain.last_s / EVERY_S)
    assert all(0.0 <= used <= 1.001 for line in lines for used in line["used"].values())
    assert all(sum(line["idle"]["50/50"].values()) <= 1.001 for line in lines)
    held = [line["held"]["1"] for line in lines]
    assert held == sorted(held)
    assert held[-1] == 60
