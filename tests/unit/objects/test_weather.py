"""When a call is tried again, and when a store counts as away: tables of tries in made-up time."""

from __future__ import annotations

from swarm.objects.weather import (
    AWAY_AFTER_S,
    AWAY_TRIES,
    BUCKET_TOKENS,
    LEAST_RATE_BYTES_PER_S,
    TIMEOUT_COST,
    TRY_COST,
    Patience,
    Weather,
)


def test_an_outage_is_asked_once_a_call_when_the_bucket_is_empty() -> None:
    weather = Weather()
    tries = 0
    for _ in range(1000):
        for number in range(6):
            tries += 1
            weather.failed(0.0, 0.0, "no")
            if number == 5 or not weather.pay(timed_out=False):
                break
    assert tries == 1000 + BUCKET_TOKENS // TRY_COST


def test_a_timeout_costs_more_and_the_bucket_is_never_overdrawn() -> None:
    weather = Weather()
    while weather.pay(timed_out=True):
        pass
    assert 0 <= weather.tokens < TIMEOUT_COST


def test_answers_fill_the_bucket_and_a_try_that_helped_costs_nothing() -> None:
    weather = Weather()
    paid = weather.pay(timed_out=False)
    weather.answered(1.0, paid)
    assert weather.tokens == BUCKET_TOKENS
    while weather.pay(timed_out=False):
        pass
    for second in range(TRY_COST):
        weather.answered(float(second))
    assert weather.pay(timed_out=False)
    weather.answered(9.0)
    for _ in range(10 * BUCKET_TOKENS):
        weather.answered(10.0)
    assert weather.tokens == BUCKET_TOKENS


def test_away_is_who_answers_nothing_for_long_and_not_who_fails_for_a_moment() -> None:
    weather = Weather()
    weather.answered(100.0)
    for number in range(10 * AWAY_TRIES):
        weather.failed(101.0, 101.0 + number / 100, "no")
    assert not weather.is_away
    weather.answered(102.0)
    weather.failed(103.0, 103.0 + AWAY_AFTER_S, "no")
    for _ in range(AWAY_TRIES - 2):
        weather.failed(103.0, 103.0 + AWAY_AFTER_S, "no")
    assert not weather.is_away
    weather.failed(104.0, 103.0 + AWAY_AFTER_S, "late")
    assert (weather.away_since, weather.why) == (103.0, "late")
    weather.answered(120.0)
    assert (weather.away_since, weather.why) == (None, "")


def test_who_hangs_is_away_after_two_tries() -> None:
    weather = Weather()
    weather.failed(10.0, 10.0 + AWAY_AFTER_S, "slow", timed_out=True)
    assert not weather.is_away
    weather.failed(15.0, 15.0 + AWAY_AFTER_S, "slow", timed_out=True)
    assert weather.away_since == 10.0


def test_a_call_that_gave_up_means_away_unless_others_were_answered() -> None:
    weather = Weather()
    weather.failed(10.0, 10.1, "no")
    weather.answered(10.5)
    weather.failed(10.6, 10.7, "no")
    weather.gave_up(10.0, "no")
    assert not weather.is_away
    weather.gave_up(10.55, "no")
    assert weather.away_since == 10.6


# ---- one answer -----------------------------------------------------------------------------------------------------


def test_an_answer_of_which_nothing_comes_is_waited_for_once() -> None:
    patience = Patience(5.0, now=100.0)
    assert patience.left_s(100.0) == 5.0
    assert patience.left_s(104.0) == 1.0
    assert patience.left_s(106.0) == 0.0


def test_a_byte_now_and_then_buys_next_to_nothing() -> None:
    patience, now = Patience(5.0, now=0.0), 0.0
    while patience.left_s(now) > 0:
        now += 0.5
        patience.received(1, now)
    assert 5.0 <= now <= 5.5


def test_at_the_least_rate_there_is_no_end_and_below_it_there_is() -> None:
    ended = {}
    for share in (0.5, 1.0):
        patience, now = Patience(5.0, now=0.0), 0.0
        while patience.left_s(now) > 0 and now < 3600:
            now += 1.0
            patience.received(int(share * LEAST_RATE_BYTES_PER_S), now)
        ended[share] = now
    assert ended == {0.5: 10.0, 1.0: 3600.0}


def test_what_came_fast_buys_no_longer_silence_afterwards() -> None:
    patience = Patience(5.0, now=0.0)
    patience.received(100 * LEAST_RATE_BYTES_PER_S, now=1.0)
    assert patience.left_s(1.0) == 5.0
