"""Who is let in when many come."""

from __future__ import annotations

import random

from swarm.http.crowd import Crowd


def test_whoever_was_waited_for_longest_makes_room() -> None:
    crowd: Crowd[int] = Crowd(3, 3)
    assert [crowd.enter(who, "a") for who in (1, 2, 3)] == [(True, None)] * 3
    crowd.works(1)
    crowd.works(2)
    crowd.waits(2)
    assert crowd.enter(4, "b") == (True, 3)
    assert crowd.enter(5, "b") == (True, 2)
    crowd.works(4)
    crowd.works(5)
    assert crowd.enter(6, "c") == (False, None), "all are being answered"
    crowd.leave(1)
    assert crowd.enter(6, "c") == (True, None)


def test_an_address_takes_no_more_than_its_part_and_pushes_out_only_its_own() -> None:
    crowd: Crowd[str] = Crowd(4, 2)
    assert crowd.enter("honest", "b") == (True, None)
    assert crowd.enter("first", "a") == (True, None)
    assert crowd.enter("second", "a") == (True, None)
    assert [crowd.enter(f"more {n}", "a") for n in range(3)] == [(True, "first"), (True, "second"), (True, "more 0")]
    crowd.works("more 1")
    crowd.works("more 2")
    assert crowd.enter("one more", "a") == (False, None)
    assert crowd.enter("another", "c") == (True, None)


def test_whatever_happens_the_numbers_hold() -> None:
    rng = random.Random(1)
    crowd: Crowd[int] = Crowd(8, 4)
    inside: set[int] = set()
    for who in range(3000):
        is_let_in, gone = crowd.enter(who, rng.choice("abcd"))
        inside -= {gone} if gone is not None else set()
        inside |= {who} if is_let_in else set()
        for one in rng.sample(sorted(inside), min(2, len(inside))):
            rng.choice((crowd.works, crowd.waits))(one)
        if rng.random() < 0.3 and inside:
            left = rng.choice(sorted(inside))
            inside.discard(left)
            crowd.leave(left)
            crowd.leave(left)
            crowd.works(left)
            crowd.waits(left)
        crowd.check_invariants()
        assert len(crowd) == len(inside)
