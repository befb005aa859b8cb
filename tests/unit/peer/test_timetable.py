"""Limits by the clock: what a setting says, at which moment of the week, and what is refused."""

from __future__ import annotations

import math

import pytest

from swarm.errors import UsageError
from swarm.peer.timetable import Moment, Timetable, parse_timetable

MBIT = 125_000.0
NOON = 12 * 60


def rate(text: str, weekday: int, minute: int) -> float:
    return parse_timetable(text, "upload_limit").rate_at(Moment(weekday, minute)) / MBIT


def test_one_rate_counts_always() -> None:
    assert {rate("10mbit", day, minute) for day in range(7) for minute in (0, NOON, 1439)} == {10.0}
    assert parse_timetable("", "upload_limit") == Timetable()
    assert not Timetable().is_limit


def test_a_span_counts_from_its_first_minute_to_before_its_last() -> None:
    text = "10mbit, mon-fri 08:00-18:00 2mbit"
    assert [rate(text, 0, minute) for minute in (479, 480, 1079, 1080)] == [10.0, 2.0, 2.0, 10.0]
    assert [rate(text, day, NOON) for day in range(7)] == [2.0] * 5 + [10.0] * 2


def test_a_span_past_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    text = "1mbit, fri 22:00-06:00 8mbit"
    assert [rate(text, 4, 1319), rate(text, 4, 1320), rate(text, 5, 359), rate(text, 5, 360)] == [1, 8, 8, 1]
    assert rate(text, 4, 100) == 1.0
    assert rate("1mbit, sun 22:00-06:00 8mbit", 0, 100) == 8.0  # Monday comes after Sunday


def test_the_first_span_that_holds_a_moment_counts_and_days_may_go_over_the_week_end() -> None:
    text = "none, sat-mon 0, daily 00:00-12:00 4mbit"
    assert [rate(text, day, 60) for day in range(7)] == [0, 4, 4, 4, 4, 0, 0]
    assert rate(text, 2, NOON) == math.inf
    assert parse_timetable(text, "upload_limit").is_limit


@pytest.mark.parametrize(
    "text",
    [
        *("fast", "10", "10mbits", "63kbit", "-1mbit", "1234567mbit", "10mbit, 5mbit", "mon", "mon-may 1mbit"),
        *("10mbit, mon-fri 8:00-18:00 2mbit", "mon 25:00-26:00 1mbit", "mon 24:01-23:00 1mbit"),
        *("mon 08:60-09:00 1mbit", "mon 08:00-08:00 1mbit", "may 08:00-09:00 1mbit", "10mbit" + ", mon 1mbit" * 32),
    ],
)
def test_what_says_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="upload_limit"):
        parse_timetable(text, "upload_limit")


def test_fetching_cannot_be_stopped_by_a_limit() -> None:
    assert parse_timetable("0", "upload_limit").bytes_per_s == 0
    with pytest.raises(UsageError, match="cannot be 0"):
        parse_timetable("1mbit, sun 0", "download_limit", may_stop=False)
