"""What reaches the terminal: aligned, in people's units, and never a control character of somebody else's."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from swarm.cli.output import Output, columns, duration, printable, size, write_all
from swarm.errors import IntegrityError


def _output(*, as_json: bool = False, quiet: bool = False) -> tuple[Output, io.StringIO, io.StringIO]:
    out, err = io.StringIO(), io.StringIO()
    return Output(json=as_json, quiet=quiet, stdout=out, stderr=err), out, err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("größe", "größe"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines", "two\\nlines"),
        ("right\u202eleft", "right\\u202eleft"),
        ("half \udcff", "half \\udcff"),
        ("line\u2028end", "line\\u2028end"),
    ],
)
def test_names_cannot_drive_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
    output, out, err = _output()
    output.result({}, [text])
    output.note(text)
    assert out.getvalue() == err.getvalue() == shown + "\n"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_940, "99.9 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (5 * 10**9, "5.0 GB"),
        (5 * 10**15, "5.0 PB"),
    ],
)
def test_sizes_are_decimal(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (61, "61 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3600, "1 h"),
        (604_800, "7 d"),
        (180_000, "2 d 2 h"),
    ],
)
def test_durations_as_people_read_them(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_columns_are_aligned_and_end_without_padding() -> None:
    assert columns([["a", "bb", "c"], ["aaa", "b", ""]]) == ["a    bb  c", "aaa  b"]
    assert columns([]) == []


def test_json_is_one_object_even_when_a_result_is_a_failure() -> None:
    output, out, err = _output(as_json=True)
    output.result({"differences": ["x"]}, ["x"])
    output.error(IntegrityError("it differs"), 6)
    assert json.loads(out.getvalue()) == {"differences": ["x"]}
    assert err.getvalue() == "aetherfs: it differs\n"


def test_a_failure_without_result_is_an_object_too() -> None:
    output, out, _ = _output(as_json=True)
    output.error(IntegrityError("it differs"), 6)
    assert json.loads(out.getvalue()) == {"error": "it differs", "title": "integrity", "exit_code": 6}


def test_quiet_leaves_results_and_errors() -> None:
    output, out, err = _output(quiet=True)
    output.note("noise")
    output.result({}, ["data"])
    output.error(ValueError("bad"), 1)
    assert out.getvalue() == "data\n"
    assert err.getvalue() == "aetherfs: bad\n"


def test_a_stream_that_takes_a_part_at_a_time_gets_all() -> None:
    class Grudging(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data[:7]))

    sink = Grudging()
    assert write_all(sink, b"x" * 100) == 100
    assert sink.getvalue() == b"x" * 100
