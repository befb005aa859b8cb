"""Progress: lines now and then, a bar on a terminal, nothing when quiet; odd reports do no harm."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

from swarm.cli.output import Output
from swarm.cli.progress import LINE_INTERVAL_S, Bar, Lines, sentence, showing

REPORT: dict[str, Any] = {
    "event": "progress",
    "phase": "fetch",
    "done_bytes": 12_000_000,
    "total_bytes": 40_000_000,
    "from": {"peers": 9_000_000, "origin": 1_000_000, "reused": 2_000_000},
    "rate_bytes_per_s": 4_000_000,
    "eta_s": 7.0,
    "waiting_for": None,
}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_report_in_words() -> None:
    assert sentence(REPORT) == "fetch 12.0 MB of 40.0 MB (30%), 4.0 MB/s, 7.0 s left, peers 75% origin 8% reused 16%"
    waiting = {"phase": "find", "waiting_for": "a peer that holds it"}
    assert sentence(waiting) == "find, waits for a peer that holds it"


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"phase": None},
        {"done_bytes": "x", "total_bytes": [], "from": 3, "rate_bytes_per_s": "fast", "eta_s": {}},
        {"done_bytes": 5, "total_bytes": -1, "from": {"peers": -3}},
        {"done_bytes": 50, "total_bytes": 10, "rate_bytes_per_s": 0, "eta_s": 3},
        {"waiting_for": 3},
    ],
)
def test_odd_reports_do_no_harm(report: dict[str, Any]) -> None:
    assert sentence(report)


def test_lines_come_now_and_then_only() -> None:
    stream = io.StringIO()
    lines = Lines("pull", stream, now=100.0)
    for step, after_s in enumerate((0.1, LINE_INTERVAL_S, 0.1 + LINE_INTERVAL_S, 2 * LINE_INTERVAL_S)):
        lines.show({**REPORT, "done_bytes": 12_000_000 + step}, 100.0 + after_s)
    assert stream.getvalue().count("\n") == 2
    assert stream.getvalue().startswith("pull: fetch 12.0 MB of 40.0 MB")


def test_where_nothing_moves_a_line_says_so_and_what_it_waits_for_and_then_seldom() -> None:
    stream = io.StringIO()
    lines = Lines("pull", stream, now=100.0)
    for tenth in range(600):
        lines.show({**REPORT, "waiting_for": "a neighbour that holds it"}, 100.0 + tenth / 10)
    told = stream.getvalue().splitlines()
    still = "pull: fetch 12.0 MB of 40.0 MB (30%), nothing has moved for {}, waits for a neighbour that holds it"
    assert told == [still.format(span) for span in ("5.0 s", "25 s", "45 s")]
    lines.show({**REPORT, "done_bytes": 13_000_000}, 161.0)
    assert stream.getvalue().splitlines()[3].startswith("pull: fetch 13.0 MB of 40.0 MB (32%), 4.0 MB/s")


def test_a_command_that_waits_from_its_beginning_says_so_too() -> None:
    stream = io.StringIO()
    lines = Lines("pull", stream, now=100.0)
    for tenth in range(99):
        lines.show({"phase": "find", "waiting_for": "the version of a:b"}, 100.0 + tenth / 10)
    assert stream.getvalue() == "pull: find, nothing has moved for 5.0 s, waits for the version of a:b\n"


def test_a_name_in_a_report_cannot_drive_the_terminal() -> None:
    stream = io.StringIO()
    Lines("pull", stream, now=0.0).show({"waiting_for": "\x1b[2J\nfake"}, 100.0)
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def _output(stream: io.StringIO, *, quiet: bool = False) -> Output:
    return Output(json=False, quiet=quiet, stdout=io.StringIO(), stderr=stream)


def test_a_terminal_gets_a_bar() -> None:
    stream = Terminal()
    with showing(_output(stream), "pull") as progress:
        progress(REPORT)
    assert "pull fetch" in stream.getvalue()
    assert "peers 75%" in stream.getvalue().replace("\n", " ")


def test_a_bar_says_for_how_long_nothing_moved_in_place_of_a_rate() -> None:
    stream = Terminal()
    bar = Bar("pull", stream)
    try:
        for after_s in (0.0, 7.0):
            bar.show({**REPORT, "waiting_for": "somebody"}, time.monotonic() + after_s)
    finally:
        bar.close()
    drawn = stream.getvalue().replace("\n", " ")
    assert "nothing has moved for 7.0 s waits for somebody" in drawn.rpartition("pull fetch")[2]


def test_a_bar_that_has_nothing_to_show_is_not_drawn() -> None:
    stream = Terminal()
    with showing(_output(stream), "pull"):
        pass
    assert stream.getvalue() == ""


def test_quiet_shows_nothing() -> None:
    stream = Terminal()
    with showing(_output(stream, quiet=True), "pull") as progress:
        progress(REPORT)
    assert stream.getvalue() == ""
