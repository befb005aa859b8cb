"""What a swarm run tells: medians of its good rounds, what is missing and why; growth in steps."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from bench.__main__ import SWARM_CONTENDERS
from bench.picture import draw
from bench.provenance import commit
from bench.report import Missing
from bench.scale import print_scale, scale_json
from bench.swarm_report import SwarmReport, SwarmRound, print_swarm
from swarm import __version__

SETTINGS = {"scenario": "plain", "peers": 2, "judged_peers": [0, 1], "size_bytes": 32 << 20}


def found(name: str, last: float, copies: float, cpu: float, *, ok: bool = True) -> SwarmRound:
    return SwarmRound(name, 0, [1.0, last * 2], last, copies - 0.05, copies, 0.0, [], cpu, 1 << 20, ok=ok)


def told(report: SwarmReport) -> str:
    out = io.StringIO()
    print_swarm(report, Console(file=out, width=200))
    return out.getvalue()


def test_medians_of_the_good_rounds_are_told() -> None:
    report = SwarmReport(2.0, dict(SETTINGS))
    report.rounds += [found("a", 1.9, 1.7, 9.0), found("a", 1.111, 1.222, 3.3), found("a", 1.2, 1.05, 4.4)]
    report.rounds.append(found("a", 0.1, 0.1, 0.1, ok=False))
    row = next(line for line in told(report).splitlines() if " a " in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("a", "1.200", "1.11 to 1.90", "1.222", "1.172", "4.4", "1 MiB", "3 of 4"),
    ]


def test_what_is_missing_is_told_with_its_reason() -> None:
    report = SwarmReport(2.0, dict(SETTINGS), missing=[Missing("kubo", "libkubo is not installed")])
    assert "missing: kubo: libkubo is not installed" in told(report)
    assert json.loads(report.as_json())["missing"] == [{"contender": "kubo", "why": "libkubo is not installed"}]


def test_a_contender_without_a_good_round_has_no_figures() -> None:
    report = SwarmReport(2.0, dict(SETTINGS), [SwarmRound.failed("a", 0, [None, 2.5], ["it did not start"])])
    assert "0 of 1" in told(report)
    assert report.rounds[0].summary() == "failed: it did not start"
    read = json.loads(report.as_json())
    (entry,) = read["rounds"]
    assert entry["seconds"] == [None, 2.5]
    for figure in ("last_over_bound", "origin_copies", "origin_copies_interface", "cpu_s_per_gb", "peak_rss_bytes"):
        assert entry[figure] is None
        assert read["summary"][0][figure] is None
    assert (read["summary"][0]["counted"], read["summary"][0]["rounds"]) == (0, 1)
    assert (read["commit"], read["version"]) == (commit(), __version__)


def test_a_failed_round_beside_a_good_one_spoils_no_table_of_sites() -> None:
    good = replace(found("a", 1.2, 1.0, 1.0), wan_copies=[1.1, 1.2])
    report = SwarmReport(2.0, dict(SETTINGS), [SwarmRound.failed("a", 0, [], []), good])
    assert "1.200" in told(report)
    assert "1 of 2" in told(report)


def test_the_picture_has_room_for_all_contenders() -> None:
    report = SwarmReport(2.0, dict(SETTINGS))
    report.rounds += [found(contender.name, 1.5, 1.0, 1.0) for contender in SWARM_CONTENDERS]
    picture = draw(report)
    colours = {line.split('stroke="')[1].split('"')[0] for line in picture.splitlines() if "<polyline" in line}
    assert len(colours) == len(SWARM_CONTENDERS)
    assert all(f">{contender.name} " in picture for contender in SWARM_CONTENDERS)


@pytest.mark.parametrize("width", [200])
def test_growth_is_one_line_per_step(width: int) -> None:
    reports = [
        SwarmReport(2.0, {**SETTINGS, "peers": peers}, [found("ours", 1.1 + peers / 100, 1.05, 3.0)])
        for peers in (2, 8)
    ]
    out = io.StringIO()
    print_scale(reports, Console(file=out, width=width))
    assert "1.120" in out.getvalue()
    assert "1.180" in out.getvalue()
    assert [step["settings"]["peers"] for step in json.loads(scale_json(reports))["steps"]] == [2, 8]
