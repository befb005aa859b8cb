"""Upload slots: how many at a time, whose turn, what an origin gives once, and that nobody starves."""

from __future__ import annotations

import random

import pytest

from swarm.limits import RUNS_SERVED_MAX, RUNS_SERVED_PER_PEER_MAX
from swarm.peer.slots import FIRST, Slots
from swarm.peer.uploads import CREDIT_MAX_BYTES, READY, READY_S, Turn, Uploads
from swarm.peer.wire import ASK, BLOCK, NOT_HERE

VERSION = b"v" * 32


def one_slot() -> Uploads:
    slots = Slots()
    slots.number = 1
    return Uploads(slots)


def ask(uploads: Uploads, asker: str, run: int, *blocks: int, now: float = 0.0, spared: bool = False) -> None:
    uploads.asked(asker, run, VERSION, blocks, now, insist=False, spared=spared)


def turns(uploads: Uploads, now: float) -> list[Turn]:
    found = []
    while (turn := uploads.next(now)) is not None:
        found.append(turn)
    return found


def test_only_as_many_blocks_as_there_are_slots_are_sent_at_a_time() -> None:
    uploads = Uploads()
    for number in range(FIRST + 3):
        ask(uploads, f"asker-{number}", 1, number)
    first = turns(uploads, 0.0)
    assert [turn.status for turn in first] == [BLOCK] * FIRST
    uploads.done(first[0].asker, 1, 0.1, sent_bytes=1000)
    assert len(turns(uploads, 0.1)) == 1


def test_a_block_given_least_often_goes_first() -> None:
    uploads = one_slot()
    ask(uploads, "one", 1, 7)
    assert uploads.next(0.0) is not None
    ask(uploads, "two", 1, 7)
    ask(uploads, "three", 1, 8)
    uploads.done("one", 1, 0.1, sent_bytes=1000)
    turn = uploads.next(0.1)
    assert turn is not None
    assert turn.block == 8


def next_of_two(uploads: Uploads) -> str:
    """Who is served when one asks for a block after another, and another has waited before that."""
    ask(uploads, "first", 1, 1, 2, 3)
    assert uploads.next(0.0) is not None
    ask(uploads, "later", 1, 4, now=0.05)
    uploads.done("first", 1, 0.1, sent_bytes=1000)
    turn = uploads.next(0.1)
    assert turn is not None
    return turn.asker


def test_of_blocks_given_equally_often_the_asker_that_has_waited_longest_is_served() -> None:
    assert next_of_two(one_slot()) == "later"


def test_whoever_gave_us_more_goes_before_who_has_waited() -> None:
    uploads = one_slot()
    uploads.gave("first", 1000)
    assert next_of_two(uploads) == "first"


def test_what_was_given_long_ago_counts_less_than_what_is_given_now() -> None:
    uploads = one_slot()
    uploads.gave("later", CREDIT_MAX_BYTES)
    for _ in range(4):
        uploads.gave("first", CREDIT_MAX_BYTES)
    assert next_of_two(uploads) == "first"


def test_who_stands_by_is_told_of_its_turn_and_goes_first_when_it_asks() -> None:
    uploads = one_slot()
    uploads.stands_by("patient", 5, VERSION, 9, 0.0)
    assert turns(uploads, 0.0) == [Turn("patient", 5, 9, READY)]
    ask(uploads, "other", 1, 1)
    assert turns(uploads, 0.01) == [], "the slot is kept for it, for a moment"
    assert uploads.has_room("patient", 5)
    ask(uploads, "patient", 5, 9, now=0.05)
    assert turns(uploads, 0.05) == [Turn("patient", 5, 9, BLOCK)]
    uploads.check_invariants()


def test_who_was_told_of_its_turn_and_does_not_ask_holds_up_nobody() -> None:
    uploads = one_slot()
    uploads.stands_by("silent", 5, VERSION, 9, 0.0)
    ask(uploads, "other", 1, 1)
    assert [turn.status for turn in turns(uploads, 0.0)] == [READY]
    assert [turn.asker for turn in turns(uploads, READY_S)] == ["other"]


def test_who_stands_by_no_longer_is_told_nothing() -> None:
    uploads = one_slot()
    uploads.stands_by("one", 5, VERSION, 9, 0.0)
    uploads.stands_by("two", 6, VERSION, 9, 0.0)
    uploads.cancelled("one", 5, (), 0.0)
    uploads.left("two")
    assert turns(uploads, 0.0) == []
    assert uploads.runs_of("one") == uploads.runs_of("two") == []


def test_who_stands_by_takes_room_like_any_other() -> None:
    uploads = one_slot()
    for run in range(RUNS_SERVED_PER_PEER_MAX + 3):
        uploads.stands_by("many", run, VERSION, run, 0.0)
    assert len(uploads.runs_of("many")) == RUNS_SERVED_PER_PEER_MAX
    assert not uploads.has_room("many", 99)


def test_of_many_that_insist_at_once_two_are_given_the_block_and_the_others_are_sent_to_them_once() -> None:
    uploads = Uploads()
    ask(uploads, "silent", 1, 7, spared=True)
    assert [turn.status for turn in turns(uploads, 0.0)] == [BLOCK]
    uploads.done("silent", 1, 0.1, sent_bytes=1000)
    for asker in ("one", "two", "three", "four"):
        uploads.asked(asker, 1, VERSION, (7,), 5.0, insist=True, spared=True)
    answers = turns(uploads, 5.0)
    assert sorted(turn.status for turn in answers) == [BLOCK, BLOCK, ASK, ASK]
    receivers = {turn.asker for turn in answers if turn.status == BLOCK}
    assert {turn.ask for turn in answers if turn.status == ASK} <= receivers
    sent_away = next(turn.asker for turn in answers if turn.status == ASK)
    uploads.done(sent_away, 1, 5.0, sent_bytes=0)
    uploads.asked(sent_away, 2, VERSION, (7,), 6.0, insist=True, spared=True)
    assert [(turn.asker, turn.status) for turn in turns(uploads, 6.0)] == [(sent_away, BLOCK)]


def test_a_run_whose_blocks_others_rank_before_comes_to_its_turn() -> None:
    uploads = one_slot()
    ask(uploads, "first", 0, 0)
    assert uploads.next(0.0) is not None
    uploads.done("first", 0, 0.0, sent_bytes=1000)
    ask(uploads, "patient", 1, 0)
    now = 0.0
    for number in range(1, 40):
        ask(uploads, f"other-{number}", number, number, now=now)
        turn = uploads.next(now)
        assert turn is not None
        if turn.asker == "patient":
            return
        now += 0.05
        uploads.done(turn.asker, turn.run, now, sent_bytes=1000)
    pytest.fail("the run with the block that was given before starved")


def test_an_origin_gives_a_block_once_and_sends_the_others_to_who_got_it() -> None:
    uploads = one_slot()
    ask(uploads, "one", 1, 7, spared=True)
    ask(uploads, "two", 1, 7, spared=True)
    given, sent_on = turns(uploads, 0.0)
    assert (given.asker, given.status) == ("one", BLOCK)
    assert (sent_on.asker, sent_on.status, sent_on.ask) == ("two", ASK, "one")
    uploads.done("two", 1, 0.0, sent_bytes=0)
    uploads.asked("three", 1, VERSION, [7], 0.1, insist=True, spared=True)
    uploads.done("one", 1, 0.2, sent_bytes=1000)
    insisted = uploads.next(0.2)
    assert insisted is not None
    assert insisted.status == BLOCK


def test_a_block_whose_receiver_left_or_that_was_not_there_is_given_again() -> None:
    uploads = Uploads()
    ask(uploads, "one", 1, 7, spared=True)
    (given,) = turns(uploads, 0.0)
    uploads.ended(given.asker, given.run)
    ask(uploads, "two", 1, 7, spared=True)
    (again,) = turns(uploads, 0.1)
    assert again.status == BLOCK
    uploads.done("two", 1, 0.2, sent_bytes=1000)
    uploads.left("two")
    ask(uploads, "three", 1, 7, spared=True)
    assert [turn.status for turn in turns(uploads, 0.3)] == [BLOCK]


def test_what_is_cancelled_is_answered_at_once_and_not_sent() -> None:
    uploads = one_slot()
    ask(uploads, "one", 1, 1)
    assert uploads.next(0.0) is not None
    ask(uploads, "two", 5, 2, 3)
    uploads.cancelled("two", 5, [2], 0.1)
    (turn,) = turns(uploads, 0.1)
    assert (turn.asker, turn.block, turn.status) == ("two", 2, NOT_HERE)
    uploads.done("two", 5, 0.1, sent_bytes=0)
    uploads.done("one", 1, 0.1, sent_bytes=1000)
    following = uploads.next(0.1)
    assert following is not None
    assert (following.block, following.status) == (3, BLOCK)


def test_more_runs_than_the_limits_allow_are_not_taken() -> None:
    uploads = Uploads()
    for run in range(RUNS_SERVED_PER_PEER_MAX):
        assert uploads.has_room("one", run)
        ask(uploads, "one", run, run)
    assert not uploads.has_room("one", 99)
    assert not Uploads.has_room(uploads, "one", 0)
    number = 0
    while uploads.has_room(f"asker-{number}", 1):
        ask(uploads, f"asker-{number}", 1, 1)
        number += 1
    assert number == RUNS_SERVED_MAX - RUNS_SERVED_PER_PEER_MAX


def test_a_run_under_the_number_of_another_is_not_taken() -> None:
    uploads = Uploads()
    ask(uploads, "one", 1, 1)
    assert not uploads.has_room("one", 1)
    assert uploads.has_room("one", 2)
    assert uploads.has_room("two", 1)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_every_run_is_answered_block_by_block(seed: int) -> None:
    rng = random.Random(seed)
    uploads = Uploads()
    left: dict[tuple[str, int], list[int]] = {}
    sending: list[Turn] = []
    now = 0.0
    for step in range(400):
        now += rng.random() * 0.1
        asker, run = f"asker-{rng.randrange(6)}", step
        if step < 200 and uploads.has_room(asker, run):
            blocks = rng.sample(range(30), rng.randrange(1, 5))
            left[asker, run] = list(blocks)
            uploads.asked(asker, run, VERSION, blocks, now, insist=rng.random() < 0.2, spared=seed % 2 == 0)
        if left and rng.random() < 0.1:
            key = rng.choice(list(left))
            uploads.cancelled(*key, rng.sample(left[key], 1), now)
        if left and rng.random() < 0.05:
            key = rng.choice(list(left))
            uploads.ended(*key)
            del left[key]
            sending = [turn for turn in sending if (turn.asker, turn.run) != key]
        sending += turns(uploads, now)
        rng.shuffle(sending)
        while sending and rng.random() < 0.7:
            turn = sending.pop()
            key = turn.asker, turn.run
            assert turn.block == left[key].pop(0), "the blocks of a run are not answered in order"
            if not left[key]:
                del left[key]
            uploads.done(*key, now, sent_bytes=1000 if turn.status == BLOCK else 0)
    while left:
        now += 1.0
        sending += turns(uploads, now)
        assert sending, "runs wait and nobody has a turn"
        turn = sending.pop()
        assert turn.block == left[turn.asker, turn.run].pop(0)
        if not left[turn.asker, turn.run]:
            del left[turn.asker, turn.run]
        uploads.done(turn.asker, turn.run, now, sent_bytes=1000)
