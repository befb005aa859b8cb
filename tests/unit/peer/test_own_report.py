"""Which neighbours a peer tells of one by one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from swarm.identity import peer_id_of
from swarm.peer.own_report import NAMED_MAX, OwnReport, Told
from swarm.peer.traffic import Traffic
from swarm.reports import LINKS_TOLD_MAX
from tests.reported import key


def a_report(met: int) -> tuple[OwnReport, Traffic]:
    """One that has met so many neighbours and has told of some."""
    traffic = Traffic()
    for number in range(met):
        traffic.received[peer_id_of(key(number))] = 1000 + number
    node: Any = SimpleNamespace(traffic=traffic, channels=SimpleNamespace(open={}))
    report = OwnReport(node, 1, "0")
    report._links(Told())
    return report, traffic


def test_a_neighbour_that_gives_bad_blocks_is_told_however_many_were_met_before() -> None:
    report, traffic = a_report(NAMED_MAX + 10)
    bad = peer_id_of(key(9000))
    traffic.received[bad], traffic.bad_from[bad] = 1, 3
    told = report._links(Told())[0]
    assert (told[0].public, told[0].bad, len(told)) == (key(9000), 3, LINKS_TOLD_MAX)


def test_who_moves_most_is_told_one_by_one_and_the_others_as_one_sum() -> None:
    report, traffic = a_report(NAMED_MAX)
    late, little = peer_id_of(key(9000)), peer_id_of(key(9001))
    traffic.received[late], traffic.received[little] = 1_000_000, 1100
    links, _, others = report._links(Told())
    assert links[0].public == key(9000)
    # The least moved made room; who has moved hardly more than another takes nobody's place.
    assert others == 1000 + 1100
    assert len(report._named) == NAMED_MAX
