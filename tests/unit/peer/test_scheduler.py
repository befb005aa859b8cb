"""The scheduler event by event; whole swarms of it are in ``tests/sim``."""

from __future__ import annotations

import random

from swarm.peer.instructions import CancelRun, Finished, StartRun
from swarm.peer.scheduler import Scheduler
from swarm.peer.wire import NOT_ORIGIN, SEED


def test_a_redirect_that_leads_nowhere_ends_at_the_origin_with_insistence() -> None:
    scheduler = Scheduler([1000], (), random.Random(0))
    (start,) = scheduler.peer_joined("origin", origin=SEED, bitmap=None, now=0.0)
    assert isinstance(start, StartRun)
    assert not start.insist
    scheduler.block_refused(start.run, 0, 0.1, ask="other")
    assert scheduler.run_ended(start.run, 0.1, failed=False) == []
    again: list[object] = []
    now = 0.1
    while not again and now < 60:
        now += 0.1
        again = list(scheduler.tick(now))
    assert isinstance(again[0], StartRun)
    assert again[0].insist


def test_a_redirect_to_a_banned_peer_is_not_waited_for() -> None:
    scheduler = Scheduler([1000], (), random.Random(0))
    (start,) = scheduler.peer_joined("origin", origin=SEED, bitmap=None, now=0.0)
    assert isinstance(start, StartRun)
    assert scheduler.block_refused(start.run, 0, 0.1, ask="liar", banned=True) == [], "it is not dialled"
    scheduler.run_ended(start.run, 0.1, failed=False)
    (again,) = scheduler.tick(0.2)
    assert isinstance(again, StartRun)
    assert again.insist


def test_what_a_dropped_neighbour_was_asked_for_is_missing_again_and_another_is_asked() -> None:
    scheduler = Scheduler([1000, 1000], (), random.Random(0))
    (start,) = scheduler.peer_joined("liar", origin=NOT_ORIGIN, bitmap=b"\x03", now=0.0)
    assert isinstance(start, StartRun)
    scheduler.block_begun(start.run, start.indices[0], 0.1)
    scheduler.peer_left("liar", 0.1)  # what it sent is not the block
    scheduler.check_invariants()
    (again,) = scheduler.peer_joined("honest", origin=NOT_ORIGIN, bitmap=b"\x03", now=0.2)
    assert isinstance(again, StartRun)
    assert set(again.indices) == {0, 1}


def test_a_block_that_came_from_one_is_cancelled_at_the_other() -> None:
    scheduler = Scheduler([100_000] * 8, (), random.Random(0))
    (slow, *_) = scheduler.peer_joined("slow", origin=NOT_ORIGIN, bitmap=b"\xff", now=0.0)
    assert isinstance(slow, StartRun)
    for index in slow.indices[:1]:
        scheduler.block_received(slow.run, index, 0.5)
        scheduler.block_stored(index, 0.5)
    scheduler.block_received(999, slow.indices[1], 0.6)  # from a run that was given up
    instructions = scheduler.block_stored(slow.indices[1], 0.6)
    assert CancelRun(slow.run, "slow", (slow.indices[1],), whole=False) in instructions
    scheduler.check_invariants()


def test_nothing_to_fetch_is_finished_at_once() -> None:
    scheduler = Scheduler([1000, 2000], (0, 1), random.Random(0))
    assert scheduler.tick(0.0) == [Finished()]
    assert scheduler.tick(1.0) == []
    assert scheduler.waiting_for() == "nothing: complete"


def test_a_neighbour_that_tells_anew_what_it_holds_is_not_asked_anew() -> None:
    scheduler = Scheduler([100_000] * 8, (), random.Random(0))
    (start, *_) = scheduler.peer_joined("peer", origin=NOT_ORIGIN, bitmap=b"\x0f", now=0.0)
    assert isinstance(start, StartRun)
    more = scheduler.peer_joined("peer", origin=NOT_ORIGIN, bitmap=None, now=0.1)
    scheduler.check_invariants()
    asked = [index for run in (start, *more) if isinstance(run, StartRun) for index in run.indices]
    assert len(asked) == len(set(asked)), "a block that is on its way was asked for a second time"
    assert [scheduler.picker.copies(index) for index in range(8)] == [1] * 8
    for index in start.indices:
        assert scheduler.block_received(start.run, index, 0.2)
        scheduler.block_stored(index, 0.2)
    assert scheduler.fetched_twice_bytes == 0
