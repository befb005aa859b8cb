"""How long a far end is waited for, in virtual time: looked at once a second, as a listener does."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from swarm.http.patience import LOOK_S, USUAL, Patience

# What happens in a second: it is told of the patience and the second.
Doing = Callable[[Patience, float], None]


def ended_after(
    doing: Doing = lambda patience, now: None,
    *,
    start: Iterable[Callable[[Patience], None]] = (),
    is_whole: bool = True,
    is_read: bool = True,
    unsent_bytes: Callable[[float], int] = lambda now: 0,
    most_s: float = 1000.0,
) -> tuple[float, str]:
    """When a connection is ended, and why; ``most_s`` and nothing if it is not."""
    patience = Patience(USUAL, 0.0)
    for step in start:
        step(patience)
    now = 0.0
    while now < most_s:
        now += LOOK_S
        doing(patience, now)
        why = patience.overdue(now, is_whole=is_whole, is_read=is_read, unsent_bytes=unsent_bytes(now))
        if why:
            return now, why
    return most_s, ""


def test_a_head_that_comes_byte_by_byte_is_ended_within_ten_seconds() -> None:
    assert ended_after(lambda patience, now: patience.received(1, now)) == (
        9.0,
        "the head of a request does not come",
    )


def test_so_is_a_connection_that_says_nothing() -> None:
    assert ended_after()[0] <= 10.0


def test_a_later_head_has_as_long_from_its_first_byte() -> None:
    def doing(patience: Patience, now: float) -> None:
        if now == 1.0:
            patience.begins(now, is_whole=True)
            patience.ends(now)
        elif now >= 40.0:
            patience.received(1, now)

    assert ended_after(doing) == (49.0, "the head of a request does not come")


def test_the_beginning_of_a_head_that_came_during_an_answer_counts() -> None:
    def doing(patience: Patience, now: float) -> None:
        if now == 1.0:
            patience.begins(now, is_whole=True)
        elif now == 5.0:
            patience.received(4, now)
        elif now == 30.0:
            patience.ends(now)

    assert ended_after(doing) == (39.0, "the head of a request does not come")


def test_between_requests_nothing_has_to_come_for_longer() -> None:
    def doing(patience: Patience, now: float) -> None:
        if now == 1.0:
            patience.begins(now, is_whole=True)
            patience.ends(now)

    assert ended_after(doing) == (76.0, "no request comes")


def begin_body(patience: Patience) -> None:
    patience.begins(0.0, is_whole=False)


@pytest.mark.parametrize(("rate", "until_s"), [(0, 9.0), (1, 9.0), (1000, 9.0), (1024, 200.0), (100_000, 200.0)])
def test_a_body_moves_at_a_least_rate(rate: int, until_s: float) -> None:
    found = ended_after(
        lambda patience, now: patience.received(rate, now), start=[begin_body], is_whole=False, most_s=200.0
    )
    assert found == (until_s, "the body of a request hardly comes" if until_s < 200.0 else "")


def test_a_body_that_stops_after_a_good_beginning_is_ended() -> None:
    found = ended_after(
        lambda patience, now: patience.received(1_000_000 if now <= 20 else 1, now), start=[begin_body], is_whole=False
    )
    assert found[0] <= 20 + 2 * USUAL.head_s


def test_a_body_that_we_do_not_read_on_is_not_its_sender_s_fault() -> None:
    assert ended_after(start=[begin_body], is_whole=False, is_read=False, most_s=300.0) == (300.0, "")


def test_a_request_under_way_may_take_long_when_its_body_has_come() -> None:
    assert ended_after(start=[begin_body], most_s=3600.0) == (3600.0, "")


def test_an_answer_that_is_taken_byte_by_byte_is_ended() -> None:
    found = ended_after(start=[begin_body], unsent_bytes=lambda now: 100_000 - int(now))
    assert found == (31.0, "an answer is hardly taken")


def test_an_answer_that_is_taken_slowly_is_not() -> None:
    found = ended_after(start=[begin_body], unsent_bytes=lambda now: 1_000_000 - int(now * 1100), most_s=800.0)
    assert found == (800.0, "")


def test_an_answer_of_which_more_can_be_sent_moves() -> None:
    def doing(patience: Patience, now: float) -> None:
        if now % 20 == 0:
            patience.moved()

    assert ended_after(doing, start=[begin_body], unsent_bytes=lambda now: 65_536, most_s=300.0) == (300.0, "")


def test_whose_turn_it_is() -> None:
    patience = Patience(USUAL, 0.0)
    assert patience.is_waiting
    patience.begins(1.0, is_whole=True)
    assert not patience.is_waiting
    patience.ends(2.0)
    assert patience.is_waiting
    patience.begins(3.0, is_whole=False)
    assert patience.is_waiting
    patience.overdue(4.0, is_whole=True, is_read=True, unsent_bytes=0)
    assert not patience.is_waiting
