"""The book of forecasts in the home: kept, and compared with the rollouts that trackers tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from swarm.cli.program import Program
from swarm.errors import AetherError

if TYPE_CHECKING:
    from swarm.local_agent import AgentClient
    from swarm.sim.calibration import Actual, Book, Kept
    from swarm.sim.forecast import Conditions, Forecast
    from swarm.sim.simulation import Calibration
    from swarm.stats_messages import PublishTold

BOOK_NAME: Final = "forecasts.json"
KEPT_SHOWN: Final = 20
# Datasets of which rollouts are asked for.
ASKED_MAX: Final = 32


def _book(program: Program) -> Book:
    from swarm.sim.calibration import read_book

    return read_book(program.home.read_state(BOOK_NAME))


def keep(program: Program, kept: Kept) -> None:
    from swarm.sim.calibration import encode_book, with_forecast

    program.home.write_state(BOOK_NAME, encode_book(with_forecast(_book(program), kept)))


def learn_rollouts(program: Program, agent: AgentClient, *, again: bool = False) -> str:
    """Ask for the rollouts of the latest forecasts that wait for one, with ``again`` of all, and note those that ended.
    Why there were none; empty if some could be asked for.
    """
    from swarm.sim.calibration import asked_for, encode_book, with_actual
    from swarm.stats_messages import Stats

    book, reason = _book(program), ""
    for dataset in asked_for(book, ASKED_MAX, again=again):
        try:
            told = msgspec.convert(agent.call("stats", {"ref": dataset}, lambda report: None), Stats)
        except AetherError as error:
            reason = str(error)
            continue
        reason = told.reasons.get("rollouts", reason)
        for publish in told.publishes:
            actual = actual_of(publish)
            if actual is not None:
                book = with_actual(book, dataset, publish.version, actual)
    if book != _book(program):
        program.home.write_state(BOOK_NAME, encode_book(book))
    return reason


def tell_trackers(agent: AgentClient, kept: Kept, told: Forecast) -> str:
    """Leave the forecast with the trackers, whose dashboard shows it beside what comes. Why not, if it could not be."""
    from swarm.figure_performance import CURVE_MAX, Foreseen

    lines = kept.conditions
    foreseen = Foreseen(
        peers=lines.peers,
        sites=lines.sites,
        link_bytes_per_s=lines.link,
        fetch_bytes=kept.fetch_bytes,
        p50_s=kept.p50_s,
        p95_s=kept.p95_s,
        last_s=kept.last_s,
        curve=thinned(told.curve, CURVE_MAX),
    )
    arguments = {"dataset": kept.dataset, "version": kept.version, "forecast": msgspec.to_builtins(foreseen)}
    try:
        agent.call("foreseen", arguments, lambda report: None)
    except AetherError as error:
        return f"it is kept here, but no dashboard will show it: {error}"
    return ""


def thinned(curve: tuple[tuple[float, int], ...], most: int) -> tuple[tuple[float, int], ...]:
    """At most so many points of it, the first and the last among them."""
    kept = curve[:: max(1, -(-len(curve) // (most - 1)))]
    return kept if kept[-1:] == curve[-1:] else (*kept, curve[-1])


def actual_of(publish: PublishTold) -> Actual | None:
    """A rollout that has ended, as the book keeps it."""
    from swarm.sim.calibration import Actual

    rollout = publish.rollout
    if rollout is None or rollout.ended is None or not rollout.current:
        return None
    took = rollout.completion
    return Actual(publish.at, rollout.current, took.p50_s, took.p95_s, took.last_s)


def calibration_of(program: Program, reason: str) -> Calibration:
    """The book, and what it says."""
    from swarm.sim.calibration import calibration
    from swarm.sim.simulation import Calibration

    kept = _book(program).kept
    compared = sum(each.is_comparable for each in kept)
    p50, p95, last = (calibration(kept, name) for name in ("p50", "p95", "last"))
    return Calibration(p50, p95, last, compared, kept[-KEPT_SHOWN:], "" if compared else reason)


def calibrated(program: Program, told: Forecast, conditions: Conditions) -> tuple[float | None, float | None, int]:
    """p50 and p95 if this rollout fared as earlier ones that were forecast to be about as long, over such lines if
    there are any, and of how many these are; None without any.
    """
    from swarm.sim.calibration import alike, calibration, over_such_lines

    near = over_such_lines(alike(_book(program).kept, "p95", told.p95_s), conditions)
    p50, p95 = calibration(near, "p50"), calibration(near, "p95")
    if not p50 or not p95:
        return None, None, 0
    return round(told.p50_s * p50, 3), round(told.p95_s * p95, 3), len(near)
