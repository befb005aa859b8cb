"""What pulls take besides moving blocks, by their traces."""

from __future__ import annotations

import pytest

from swarm.peer.trace import MANIFEST_BLOCK, BlockSpan, PullTrace
from swarm.sim.forecast import Conditions, forecast
from swarm.sim.starting import start_of


def trace(seconds: float, *blocks: tuple[int, float, float], problem: str = "") -> PullTrace:
    spans = tuple(BlockSpan(index, 0, asked, asked, stored, stored, stored) for index, asked, stored in blocks)
    return PullTrace(1, "x/t:a", "x/t", bytes(32), "/d", 0.0, seconds, problem, 1, 0, 0.0, (), (), (), (), spans, 0)


def test_it_is_the_median_of_pulls_that_fetched() -> None:
    whole = trace(10.0, (MANIFEST_BLOCK, 0.1, 0.2), (0, 0.5, 2.0), (1, 0.6, 9.0))
    assert start_of([whole]) == 1.5
    others = [trace(3.0, (0, 1.0, 2.0)), trace(9.0, (0, 0.0, 9.0)), trace(99.0, problem="lost"), trace(5.0)]
    assert start_of([whole, *others]) == 1.5
    assert start_of(others[2:]) is None


def test_a_forecast_has_it_before_all_else() -> None:
    sizes = [300_000] * 8
    without = forecast(sizes, Conditions(peers=2, link=1e6), runs=1)
    with_start = forecast(sizes, Conditions(peers=2, link=1e6, start_s=2.0), runs=1)
    assert with_start.bound_s == without.bound_s
    assert with_start.p50_s == pytest.approx(without.p50_s + 2.0, abs=0.002)
    assert with_start.curve[0][0] == pytest.approx(without.curve[0][0] + 2.0, abs=0.002)
