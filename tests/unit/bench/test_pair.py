"""A pair is measured from commands alone: copies that are right, wrong, absent, and a contender that cannot run."""

from __future__ import annotations

import io
import json
import socket
import statistics
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from bench.contenders import Pull
from bench.pair import PairSettings, loopback_bytes, run_pair
from bench.payload import Payload
from bench.processes import BenchError
from bench.provenance import commit
from bench.report import Report, Round, print_table
from swarm import __version__

SIZE_BYTES = 3 * 1024**2 + 17
RIGHT = "p.Path(sys.argv[1]).read_bytes()"
DATAGRAMS = (socket.AF_INET, socket.SOCK_DGRAM)
COPY = "import sys, pathlib as p; t = p.Path(sys.argv[2]); t.mkdir(); (t / 'payload.bin').write_bytes({expression})"


@dataclass(frozen=True, slots=True)
class Copying:
    """A contender that copies the file with a command of its own; ``expression`` is what arrives."""

    expression: str
    name: str = "copying"
    settings: Mapping[str, str] = field(default_factory=lambda: {"version": "7", "encryption": "none"})
    why: str | None = None

    def missing(self) -> str | None:
        return self.why

    @contextmanager
    def origin(self, payload: Payload, folder: Path) -> Iterator[CopyingEnd]:
        yield CopyingEnd(self.expression, payload, folder.parent)


@dataclass(frozen=True, slots=True)
class CopyingEnd:
    """Both ends; nothing stands."""

    expression: str
    payload: Payload
    folder: Path

    def pids(self) -> list[int]:
        return []

    def sent_bytes(self) -> int | None:
        """As if what was not pulled yet had been sent once, and then twice."""
        return SIZE_BYTES * (2 if list(self.folder.glob("*-pulled")) else 1)

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
    report, _ = measured(tmp_path, Copying(RIGHT))
    (entry,) = json.loads(report.as_json())["rounds"]
    assert entry["ok"]
    (seconds,) = entry["seconds"]
    assert seconds > 0
    # Both are rounded: however long it took.
    slowest, fastest = SIZE_BYTES / 1e6 / (seconds + 0.0006), SIZE_BYTES / 1e6 / (seconds - 0.0006)
    assert slowest - 0.051 <= entry["mb_per_s"] <= fastest + 0.051
    assert entry["cpu_s_per_gb"] > 0
    assert entry["peak_rss_bytes"] > 1024**2
    assert entry["origin_copies"] == 1.0


def test_the_report_has_what_the_contract_says(tmp_path: Path) -> None:
    told = json.loads(measured(tmp_path, Copying(RIGHT), Copying("", "absent", why="gone"))[0].as_json())
    assert set(told) >= {"bound_s", "machine", "settings", "rounds", "missing"}
    assert told["bound_s"] is None
    promised = "contender seconds last_over_bound origin_copies origin_copies_interface cpu_s_per_gb peak_rss_bytes ok"
    assert set(told["rounds"][0]) >= {*promised.split(), "mb_per_s"}
    assert told["settings"]["contenders"] == {"copying": {"version": "7", "encryption": "none"}}
    assert told["settings"]["seed"] == 7
    assert told["version"] == __version__
    assert told["commit"] == commit()


def test_what_goes_over_loopback_is_counted_in_bytes() -> None:
    with socket.socket(*DATAGRAMS) as receiver, socket.socket(*DATAGRAMS) as sender:
        receiver.bind(("127.0.0.1", 0))
        before = loopback_bytes()
        for _ in range(1000):
            sender.sendto(bytes(60_000), receiver.getsockname())
    assert loopback_bytes() - before >= 60_000_000


def test_a_failed_round_has_no_figures_and_no_part_in_the_medians(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying(RIGHT), rounds=2)
    report.rounds += [Round.failed("copying", "it broke"), Round.failed("other", "it broke")]
    told = json.loads(report.as_json())
    assert told["rounds"][2] == {
        "contender": "copying",
        **dict.fromkeys(["mb_per_s", "last_over_bound", "origin_copies", "origin_copies_interface"]),
        **dict.fromkeys(["cpu_s_per_gb", "peak_rss_bytes"]),
        "seconds": [None],
        "ok": False,
        "failures": ["it broke"],
    }
    copying, other = told["summary"]
    assert (copying["contender"], copying["counted"], copying["rounds"]) == ("copying", 2, 3)
    speeds = [entry["mb_per_s"] for entry in told["rounds"][:2]]
    assert copying["mb_per_s"] == pytest.approx(statistics.median(speeds), abs=0.001)
    assert (other["counted"], other["rounds"], other["mb_per_s"]) == (0, 1, None)
    out = io.StringIO()
    print_table(report, Console(file=out, width=200))
    rows = [[cell.strip() for cell in row.strip("│").split("│")] for row in out.getvalue().splitlines() if "│" in row]
    assert [rows[0][-1], rows[1][-1]] == ["2 of 3", "0 of 1"]
    assert rows[1] == ["other", *["-"] * 5, "0 of 1"]
    assert "copying: 7; encryption: none" in out.getvalue()


def test_one_wrong_byte_is_not_ok(tmp_path: Path) -> None:
    report, told = measured(tmp_path, Copying("p.Path(sys.argv[1]).read_bytes()[:-1] + b'!'"))
    assert report.rounds == [Round.failed("copying", "what arrived is not the payload")]
    assert "not the payload" in told[-1]


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
    report, _ = measured(tmp_path, Copying(RIGHT, "a"), Copying(RIGHT, "b"), rounds=2)
    assert [entry.contender for entry in report.rounds] == ["a", "b", "b", "a"]


def test_a_contender_that_cannot_run_is_missing_with_the_reason(tmp_path: Path) -> None:
    report, _ = measured(tmp_path, Copying("b''", "absent", why="it is not installed"))
    assert report.rounds == []
    told = json.loads(report.as_json())
    assert told["missing"] == [{"contender": "absent", "why": "it is not installed"}]


def test_what_was_pulled_is_removed(tmp_path: Path) -> None:
    measured(tmp_path, Copying(RIGHT), rounds=2)
    assert not list(tmp_path.glob("*-pulled"))
