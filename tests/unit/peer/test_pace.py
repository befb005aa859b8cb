"""A limit over many streams: what may go is what the rate allows, in the order in which it was asked for."""

from __future__ import annotations

import math

import pytest

from swarm.peer.pace import BURST_S, PART_MAX_BYTES, PART_MIN_BYTES, UNPACED, Flow, Pace, part_bytes
from swarm.peer.timetable import parse_timetable


def test_what_goes_in_a_time_is_what_the_rate_allows() -> None:
    flow, now, sent = Flow(), 100.0, 0
    while now < 110.0:
        now += flow.take(5000, 50_000, now)
        sent += 5000
    assert sent == pytest.approx(50_000 * (10 + BURST_S), rel=0.02)


def test_after_a_pause_there_is_a_small_burst_and_no_more() -> None:
    flow = Flow()
    flow.take(1, 1000, 0.0)
    assert flow.take(int(1000 * BURST_S), 1000, 1000.0) == 0.0
    assert flow.take(1000, 1000, 1000.0) == pytest.approx(1.0)


def test_streams_wait_in_the_order_in_which_they_came() -> None:
    flow = Flow()
    waits = [flow.take(1000, 10_000, 5.0) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(1.0 - BURST_S)


def test_a_faster_rate_counts_from_the_next_bytes_on() -> None:
    flow = Flow()
    flow.take(1000, 1000, 0.0)
    assert flow.take(1000, 1_000_000, 0.0) == pytest.approx(1.0 - BURST_S + 0.001)


def test_without_a_limit_nothing_is_cut_or_waited_for() -> None:
    assert UNPACED.part_bytes(10**9) == 10**9
    assert UNPACED.bytes_per_s() == math.inf
    assert UNPACED.is_open


def test_parts_are_small_beside_the_rate_and_bounded() -> None:
    assert part_bytes(1_000_000) == 20_000
    assert part_bytes(1000) == PART_MIN_BYTES
    assert part_bytes(1e12) == PART_MAX_BYTES


def test_nothing_is_open_while_the_rate_is_nothing_and_what_is_under_way_still_ends() -> None:
    pace = Pace(parse_timetable("0", "upload_limit"))
    assert not pace.is_open
    assert 0 < pace.takes_s(8000) <= 1.0
