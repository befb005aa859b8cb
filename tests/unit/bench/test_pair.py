"""A pair is measured from commands alone: copies that are right, wrong, absent, and a contender that cannot run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import Pull
from bench.pair import PairSettings, run_pair
from bench.payload import Payload
from bench.processes import BenchError
from bench.report import Report, Round

SIZE_BYTES = 3 * 1024**2 + 17
COPY = "import sys, pathlib as p; t = p.Path(sys.argv[2]); t.mkdir(); (t / 'payload.bin').write_bytes({expression})"


@dataclass(frozen=True, slots=True)
class Copying:
    """A contender that copies the file with a command of its own; ``expression`` is what arrives."""

    expression: str
    name: str = "copying"
    protection: str = "none"
    why: str | None = None

    def missing(self) -> str | None:
        return self.why

    @contextmanager
    def origin(self, payload: Payload, folder: Path) -> Iterator[CopyingEnd]:
        yield CopyingEnd(self.expression, payload)


@dataclass(frozen=True, slots=True)
class CopyingEnd:
    """Both ends; nothing stands."""

    expression: str
    payload: Payload

    def pids(self) -> list[int]:
        return []

    @contextmanager
    def consumer(self, folder: Path) -> Iterator[CopyingEnd]:
        if self.expression == "refuse":
            raise BenchError("it does not want to join")
        yield self

    def pull(self, directory: Path) -> Pull:
        script = COPY.format(expression=self.expression)
        return Pull([sys.executable, "-c", script, str(self.payload.file), str(directory)], directory / "payload.bin")


def measured(tmp_path: Path, *contenders: Copying, rounds: int = 1) -> tuple[Report[Round], list[str]]:
    told: list[str] = []
    report = run_pair(contenders, PairSettings(SIZE_BYTES, rounds, seed=7), tmp_path, told.append)
    return report, told


def test_a_right_copy_is_measured(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying("p.Path(sys.argv[1]).read_bytes()"))
    (entry,) = report.rounds
    assert entry.ok
    assert entry.seconds > 0
    assert abs(entry.mb_per_s - SIZE_BYTES / 1e6 / entry.seconds) / entry.mb_per_s < 0.05
    assert entry.cpu_s_per_gb > 0
    assert entry.peak_rss_bytes > 1024**2


def test_one_wrong_byte_is_not_ok(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying("p.Path(sys.argv[1]).read_bytes()[:-1] + b'!'"))
    assert [entry.ok for entry in report.rounds] == [False]
    assert report.rounds[0].mb_per_s == 0


def test_a_short_file_is_not_ok(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying("p.Path(sys.argv[1]).read_bytes()[:-1]"))
    assert [entry.ok for entry in report.rounds] == [False]


def test_a_command_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    report, told = measured(tmp_path, Copying("sys.exit('no luck')"))
    assert [entry.ok for entry in report.rounds] == [False]
    assert any("no luck" in line for line in told)


def test_a_consumer_that_cannot_join_is_a_failed_round(tmp_path: Path) -> None:
    report, told = measured(tmp_path, Copying("refuse"))
    assert [entry.ok for entry in report.rounds] == [False]
    assert any("does not want to join" in line for line in told)


def test_contenders_take_turns_in_an_order_that_rotates(tmp_path: Path) -> None:
    right = "p.Path(sys.argv[1]).read_bytes()"
    report, _ = measured(tmp_path, Copying(right, "a"), Copying(right, "b"), rounds=2)
    assert [entry.contender for entry in report.rounds] == ["a", "b", "b", "a"]


def test_a_contender_that_cannot_run_is_missing_with_the_reason(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying("b''", "absent", why="it is not installed"))
    assert report.rounds == []
    told = json.loads(report.as_json())
    assert told["missing"] == [{"contender": "absent", "why": "it is not installed"}]
    assert set(told) == {"machine", "settings", "rounds", "missing"}


def test_what_was_pulled_is_removed(tmp_path: Path) -> None:
    measured(tmp_path, Copying("p.Path(sys.argv[1]).read_bytes()"), rounds=2)
    assert not list(tmp_path.glob("*-pulled"))
