"""Who gave wrong blocks lately: totals that takers repeat count once, and a taker that begins anew counts from none."""

from __future__ import annotations

from swarm.reports import LinkTotal
from swarm.tracker.alerts.bad_blocks import HEARD_MAX, WINDOW_S, BadBlocks
from swarm.tracker.figures.peers import LinkSum
from swarm.tracker.figures.picture import Picture
from tests.reported import key, report, who

A, B, GIVER = b"a", b"b", b"g"


def link(bad: int) -> LinkSum:
    return LinkSum(0, 0, True, bad)


def test_totals_that_are_repeated_count_once_and_for_a_while() -> None:
    bad, one = BadBlocks(), link(2)
    for now in range(0, 100, 5):
        bad.hear([(A, GIVER, one)], now)
    assert bad.lately(100) == {GIVER: (2, 1)}
    one.bad = 5
    bad.hear([(A, GIVER, one), (B, GIVER, link(1))], 100)
    assert bad.lately(100) == {GIVER: (6, 2)}
    assert bad.lately(WINDOW_S + 50) == {GIVER: (4, 2)}
    assert bad.lately(WINDOW_S + 101) == {}


def test_a_process_that_begins_anew_counts_from_none() -> None:
    bad, one = BadBlocks(), link(5)
    bad.hear([(A, GIVER, one)], 0)
    one.bad = 1
    bad.hear([(A, GIVER, one)], 10)
    bad.hear([(A, GIVER, link(1))], 20)
    assert bad.lately(20) == {GIVER: (7, 1)}


def test_it_ends_however_many_pairs_there_are_and_is_bounded() -> None:
    bad = BadBlocks()
    told = [(A, number.to_bytes(4, "big"), link(1)) for number in range(3 * HEARD_MAX)]
    for now in range(0, 1000, 100):
        bad.hear(told, now)
        assert len(bad._heard) <= HEARD_MAX
    assert bad.lately(1000) == {}


def test_what_came_before_this_tracker_began_is_no_news() -> None:
    bad, picture = BadBlocks(), Picture(0.0, 1_700_000_000.0)
    for sequence, (uptime_s, count) in enumerate([(9000, 5), (9010, 5), (9020, 7)], 1):
        links = (LinkTotal(key(2), 0, 10, True, count),)
        picture.report(who(1), report(sequence, links=links, uptime_s=uptime_s), float(sequence))
        bad.hear(((key(1), key(2), link) for link in picture.peers[key(1)].links.values()), float(sequence))
    assert bad.lately(3.0) == {key(2): (2, 1)}


def test_who_was_given_no_bad_block_by_anybody_is_known_without_a_look_at_its_neighbours() -> None:
    picture, found = Picture(0.0, 1_700_000_000.0), []
    for sequence, (epoch, count) in enumerate([(7, 0), (7, 1), (7, 1), (8, 0)], 1):
        links = (LinkTotal(key(2), 0, 10, True, count), LinkTotal(key(3), 0, 10, True, 0))
        picture.report(who(1), report(sequence, links=links, epoch=epoch), float(sequence))
        found.append(picture.peers[key(1)].has_bad)
    assert found == [False, True, True, False]
