"""What links allow, by hand; who is judged; rates as tc writes them."""

from __future__ import annotations

import pytest

from bench.scenarios import Link, bound_s, make_scenario, parse_rate

MBIT = 10**6


@pytest.mark.parametrize(
    ("origin_up", "peers", "expected_s"),
    [
        (50 * MBIT, [Link(50 * MBIT, 50 * MBIT)] * 4, 2.0),  # The origin's upload: 100 Mbit at 50 Mbit/s.
        (50 * MBIT, [Link(50 * MBIT, 50 * MBIT)] * 3 + [Link(50 * MBIT, 5 * MBIT)], 20.0),  # The slowest download.
        (50 * MBIT, [Link(0, 50 * MBIT)] * 4, 8.0),  # Nobody else uploads: a star.
    ],
)
def test_the_bound_is_the_tightest_of_three(origin_up: int, peers: list[Link], expected_s: float) -> None:
    assert bound_s(12_500_000, origin_up, peers) == pytest.approx(expected_s)


def test_slow_and_killed_peers_are_not_judged_and_do_not_move_the_bound() -> None:
    scenario = make_scenario("slow", 16, 50 * MBIT)
    assert len(scenario.judged) == 13
    assert scenario.peers[scenario.slow[0]].up_bits_per_s == 50 * MBIT // 20
    assert scenario.bound_s(12_500_000) == pytest.approx(2.0)


def test_sites_share_the_peers_and_the_bound_is_the_wan_link() -> None:
    scenario = make_scenario("sites", 15, 50 * MBIT)
    assert [sum(link.site == site for link in scenario.peers) for site in (0, 1, 2, 3)] == [0, 5, 5, 5]
    assert scenario.bound_s(12_500_000) == pytest.approx(10.0)


@pytest.mark.parametrize(("name", "peers"), [("slow", 3), ("sites", 4), ("other", 4)])
def test_what_cannot_be_laid_out_is_refused(name: str, peers: int) -> None:
    with pytest.raises(ValueError, match=r"peers|scenario"):
        make_scenario(name, peers, MBIT)


@pytest.mark.parametrize(("text", "expected"), [("50mbit", 50 * MBIT), ("1gbit", 10**9), ("8kbit", 8000), ("7", 7)])
def test_rates_are_read(text: str, expected: int) -> None:
    assert parse_rate(text) == expected


@pytest.mark.parametrize("text", ["", "mbit", "0mbit", "50MB", "-1mbit", "1.5mbit"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no rate"):
        parse_rate(text)
