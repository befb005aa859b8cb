"""Ranges and preconditions, as RFC 9110 has them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.http.ranges import (
    Range,
    UnsatisfiableError,
    Validators,
    http_date,
    is_failed,
    is_unmodified,
    may_resume,
    parse_date,
    parse_ranges,
)

NOW = 1_700_000_000
OURS = Validators('"abc"', NOW, is_dated=True)


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        (None, []),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-", [(0, 1000)]),
        ("bytes=990-5000", [(990, 1000)]),
        ("bytes=-10", [(990, 1000)]),
        ("bytes=-5000", [(0, 1000)]),
        ("bytes= 1-2 , 5-6 ", [(1, 3), (5, 7)]),
        ("bytes=5-6,1-2", [(5, 7), (1, 3)]),
        ("bytes=0-4,5-9", [(0, 10)]),
        ("bytes=0-5,3-9,900-", [(0, 10), (900, 1000)]),
        ("bytes=2000-,1-1", [(1, 2)]),
        ("bytes=,1-1,", [(1, 2)]),
        ("bytes=5-4", []),
        ("bytes=a-b", []),
        ("bytes=", []),
        ("bytes=1-2,x", []),
        ("lines=1-2", []),
        ("bytes=--1", []),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 60, 2)), []),
        ("bytes=0-900,5-950,1-999", [(0, 1000)]),
        ("bytes=" + "1" * 5000 + "-", []),
    ],
)
def test_what_is_sent(header: str | None, ranges: list[tuple[int, int]]) -> None:
    assert parse_ranges(header, 1000) == [Range(*one) for one in ranges]


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=5000-,6000-7000"])
def test_what_lies_outside_is_unsatisfiable(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        parse_ranges(header, 1000)


def test_of_nothing_no_range_is_had() -> None:
    with pytest.raises(UnsatisfiableError):
        parse_ranges("bytes=0-", 0)


@given(st.text(alphabet="bytes=0123456789-, ", max_size=40), st.integers(0, 50))
def test_whatever_is_asked_ranges_lie_inside_and_apart(header: str, size: int) -> None:
    try:
        ranges = parse_ranges("bytes=" + header, size)
    except UnsatisfiableError:
        return
    assert all(0 <= begin < end <= size for begin, end in ranges)
    ordered = sorted(ranges)
    assert all(before.end < after.begin for before, after in pairwise(ordered))


def test_an_etag_in_a_list_or_a_star_means_unmodified_and_goes_before_the_date() -> None:
    for header in ('"abc"', 'W/"abc"', '"x", "abc"', "*", ' "abc" '):
        assert is_unmodified(OURS, header, None)
    for header in ('"abd"', "abc", "", '"x'):
        assert not is_unmodified(OURS, header, http_date(NOW))


def test_a_date_counts_only_when_it_is_the_same_and_names_nothing_else() -> None:
    assert is_unmodified(OURS, None, http_date(NOW))
    assert may_resume(OURS, http_date(NOW))
    for other in (http_date(NOW - 1), http_date(NOW + 1), "yesterday", ""):
        assert not is_unmodified(OURS, None, other)
        assert not may_resume(OURS, other)
    doubtful = Validators('"abc"', NOW, is_dated=False)
    assert not is_unmodified(doubtful, None, http_date(NOW))
    assert not may_resume(doubtful, http_date(NOW))
    assert not may_resume(Validators('"abc"'), "nonsense")


def test_a_part_is_resumed_for_the_strong_etag_alone() -> None:
    assert may_resume(OURS, None)
    assert may_resume(OURS, '"abc"')
    assert not may_resume(OURS, 'W/"abc"')
    assert not may_resume(OURS, '"abd"')


def test_if_match_fails_for_other_bytes_and_weak_tags() -> None:
    assert not is_failed(OURS, None)
    assert not is_failed(OURS, '"x", "abc"')
    assert not is_failed(OURS, "*")
    assert is_failed(OURS, '"x"')
    assert is_failed(OURS, 'W/"abc"')


def test_dates_go_there_and_back() -> None:
    assert parse_date(http_date(NOW)) == NOW
    assert parse_date("Sun Nov  6 08:49:37 1994") is not None
