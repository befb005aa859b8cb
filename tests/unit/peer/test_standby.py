"""A neighbour that stands by for a block that waits elsewhere: it comes from one of the two, and once."""

from __future__ import annotations

import random

from swarm.peer.instructions import CancelRun, Instruction, StandBy, StartRun
from swarm.peer.scheduler import Scheduler
from swarm.peer.standby import AGREE_S
from swarm.peer.wire import NOT_ORIGIN, SEED

SIZE = 300_000


def two() -> tuple[Scheduler, StartRun, StandBy]:
    """One block: the first neighbour was asked for it, the second stands by."""
    scheduler = Scheduler([SIZE], (), random.Random(0))
    (start,) = scheduler.peer_joined("first", origin=NOT_ORIGIN, bitmap=b"\x01", now=0.0)
    (standby,) = scheduler.peer_joined("second", origin=NOT_ORIGIN, bitmap=b"\x01", now=0.1)
    assert isinstance(start, StartRun)
    assert isinstance(standby, StandBy)
    scheduler.check_invariants()
    return scheduler, start, standby


def cancels(instructions: list[Instruction]) -> list[int]:
    return [instruction.run for instruction in instructions if isinstance(instruction, CancelRun)]


def taken_up(instructions: list[Instruction], standby: StandBy) -> bool:
    return StartRun(standby.run, "second", (0,), insist=False) in instructions


def test_when_the_first_begins_the_second_stands_down() -> None:
    scheduler, start, standby = two()
    assert cancels(scheduler.block_begun(start.run, 0, 0.3)) == [standby.run]
    assert scheduler.block_ready("second", standby.run, 0.4) == []
    scheduler.check_invariants()


def test_a_block_that_came_at_once_needs_nobody_to_stand_by() -> None:
    scheduler, start, standby = two()
    assert scheduler.block_received(start.run, 0, 0.3)
    assert cancels(scheduler.block_stored(0, 0.3)) == [standby.run]
    scheduler.check_invariants()


def test_the_second_is_asked_only_when_the_first_has_agreed_not_to_send() -> None:
    scheduler, start, standby = two()
    ready = scheduler.block_ready("second", standby.run, 0.3)
    assert ready == [CancelRun(start.run, "first", (0,), whole=False)]
    scheduler.check_invariants()
    agreed = scheduler.block_refused(start.run, 0, 0.4)
    assert taken_up(agreed, standby)
    assert scheduler.neighbours["first"].have == 1, "it has the block, and was only told not to send it"
    scheduler.run_ended(start.run, 0.4, failed=False)
    scheduler.check_invariants()


def test_what_the_first_began_before_it_was_told_comes_from_it() -> None:
    scheduler, start, standby = two()
    scheduler.block_ready("second", standby.run, 0.3)
    assert cancels(scheduler.block_begun(start.run, 0, 0.35)) == [standby.run]
    assert scheduler.block_received(start.run, 0, 0.5)
    scheduler.block_stored(0, 0.5)
    assert scheduler.fetched_twice_bytes == 0
    scheduler.check_invariants()


def test_a_first_that_falls_silent_is_not_waited_for() -> None:
    scheduler, _, standby = two()
    scheduler.block_ready("second", standby.run, 0.3)
    assert not taken_up(scheduler.tick(0.3 + AGREE_S / 2), standby)
    assert taken_up(scheduler.tick(0.4 + AGREE_S), standby)
    scheduler.check_invariants()


def test_when_the_first_leaves_whoever_is_ready_is_asked() -> None:
    scheduler, _, standby = two()
    scheduler.block_ready("second", standby.run, 0.3)
    assert taken_up(scheduler.peer_left("first", 0.35), standby)
    scheduler.check_invariants()


def test_when_the_first_leaves_and_the_second_is_not_ready_it_is_asked_like_any_other() -> None:
    scheduler, _, standby = two()
    instructions = scheduler.peer_left("first", 0.3)
    assert standby.run in cancels(instructions)
    (start,) = [instruction for instruction in instructions if isinstance(instruction, StartRun)]
    assert (start.peer, start.indices) == ("second", (0,))
    scheduler.check_invariants()


def test_when_the_second_leaves_the_first_goes_on() -> None:
    scheduler, start, standby = two()
    scheduler.block_ready("second", standby.run, 0.3)
    assert scheduler.peer_left("second", 0.35) == []
    scheduler.check_invariants()
    assert scheduler.block_received(start.run, 0, 0.5)


def test_a_third_may_not_say_that_the_second_is_ready() -> None:
    scheduler, _, standby = two()
    scheduler.peer_joined("third", origin=NOT_ORIGIN, bitmap=b"\x00", now=0.2)
    assert scheduler.block_ready("third", standby.run, 0.3) == []


def test_who_is_known_to_be_slower_than_the_queue_does_not_stand_by() -> None:
    """A slow neighbour is idle and ready at once: a block that waits a little elsewhere would take long from it."""
    for rate, expected in ((10_000.0, 0), (10_000_000.0, 1)):
        scheduler = Scheduler([SIZE] * 2, (0,), random.Random(0))
        scheduler.peer_joined("first", origin=NOT_ORIGIN, bitmap=b"\x02", now=0.0)
        scheduler.peer_joined("second", origin=NOT_ORIGIN, bitmap=b"\x00", now=0.0)
        scheduler.neighbours["second"].sending_bytes_per_s = rate
        told = scheduler.peer_has("second", (1,), 1.0)
        assert len([one for one in told if isinstance(one, StandBy)]) == expected


def test_a_block_that_comes_from_a_run_given_up_long_ago_leaves_nothing_behind() -> None:
    scheduler, start, standby = two()
    assert scheduler.block_received(start.run + 1000, 0, 0.3)
    assert set(cancels(scheduler.block_stored(0, 0.3))) == {standby.run, start.run}
    scheduler.check_invariants()


def test_in_whatever_order_things_happen_every_block_is_in_one_state() -> None:
    """Random events, also such as come late: from runs that were cancelled or given up, and of neighbours that left."""
    for seed in range(150):
        rng = random.Random(seed)
        count = rng.choice((3, 12, 40))
        scheduler = Scheduler([rng.randint(1000, SIZE) for _ in range(count)], (), random.Random(seed))
        started: list[StartRun | StandBy] = []
        now = 0.0
        for _ in range(150):
            now += rng.choice((0.001, 0.05, 0.5, 3.0))
            told = _something(scheduler, rng, started, count, now)
            started += [one for one in told if isinstance(one, StartRun | StandBy)]
            scheduler.check_invariants()


def _something(
    scheduler: Scheduler, rng: random.Random, started: list[StartRun | StandBy], count: int, now: float
) -> list[Instruction]:
    peer = f"peer-{rng.randrange(6)}"
    event = rng.randrange(12)
    if event == 0 or not started:
        bits = rng.getrandbits(count).to_bytes((count + 7) // 8, "little")
        return scheduler.peer_joined(peer, origin=SEED if peer == "peer-0" else NOT_ORIGIN, bitmap=bits, now=now)
    if event == 1:
        return scheduler.peer_left(peer, now)
    if event == 2:
        return scheduler.peer_has(peer, rng.sample(range(count), min(count, 3)), now)
    if event == 3:
        return scheduler.tick(now)
    run = rng.choice(started[-12:])
    if isinstance(run, StandBy):
        return scheduler.block_ready(run.peer, run.run, now)
    index = rng.choice(run.indices)
    if event in (4, 5):
        return scheduler.block_begun(run.run, index, now)
    if event == 6:
        ask = rng.choice((None, "peer-1", "peer-9"))
        return scheduler.block_refused(run.run, index, now, ask=ask, busy=rng.random() < 0.2)
    if event == 7:
        return scheduler.run_ended(run.run, now, failed=rng.random() < 0.3)
    return scheduler.block_stored(index, now) if scheduler.block_received(run.run, index, now) else []
