"""The figures are true: in a swarm of namespaces, what a tracker tells agrees with the counters of the interfaces.

An interface counts every packet with its headers, acknowledgements and the swarm's own talk among them. So does a
peer's ``line``, which is what the system counted of its connections: 5% is the most that they may differ, with nothing
reckoned in, for few large blocks and for many small ones. Blocks are counted to the byte.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.line import AGREE, MIB, Shape, run_line
from bench.network import missing_network

pytestmark = pytest.mark.root

PEERS = 2
SHAPES = (Shape("few-large", 1, 24 * MIB), Shape("small-blocks", 100, 70_000))


def test_bytes_on_the_dashboard_are_those_that_the_interfaces_counted(tmp_path: Path) -> None:
    if (why := missing_network()) is not None:
        pytest.skip(why)
    told: list[str] = []
    report = run_line(PEERS, SHAPES, tmp_path, told.append)
    for shape in SHAPES:
        moved = [each for each in report.moved if each.shape == shape.name]
        assert [each.blocks for each in moved if each.direction == "received"] == [0, *([shape.size_bytes] * PEERS)]
        whole, shown = PEERS * shape.size_bytes, report.told[shape.name]
        assert (sum(shown.pulled_from), shown.rollout_from, shown.flowed) == (whole, shown.pulled_from, whole)
        judged = [each for each in moved if each.is_judged]
        assert len(judged) >= 1 + PEERS, "the origin gives, everybody else takes"
        assert not [each for each in judged if each.off > AGREE]
    assert report.is_within
