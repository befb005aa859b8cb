"""Who gave wrong blocks lately: totals that takers repeat count once, and a taker that begins anew counts from none."""

from __future__ import annotations

from swarm.tracker.alerts.bad_blocks import HEARD_MAX, PAIRS_MAX, WINDOW_S, BadBlocks

A, B, GIVER = b"a", b"b", b"g"


def test_totals_that_are_repeated_count_once_and_for_a_while() -> None:
    bad = BadBlocks()
    for now in range(0, 100, 5):
        bad.hear([(A, GIVER, 2)], now)
    assert bad.lately(100) == {GIVER: (2, 1)}
    bad.hear([(A, GIVER, 5), (B, GIVER, 1)], 100)
    assert bad.lately(100) == {GIVER: (6, 2)}
    assert bad.lately(WINDOW_S + 50) == {GIVER: (4, 2)}
    assert bad.lately(WINDOW_S + 101) == {}


def test_a_process_that_begins_anew_counts_from_none() -> None:
    bad = BadBlocks()
    bad.hear([(A, GIVER, 5)], 0)
    bad.hear([(A, GIVER, 1)], 10)
    assert bad.lately(10) == {GIVER: (6, 1)}


def test_it_is_bounded_whatever_is_told() -> None:
    bad = BadBlocks()
    bad.hear(((A, number.to_bytes(4, "big"), 1) for number in range(3 * PAIRS_MAX)), 0)
    assert len(bad._told) == PAIRS_MAX
    assert len(bad._heard) == HEARD_MAX
