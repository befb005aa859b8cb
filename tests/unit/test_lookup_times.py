"""How long lookups took, counted by steps."""

from __future__ import annotations

import pytest

from swarm.lookup_times import BOUNDS_S, LookupTimes, added, percentile_s


def test_lookups_are_counted_by_how_long_they_took_and_whether_they_found_anybody() -> None:
    times = LookupTimes()
    for seconds, is_found in ((0.004, True), (0.005, True), (0.04, False), (60.0, False)):
        times.count(seconds, is_found=is_found)
    assert (times.lookups, times.failed) == (4, 2)
    assert (times.by_step[0], times.by_step[3], times.by_step[-1]) == (2, 1, 1)
    assert len(times.by_step) == len(BOUNDS_S) + 1, "it never grows"


def test_percentiles_of_many_peers_are_over_all_their_lookups() -> None:
    quick, slow = LookupTimes(), LookupTimes()
    for _ in range(99):
        quick.count(0.015, is_found=True)
    slow.count(1.5, is_found=True)
    both = added([quick.by_step, slow.by_step])
    p50_s, last_s = percentile_s(both, 0.5), percentile_s(both, 1.0)
    assert p50_s is not None and 0.01 < p50_s <= 0.02, "one slow peer of two does not make half of the lookups slow"
    assert last_s == pytest.approx(2.0)
    assert percentile_s([0] * (len(BOUNDS_S) + 1), 0.5) is None
    slow.count(60.0, is_found=False)
    assert percentile_s(slow.by_step, 1.0) == BOUNDS_S[-1], "what is beyond all bounds is told as the last"
