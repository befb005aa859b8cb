"""Forecasts: what the simulator says of lines, and what follows from a part of a version."""

from __future__ import annotations

import msgspec
import pytest

from swarm.cli.simulation_lines import foretold
from swarm.sim.calibration import (
    BOOK_MAX,
    BOOK_MAX_BYTES,
    Actual,
    Book,
    Kept,
    alike,
    asked_for,
    calibration,
    encode_book,
    over_such_lines,
    read_book,
    with_actual,
    with_forecast,
)
from swarm.sim.forecast import Conditions, bound_s, forecast

SIZES = [300_000 + 1000 * (number % 7) for number in range(40)]
LINES = Conditions(peers=4, link=2_000_000.0)


def test_it_is_the_same_for_the_same_seed_and_no_peer_beats_the_bound() -> None:
    one, other = (forecast(SIZES, LINES, runs=1) for _ in range(2))
    assert one == other
    assert one.bound_s <= one.p50_s <= one.p95_s <= one.last_s < 2 * one.bound_s
    assert one.curve[-1] == (one.last_s, 4)
    assert 1.0 <= one.origin_copies < 2.0 and one.origin_requests > 0


def test_sites_share_their_line_and_what_came_once_spreads_inside() -> None:
    alone = forecast(SIZES, Conditions(peers=4, link=1_000_000.0, seed_link=10_000_000.0), runs=1)
    sites = forecast(SIZES, Conditions(peers=4, link=1_000_000.0, sites=2, seed_link=10_000_000.0), runs=1)
    assert sites.bound_s == alone.bound_s == pytest.approx(sum(SIZES) / 1e6, abs=0.001)
    assert sites.last_s < 1.5 * sites.bound_s
    # Two sites of two peers: a copy came into each, not one to each peer.
    assert sites.origin_copies < 2.5


def test_a_machine_that_all_share_bounds_them_together() -> None:
    machine = forecast(SIZES, Conditions(peers=4, link=2_000_000.0, machine_bytes_per_s=2_000_000.0), runs=1)
    assert machine.last_s >= 4 * sum(SIZES) / 2_000_000.0
    assert forecast(SIZES, LINES, runs=1).last_s < machine.last_s / 2


def test_more_seeds_bound_it_less() -> None:
    assert bound_s(1e6, Conditions(peers=1, link=1e6, seeds=1, seed_link=1e5)) == 10.0
    assert bound_s(1e6, Conditions(peers=1, link=1e6, seeds=10, seed_link=1e5)) == 1.0


def test_what_is_not_simulated_follows_from_the_slope_and_is_said() -> None:
    sizes = SIZES * 5
    whole = forecast(sizes, LINES, runs=1)
    part = forecast(sizes, LINES, runs=1, deliveries=1)
    assert (whole.simulated_blocks, part.simulated_blocks) == (200, 64)
    assert part.last_s == pytest.approx(whole.last_s, rel=0.15)
    assert part.origin_copies == pytest.approx(whole.origin_copies, abs=0.15)


def test_nothing_to_fetch_takes_no_time() -> None:
    assert forecast([], LINES).last_s == 0.0


def kept(at: float, *, peers: int = 4, version: str = "aa", p95_s: float = 10.0) -> Kept:
    return Kept(at, "x/t:main", "x/t", version, Conditions(peers=peers, link=1e6), 1, 8.0, p95_s, p95_s)


def test_a_book_is_bounded_and_forgets_the_oldest() -> None:
    book = Book()
    for number in range(BOOK_MAX + 3):
        book = with_forecast(book, kept(number, version=f"{number}"))
    assert len(book.kept) == BOOK_MAX and book.kept[0].at == 3
    assert len(with_forecast(book, kept(999.0, version="5")).kept) == BOOK_MAX
    assert len(encode_book(book)) < BOOK_MAX_BYTES
    assert read_book(encode_book(book)) == book


@pytest.mark.parametrize("data", [None, b"", b"{", b'{"kept": 3}', b"[" * 4096, b" " * (BOOK_MAX_BYTES + 1)])
def test_a_book_that_cannot_be_read_is_empty(data: bytes | None) -> None:
    assert read_book(data) == Book()


def test_what_came_stands_beside_forecasts_of_as_many_peers() -> None:
    book = with_forecast(with_forecast(Book(), kept(1.0)), kept(2.0, peers=400))
    assert asked_for(book, 9, again=False) == ["x/t"]
    assert calibration(book.kept, "p95") is None
    book = with_actual(book, "x/t", "aa", Actual(5.0, 4, 9.0, 12.0, None))
    assert (asked_for(book, 9, again=False), asked_for(book, 9, again=True)) == ([], ["x/t"])
    assert [each.is_comparable for each in book.kept] == [True, False]
    assert (calibration(book.kept, "p95"), calibration(book.kept, "p50")) == (1.2, 1.125)
    assert calibration(book.kept, "last") is None
    assert not with_actual(book, "x/t", "aa", Actual(5.0, 4, 9.0, 12.0, None)).kept[1].is_comparable
    late = with_actual(with_forecast(Book(), kept(100.0)), "x/t", "aa", Actual(5.0, 4, 9.0, 12.0, None))
    assert calibration(late.kept, "p95") is None
    # Its p95 was foreseen at 10 s: that says nothing of what takes an instant, or an hour.
    assert [len(alike(book.kept, "p95", told_s)) for told_s in (2.4, 2.5, 10.0, 40.0, 41.0)] == [0, 1, 1, 1, 0]
    # A later rollout of the same version, as after a rollback, is another.
    assert with_actual(book, "x/t", "aa", Actual(9.0, 4, 1.0, 1.0, 1.0)) == book


def test_rollouts_over_the_same_lines_judge_first() -> None:
    """Sixteen peers that shared one machine's processors say nothing of eight, who have enough of them."""

    def over(peers: int, link: float, *, start_s: float = 0.0) -> Kept:
        return msgspec.structs.replace(kept(1.0), conditions=Conditions(peers, link, start_s=start_s))

    book = [over(16, 1e6), over(8, 1e6), over(8, 2e6)]
    assert over_such_lines(book, Conditions(16, 1e6)) == book[:1]
    assert over_such_lines(book, Conditions(10, 1e6, start_s=0.3)) == book[1:2], "about as many, however pulls begin"
    assert over_such_lines(book, Conditions(8, 2e6)) == book[2:]
    assert over_such_lines(book, Conditions(8, 2e6, sites=2)) == book, "better than none"
    assert over_such_lines([], Conditions(8, 2e6)) == []


def test_what_takes_less_than_a_second_is_told_as_that_alone() -> None:
    """A tenth of it is foreseen where three tenths came, and judges nothing that is longer."""

    def came(told_s: float, took_s: float) -> Book:
        book = with_forecast(Book(), msgspec.structs.replace(kept(1.0, p95_s=told_s), p50_s=told_s))
        return with_actual(book, "x/t", "aa", Actual(5.0, 4, took_s, took_s, took_s))

    assert calibration(came(0.1, 0.3).kept, "p95") == 1.0
    assert calibration(came(0.1, 20.0).kept, "p95") == 20.0
    assert calibration(came(20.0, 0.1).kept, "p95") == 0.05
    assert [len(alike(came(0.9, 0.9).kept, "p95", told_s)) for told_s in (0.9, 1.5)] == [0, 0]
    assert [len(alike(came(1.1, 1.1).kept, "p95", told_s)) for told_s in (0.9, 1.5)] == [0, 1]
    assert [foretold(told_s) for told_s in (0.0, 0.99, 1.0, 12.5)] == ["< 1 s", "< 1 s", "1.00 s", "12.50 s"]


def test_a_rollout_that_was_measured_wrongly_is_measured_again() -> None:
    """By a tracker that began anew it was too long; another knows better. Who came later says nothing of it."""
    too_long, right = Actual(5.0, 4, 9.0, 12.0, 13.5), Actual(5.0, 4, 7.8, 10.6, 12.0)
    book = with_actual(with_forecast(Book(), kept(1.0)), "x/t", "aa", too_long)
    assert with_actual(book, "x/t", "aa", right).kept[0].actual == right
    for other in (too_long, msgspec.structs.replace(right, peers=3), msgspec.structs.replace(right, last_s=None)):
        found = with_actual(with_actual(book, "x/t", "aa", right), "x/t", "aa", other)
        assert found.kept[0].actual == right, other
