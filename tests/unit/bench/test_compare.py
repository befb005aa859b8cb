"""The simulator beside a report: medians, differences, what agrees, and the settings that a report names."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from bench.compare import Line, busy_share, compare, measured, print_lines, settings_of, simulated
from bench.processes import BenchError
from swarm.sim.run import simulate
from swarm.sim.scenarios import sizes_of

MBIT = 1_000_000 / 8


def report(scenario: str = "plain", peers: int = 4, *, wan: int = 0, up: int = 50, **more: Any) -> dict[str, Any]:
    settings = {
        "scenario": scenario,
        "peers": peers,
        "judged_peers": list(range(peers)),
        "size_bytes": 8 << 20,
        "origin_up_bits_per_s": 50_000_000,
        "peer_up_bits_per_s": [2_500_000] + [up * 1_000_000] * (peers - 1),
        "wan_bits_per_s": wan,
    }
    return {"settings": settings | more, "rounds": []}


def a_round(seconds: list[float | None], copies: float, *, ok: bool = True, wan: list[float] | None = None) -> Any:
    contender = {"contender": "ours", "ok": ok, "seconds": seconds, "origin_copies": copies}
    return contender | {"wan_copies": wan or []}


def test_of_the_good_rounds_of_ours_the_medians_over_the_judged_peers() -> None:
    read = report(judged_peers=[1, 2, 3])
    read["rounds"] = [
        a_round([None, 3.0, 1.0, 2.0], 1.0),
        a_round([9.0, 4.0, 5.0, 6.0], 1.2),
        a_round([9.0, 8.0, 8.0, 7.0], 1.1),
        a_round([9.0, 99.0, 99.0, 99.0], 9.0, ok=False),
        a_round([9.0, 99.0, 99.0, 99.0], 9.0) | {"contender": "aria2"},
    ]
    assert measured(read) == {"p50": 5.0, "p95": 6.0, "last": 6.0, "copies": 1.1}


def test_of_sites_the_one_counts_into_which_the_most_came() -> None:
    read = report("sites", 3, wan=10_000_000)
    read["rounds"] = [a_round([1.0, 1.0, 1.0], 1.0, wan=[1.1, 1.3, 1.2])]
    assert measured(read)["into a site"] == 1.3


def test_without_a_good_round_or_of_another_bench_nothing_is_compared() -> None:
    with pytest.raises(BenchError, match="no good round"):
        measured(report())
    with pytest.raises(BenchError, match="no report"):
        settings_of({"settings": {}}, 1)


@pytest.mark.parametrize(
    ("line", "difference", "agrees"),
    [
        (Line("p50", 10.0, 11.4), 0.14, True),
        (Line("last", 10.0, 8.4), -0.16, False),
        (Line("p95", 10.0, 11.6), 0.16, False),
        (Line("copies", 1.0, 1.04), 0.04, True),
        (Line("copies", 2.0, 1.94), -0.06, False),
        (Line("into a site", 1.2, 1.1), -0.1, False),
    ],
)
def test_times_agree_by_their_share_and_copies_by_themselves(line: Line, difference: float, agrees: bool) -> None:
    assert line.difference == pytest.approx(difference)
    assert line.agrees is agrees


def test_the_table_says_what_differs() -> None:
    out = io.StringIO()
    lines = compare({"p50": 10.0, "copies": 1.0, "unknown": 1.0}, {"p50": 12.0, "copies": 1.01})
    print_lines("report.json", lines, Console(file=out, width=100))
    rows = [[cell.strip() for cell in row.strip("│").split("│")] for row in out.getvalue().splitlines() if "│" in row]
    assert ["p50", "10.000", "12.000", "+20.0%", "NO"] in rows
    assert ["copies", "1.000", "1.010", "+0.010", "yes"] in rows
    assert not any("unknown" in row for row in rows)


def test_what_the_processes_took_of_the_cores_is_told() -> None:
    read = report(judged_peers=[1, 2], size_bytes=500_000_000) | {"machine": {"cores": 2}}
    read["rounds"] = [
        a_round([None, 5.0, 10.0, None], 1.0) | {"cpu_s_per_gb": 12.0},
        a_round([None, 5.0, 8.0, None], 1.0) | {"cpu_s_per_gb": 12.0},
        a_round([None, 1.0, 1.0, None], 1.0, ok=False) | {"cpu_s_per_gb": 99.0},
    ]
    assert busy_share(read) == pytest.approx(12.0 / (2 * 8.0))


def test_a_report_is_simulated_on_its_own_links_and_bytes() -> None:
    settings = settings_of(report("sites", 6, wan=10_000_000, up=200), 3)
    assert (settings.peers, settings.rate, settings.wan, settings.lan) == (6, 50 * MBIT, 10 * MBIT, 200 * MBIT)
    assert sum(sizes_of(settings)) == 8 << 20
    assert simulate("sites", settings).p50_s >= (8 << 20) / (10 * MBIT)


def test_more_bytes_take_longer_and_a_slower_origin_too() -> None:
    told = simulated(report(), [1, 2])
    assert told["last"] >= (8 << 20) / (50 * MBIT)
    assert simulated(report(size_bytes=16 << 20), [1, 2])["last"] > 1.5 * told["last"]
    assert simulated(report(origin_up_bits_per_s=25_000_000), [1, 2])["last"] > 1.5 * told["last"]
