"""What the bench of checks reckons from its pulls."""

from __future__ import annotations

import pytest

from bench.checks import Pulled, cost, interval_rank


@pytest.mark.parametrize(("count", "rank"), [(1, 0), (5, 0), (6, 0), (9, 1), (20, 5), (30, 9)])
def test_the_interval_of_a_median_is_that_of_tables(count: int, rank: int) -> None:
    """Ranks of the sign test's 95% interval, as statistical tables have them (counted there from one)."""
    assert interval_rank(count) == rank


def test_a_wave_of_noise_that_two_pulls_share_costs_nothing() -> None:
    calm, wave = Pulled(0.5, 0.8), Pulled(2.0, 0.9)
    found = cost("all", [calm, wave, calm, wave], [calm, wave, calm, wave])
    assert (found.speed, found.cpu) == (0, 0)


def test_a_cost_is_the_part_of_the_speed_that_goes() -> None:
    found = cost("hashes", [Pulled(1.0, 1.0)] * 9, [Pulled(0.95, 0.9)] * 8 + [Pulled(3.0, 3.0)])
    assert found.speed == pytest.approx(0.05)
    assert found.cpu == pytest.approx(0.1)
    assert found.line == "hashes: 5.0% of MB/s (5.0% to 5.0%), 10.0% of CPU"
