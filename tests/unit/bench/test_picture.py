"""The picture shows the median round of each contender, and the bound."""

from __future__ import annotations

from xml.etree import ElementTree

from bench.picture import draw, judged_times, median_round
from bench.swarm_report import SwarmReport, SwarmRound


def found(name: str, *seconds: float | None, ok: bool = True) -> SwarmRound:
    last = max(second for second in seconds if second is not None)
    return SwarmRound(name, 0, list(seconds), last / 2, None, 1.0, None, [], 1.0, 1, ok=ok)


def test_the_median_is_of_good_rounds_only() -> None:
    rounds = [found("a", 9.0), found("a", 1.0, ok=False), found("a", 3.0), found("a", 5.0)]
    assert median_round(rounds) == rounds[3]
    assert median_round([found("a", 1.0, ok=False)]) is None


def test_a_peer_that_is_not_judged_is_no_part_of_the_curve() -> None:
    assert judged_times(found("a", 40.0, 3.0, None, 2.0), [1, 3]) == [2.0, 3.0]


def test_every_contender_with_a_good_round_has_a_curve() -> None:
    report = SwarmReport(2.0, {"judged_peers": [0, 1], "size_bytes": 2**20, "scenario": "plain"})
    report.rounds += [found("a<b", 2.1, 4.0), found("other", 3.0, 8.0), SwarmRound.failed("broken", 0, [1.0, None], [])]
    picture = ElementTree.fromstring(draw(report))
    curves = [element.attrib["points"].split() for element in picture.iter() if element.tag.endswith("polyline")]
    labels = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert len(curves) == 2
    assert "a<b 4.0 s" in labels
    assert "bound 2.0 s" in labels
    assert "broken: no good round" in labels
    ends = [float(curve[-1].split(",")[0]) for curve in curves]
    assert ends[0] < ends[1]


def test_a_curve_says_how_many_rounds_counted_and_without_any_there_is_a_picture() -> None:
    report = SwarmReport(2.0, {"judged_peers": [0, 1], "size_bytes": 2**20, "scenario": "plain"})
    report.rounds += [SwarmRound.failed("a", 0, [], ["it broke"])]
    assert ">a: no good round<" in draw(report)
    report.rounds += [found("a", 2.0, 4.0), found("b", 2.0, 3.0)]
    assert ">a 4.0 s (1 of 2)<" in draw(report)
    assert ">b 3.0 s<" in draw(report)
