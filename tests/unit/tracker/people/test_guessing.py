"""Who guesses waits; nobody is locked out for ever; memory is bounded."""

from __future__ import annotations

import pytest

from swarm.tracker.people import guessing
from swarm.tracker.people.guessing import FORGOTTEN_S, OF_NAME, OF_NETWORK, OF_PAIR, Guessing, network_of

HERE, THERE = "192.0.2.1", "198.51.100.7"


def _fail(kept: Guessing, name: str, address: str, now: float, times: int = 1) -> None:
    for _ in range(times):
        kept.begin(name, address, now)


def test_some_failures_are_free_and_then_each_doubles_the_wait_up_to_a_bound() -> None:
    kept = Guessing()
    _fail(kept, "alice", HERE, 0.0, OF_PAIR.free - 1)
    assert kept.wait_s("alice", HERE, 0.0) == 0
    waits = []
    for _ in range(12):
        kept.begin("alice", HERE, 0.0)
        waits.append(kept.wait_s("alice", HERE, 0.0))
    assert waits[:4] == [1.0, 2.0, 4.0, 8.0] and max(waits) == OF_PAIR.most_s
    assert kept.wait_s("alice", HERE, OF_PAIR.most_s) == 0


def test_a_guesser_makes_few_attempts_in_an_hour() -> None:
    """However often he asks: who is told to wait is not counted, and does not wait longer for asking."""
    kept, made, now = Guessing(), 0, 0.0
    while now < 3600:
        if kept.wait_s("alice", HERE, now) == 0:
            kept.begin("alice", HERE, now)
            made += 1
        now += 0.25
    assert made <= OF_PAIR.free + 6 + 3600 / OF_PAIR.most_s


def test_many_at_once_are_counted_before_the_first_has_failed() -> None:
    kept = Guessing()
    let_in = 0
    for _ in range(100):
        if kept.wait_s("alice", HERE, 0.0) == 0:
            kept.begin("alice", HERE, 0.0)
            let_in += 1
    assert let_in == OF_PAIR.free


def test_who_tries_one_password_on_many_names_waits_too() -> None:
    kept = Guessing()
    for number in range(OF_NETWORK.free):
        assert kept.wait_s(f"user{number}", HERE, 0.0) == 0
        kept.begin(f"user{number}", HERE, 0.0)
    assert kept.wait_s("another", HERE, 0.0) > 0 and kept.wait_s("another", THERE, 0.0) == 0


def test_nobody_is_locked_out_for_ever_by_others() -> None:
    """A name that is guessed at from everywhere is open again after some seconds, at most; and where it was proved
    before it is not closed at all.
    """
    kept = Guessing()
    kept.begin("alice", "203.0.113.5", 0.0)
    kept.succeeded("alice", "203.0.113.5", 0.0)
    for number in range(500):
        kept.begin("alice", f"10.0.{number // 250}.{number % 250}", 1.0)
    assert 0 < kept.wait_s("alice", THERE, 1.0) <= OF_NAME.most_s
    assert kept.wait_s("alice", THERE, 1.0 + OF_NAME.most_s) == 0
    assert kept.wait_s("alice", "203.0.113.5", 1.0) == 0


def test_who_guesses_at_others_from_ones_own_network_does_not_close_it() -> None:
    kept = Guessing()
    kept.begin("alice", HERE, 0.0)
    kept.succeeded("alice", HERE, 0.0)
    for number in range(100):
        kept.begin(f"user{number}", HERE, 1.0)
    assert kept.wait_s("alice", HERE, 1.0) == 0
    assert kept.wait_s("bob", HERE, 1.0) > 0
    _fail(kept, "alice", HERE, 1.0, OF_PAIR.free + 1)
    assert kept.wait_s("alice", HERE, 1.0) > 0


def test_success_forgets_the_failures_of_a_name_and_not_those_of_its_network() -> None:
    kept = Guessing()
    _fail(kept, "bob", HERE, 0.0, OF_NETWORK.free)
    kept.begin("alice", HERE, 0.0)
    kept.succeeded("alice", HERE, 0.0)
    assert kept.wait_s("bob", HERE, 0.0) > 0
    kept = Guessing()
    _fail(kept, "alice", HERE, 0.0, OF_PAIR.free)
    kept.begin("alice", HERE, 9.0)
    kept.succeeded("alice", HERE, 9.0)
    assert kept.wait_s("alice", HERE, 9.0) == 0


def test_all_is_forgotten_after_a_while_of_quiet() -> None:
    kept = Guessing()
    _fail(kept, "alice", HERE, 0.0, 20)
    later = FORGOTTEN_S + 1
    assert kept.wait_s("alice", HERE, later) == 0
    _fail(kept, "alice", HERE, later, OF_PAIR.free - 1)
    assert kept.wait_s("alice", HERE, later) == 0


def test_a_line_of_v6_is_one_network() -> None:
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::1")
    assert network_of("192.0.2.1") == "192.0.2.1" and network_of("somewhere") == "somewhere"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "KEPT_MAX", 50)
    kept = Guessing()
    for number in range(1000):
        kept.begin(f"user{number}", f"10.0.{number // 250}.{number % 250}", float(number))
        kept.succeeded(f"user{number}", f"10.0.{number // 250}.{number % 250}", float(number))
        kept.begin(f"user{number}", f"10.0.{number // 250}.{number % 250}", float(number))
    assert len(kept) <= 4 * 50
