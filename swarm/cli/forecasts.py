"""The book of forecasts in the home: kept, and compared with the rollouts that trackers tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swarm.cli.program import Program

if TYPE_CHECKING:
    from swarm.sim.calibration import Book, Kept
    from swarm.sim.simulation import Calibration

BOOK_NAME: Final = "forecasts.json"
KEPT_SHOWN: Final = 20


def _book(program: Program) -> Book:
    from swarm.sim.calibration import read_book

    return read_book(program.home.read_state(BOOK_NAME))


def keep(program: Program, kept: Kept) -> None:
    from swarm.sim.calibration import encode_book, with_forecast

    program.home.write_state(BOOK_NAME, encode_book(with_forecast(_book(program), kept)))


def known_rollouts(program: Program) -> str | None:
    """Look for the rollouts that forecasts still wait for, and note them. Why none could be asked for, if so."""
    return "no tracker was asked for rollouts"


def calibration_of(program: Program, reason: str | None) -> Calibration:
    """The book, and what it says."""
    from swarm.sim.calibration import calibration
    from swarm.sim.simulation import Calibration

    kept = _book(program).kept
    compared = sum(each.is_comparable for each in kept)
    p50, p95, last = (calibration(kept, name) for name in ("p50", "p95", "last"))
    return Calibration(p50, p95, last, compared, kept[-KEPT_SHOWN:], (reason or "") if not compared else "")
