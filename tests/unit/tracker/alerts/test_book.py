"""For how long something has to be wrong: pending, firing, resolved; one alert however often it is found; bounded."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from swarm.alert_messages import ALERTS_MAX, RULES
from swarm.tracker.alerts.book import RESOLVED_KEPT_S, Book
from swarm.tracker.alerts.rules import Found

STALLED = Found(
    "AetherfsRolloutStalled", "rollout", "maps/roads:stable", "critical", 5, 0, "peers", "5 are behind", "look", "m/r"
)


def states(book: Book) -> list[str]:
    book.check_invariants()
    return [alert.state for alert in book.alerts()]


def test_what_holds_for_long_enough_fires_once_and_is_resolved_once_it_is_gone_for_long_enough() -> None:
    book = Book()
    for at, found, expected in (
        (1000, [STALLED], ["pending"]),
        (1059, [STALLED], ["pending"]),
        (1060, [STALLED], ["firing"]),
        (1100, [replace(STALLED, value=9)], ["firing"]),
        (1110, [], ["firing"]),
        (1139, [], ["firing"]),
        (1140, [], ["resolved"]),
        (1141 + RESOLVED_KEPT_S, [], []),
    ):
        book.take(found, at)
        assert states(book) == expected, at


def test_a_moment_is_no_alert() -> None:
    book = Book()
    book.take([STALLED], 1000)
    book.take([], 1005)
    assert states(book) == []
    book.take([STALLED], 1059)
    book.take([STALLED], 1061)
    assert states(book) == ["pending"]


def test_a_gap_that_is_shorter_than_the_patience_ends_nothing() -> None:
    book = Book()
    for at in (1000, 1060):
        book.take([STALLED], at)
    fired = book.alerts()[0].fired
    for at in range(1070, 1400, 20):
        book.take([STALLED] if at % 40 else [], at)
        assert states(book) == ["firing"]
    assert book.alerts()[0].fired == fired


def test_under_the_limit_where_it_began_it_goes_on_and_begins_nowhere() -> None:
    less = replace(STALLED, is_over=False)
    book = Book()
    book.take([less], 900)
    assert states(book) == []
    for at in (1000, 1060):
        book.take([STALLED], at)
    book.take([less], 2000)
    assert states(book) == ["firing"]
    book.take([], 2010)
    book.take([], 2100)
    book.take([less], 2110)
    assert states(book) == ["resolved"]


def test_what_comes_back_is_the_same_alert_anew() -> None:
    book = Book()
    for at, found in (
        (1000, [STALLED]),
        (1060, [STALLED]),
        (1070, []),
        (1170, []),
        (2000, [STALLED]),
        (2060, [STALLED]),
    ):
        book.take(found, at)
    (alert,) = book.alerts()
    assert (alert.state, alert.since, alert.fired, alert.resolved) == ("firing", 2000, 2060, 0)


def test_firing_and_critical_come_first() -> None:
    book = Book()
    warning = replace(STALLED, rule="AetherfsHashFailures", severity="warning", subject="p1")
    book.take([warning, replace(STALLED, subject="old")], 1000)
    book.take([warning, replace(STALLED, subject="old"), replace(STALLED, subject="new")], 1060)
    assert [alert.subject for alert in book.alerts()] == ["old", "p1", "new"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.lists(st.tuples(st.sampled_from(RULES), st.integers(0, 900), st.booleans()), max_size=40),
        ),
        max_size=30,
    )
)
def test_whatever_is_found_the_book_is_in_order(rounds: list[tuple[int, list[tuple[str, int, bool]]]]) -> None:
    book, now = Book(), 10_000
    for passed, found in rounds:
        now += passed
        book.take([replace(STALLED, rule=r, subject=str(s), is_over=over) for r, s, over in found], now)
        book.check_invariants()


def test_too_many_are_forgotten_the_least_first() -> None:
    book = Book()
    many = [
        replace(STALLED, rule="AetherfsHashFailures", severity="warning", subject=str(n)) for n in range(ALERTS_MAX)
    ]
    book.take([*many, replace(STALLED, rule="AetherfsHashFailures", subject="worst")], 1000)
    assert len(book.alerts()) == ALERTS_MAX
    assert book.alerts()[0].subject == "worst"
