"""The scheduler in virtual time: completion, sparing the origin, slow, silent and leaving neighbours, waste."""

from __future__ import annotations

import random

import pytest

from swarm.peer.instructions import CancelRun, Finished, StartRun
from swarm.peer.scheduler import Scheduler
from swarm.peer.wire import NOT_ORIGIN, SEED
from tests.unit.peer.simulation import Simulation

MBIT = 125_000.0
SIZES = [random.Random(1).randint(65_536, 1 << 20) for _ in range(120)]


@pytest.mark.parametrize("seed", range(12))
def test_everyone_completes_and_the_origin_sends_little_more_than_one_copy(seed: int) -> None:
    simulation = Simulation(seed, SIZES, 50 * MBIT, [50 * MBIT] * 6)
    simulation.run(600)
    schedulers = [peer.scheduler for peer in simulation.peers.values() if peer.scheduler is not None]
    assert all(scheduler.is_complete for scheduler in schedulers)
    assert simulation.origin.sent_bytes <= 1.5 * sum(SIZES)
    wasted = sum(scheduler.fetched_twice_bytes for scheduler in schedulers)
    assert wasted <= 0.05 * sum(SIZES) * len(schedulers)


@pytest.mark.parametrize("seed", range(6))
def test_a_slow_and_a_silent_peer_hold_nobody_up(seed: int) -> None:
    clean = Simulation(seed, SIZES, 50 * MBIT, [50 * MBIT] * 6)
    clean.run(600)
    simulation = Simulation(seed, SIZES, 50 * MBIT, [50 * MBIT] * 4 + [2.5 * MBIT, 50 * MBIT])
    simulation.peers["peer-5"].silent = True
    simulation.run(600)
    honest = [simulation.peers[f"peer-{number}"] for number in range(5)]
    assert all(peer.done_at is not None for peer in honest)
    slowest = max(peer.done_at or 0.0 for peer in clean.peers.values())
    assert max(peer.done_at or 1e9 for peer in honest[:4]) <= 5 * slowest


@pytest.mark.parametrize("seed", range(6))
def test_peers_that_leave_take_nothing_with_them(seed: int) -> None:
    simulation = Simulation(seed, SIZES, 50 * MBIT, [50 * MBIT] * 6)
    rng = random.Random(seed)
    for name in rng.sample(["peer-0", "peer-1", "peer-2", "peer-3"], 2):
        simulation.at(rng.uniform(0.5, 5.0), lambda name=name: simulation.leave(name))  # type: ignore[misc]
    simulation.run(600)
    for peer in simulation.peers.values():
        if peer.scheduler is not None and not peer.gone:
            assert peer.done_at is not None
            assert peer.held == set(range(len(SIZES)))


def test_the_same_seed_replays_exactly() -> None:
    def times(seed: int) -> list[float | None]:
        simulation = Simulation(seed, SIZES, 50 * MBIT, [30 * MBIT] * 4)
        simulation.run(600)
        return [peer.done_at for peer in simulation.peers.values()]

    assert times(7) == times(7)
    assert times(7) != times(8)


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


def test_a_bad_block_is_missing_again_and_another_neighbour_is_asked() -> None:
    scheduler = Scheduler([1000, 1000], (), random.Random(0))
    (start,) = scheduler.peer_joined("liar", origin=NOT_ORIGIN, bitmap=b"\x03", now=0.0)
    assert isinstance(start, StartRun)
    assert scheduler.block_received(start.run, start.indices[0], 0.1)
    scheduler.block_bad(start.indices[0])
    scheduler.peer_left("liar", 0.1)
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
