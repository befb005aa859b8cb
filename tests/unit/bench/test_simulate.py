"""Forecasts beside what came: what is asked of the real command, who used the processors, and the verdict."""

from __future__ import annotations

import pytest

from bench.processes import TICKS_PER_S, spent_between
from bench.scenarios import Scenario, make_scenario
from bench.simulate import Rollout, SimulateReport, Times, options_of
from swarm.cli.program import Program
from swarm.cli.simulate import conditions_of, simulate
from swarm.sim.forecast import Conditions

CAME = Times(10.0, 12.0)


def rollout(forecast: Times, calibrated: Times | None = None, own: float = 0.5) -> Rollout:
    return Rollout(forecast, calibrated, int(calibrated is not None), None, CAME, CAME, 0.0, own, 0.1, 30.0)


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (make_scenario("plain", 16, 50_000_000), Conditions(16, 6.25e6, seed_link=6.25e6, delay_s=0.0005)),
        (
            make_scenario("sites", 15, 1_500_000),
            Conditions(15, 1.25e6, sites=3, seed_link=187_500.0, lan=25e6, delay_s=0.0005),
        ),
    ],
)
def test_the_command_is_told_the_lines_that_are_made(scenario: Scenario, expected: Conditions) -> None:
    given = simulate.make_context("simulate", ["x/y:z", "--start", "0", *options_of(scenario)]).params
    assert conditions_of(Program(), given) == expected


def test_it_is_judged_by_the_figure_that_is_further_off() -> None:
    assert Times(11.0, 12.0).off(CAME) == pytest.approx(0.1)
    assert Times(11.0, 9.0).off(CAME) == pytest.approx(-0.25)


def test_each_forecast_has_to_be_within_the_bound_corrected_or_not() -> None:
    report = SimulateReport({}, {}, [rollout(Times(9.0, 11.0))])
    assert report.is_within == {"forecast": True} and report.is_good
    report.rollouts.append(rollout(Times(10.0, 12.0), Times(9.0, 11.0)))
    assert report.is_within == {"forecast": True, "calibrated": True} and report.is_good
    report.rollouts.append(rollout(Times(7.0, 8.4), Times(9.0, 11.0)))
    assert report.is_within == {"forecast": False, "calibrated": True} and not report.is_good
    report.rollouts[-1] = rollout(Times(10.0, 12.0), Times(10.0, 15.0))
    assert report.is_within == {"forecast": True, "calibrated": False} and not report.is_good
    assert not SimulateReport({}, {}).is_good


def test_a_report_says_how_far_off_each_was_and_whether_processors_were_waited_for() -> None:
    told = rollout(Times(9.0, 12.0), own=0.9).as_object()
    assert (told["forecast_off"], told["waited_for_processors"]) == (-0.1, True)
    assert "calibrated_off" not in told and not rollout(CAME).has_waited


def test_time_of_processors_is_idle_or_somebodys() -> None:
    before, after = "cpu  100 0 50 1000 10 0 30 5 7 0", "cpu  300 0 150 1300 20 0 80 15 107 0"
    assert spent_between(before, after) == (360 / TICKS_PER_S, 670 / TICKS_PER_S)
