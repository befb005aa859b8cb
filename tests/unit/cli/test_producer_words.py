"""What the commands for producers say: which of two things was taken, what is missing, and numbers with their nouns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from swarm.amounts import counted
from swarm.cli.bars import step_words
from swarm.cli.bisect import between
from swarm.cli.diff import _rows, version_or_local
from swarm.cli.explain import _lines, holder_rows
from swarm.cli.output import Output
from swarm.cli.program import Program
from swarm.cli.references import names_path
from swarm.cli.simulation_lines import calibration_lines, lines_told
from swarm.cli.waterfall_page import page_of
from swarm.errors import NotFoundError, UsageError
from swarm.sim.calibration import Actual, Kept
from swarm.sim.forecast import Conditions
from swarm.sim.simulation import Calibration


class Enrolled:
    """A home of a swarm, as far as references are concerned; ``is_in`` says whether."""

    is_in = True

    def check_enrolled(self) -> None:
        if not self.is_in:
            from swarm.errors import NotAllowedError

            raise NotAllowedError("this home is in no swarm")


@pytest.fixture(name="program")
def _program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(tmp_path)
    program = Program({"home": str(tmp_path / "home")})
    return program
