"""What loss costs, held against values worked out by hand, and that it is what the simulated links do."""

from __future__ import annotations

import math
import random
from statistics import mean

import pytest

from swarm.sim.links import MBIT
from swarm.sim.loss import RETRANSMIT_S, either, late_s, most_bytes_per_s, sent_bytes
from swarm.sim.peer import Access
from swarm.sim.run import simulate
from swarm.sim.scenarios import Settings
from swarm.sim.swarm import Swarm


def test_the_rate_of_one_connection_is_that_of_mathis() -> None:
    assert most_bytes_per_s(0.01, 0.1) == pytest.approx(1448 / 0.1 * 12.2474, rel=1e-4)
    assert most_bytes_per_s(0.04, 0.1) == pytest.approx(most_bytes_per_s(0.01, 0.1) / 2)
    assert most_bytes_per_s(0.01, 0.2) == pytest.approx(most_bytes_per_s(0.01, 0.1) / 2)
    assert most_bytes_per_s(0.0, 0.1) == math.inf


def test_what_is_lost_is_sent_again_and_two_lines_lose_more_than_one() -> None:
    assert sent_bytes(99.0, 0.01) == pytest.approx(100.0)
    assert either(0.1, 0.2) == pytest.approx(0.28)


def test_a_message_waits_for_its_timeout_as_often_as_it_is_lost() -> None:
    rng = random.Random(1)
    late = [late_s(0.1, 0.05, rng) for _ in range(20_000)]
    assert sum(wait > 0 for wait in late) / len(late) == pytest.approx(0.1, rel=0.1)
    assert min(wait for wait in late if wait) == pytest.approx(RETRANSMIT_S + 0.1)
    # Once with 0.09, twice with 0.009 and so on, each time for twice as long.
    assert mean(late) == pytest.approx(0.3 * 0.09 * (1 + 3 * 0.1 + 7 * 0.01 + 15 * 0.001), rel=0.1)
    state = rng.getstate()
    assert late_s(0.0, 0.05, rng) == 0.0
    assert rng.getstate() == state, "where nothing is lost nothing is drawn"


def last_s(lost: float, delay_s: float, size: int = 1_000_000) -> float:
    """How long one block takes from an origin to one peer over lines of 1,000 Mbit/s."""
    swarm = Swarm(1, [size], neighbours=8, tick_s=0.1)
    line = Access(1000 * MBIT, 1000 * MBIT, delay_s, lost=lost)
    swarm.add_origin(line)
    peer = swarm.add_peer(line)
    swarm.clock.run(1e6, lambda: not swarm.fetching)
    assert peer.done_at is not None
    return peer.done_at


def test_a_block_over_a_lossy_line_takes_what_one_connection_takes() -> None:
    lost = either(0.02, 0.02)
    takes_s = sent_bytes(1_000_000, lost) / most_bytes_per_s(lost, 2 * (0.05 + 0.05 + 0.01))
    assert last_s(0.02, 0.05) == pytest.approx(takes_s, rel=0.1)
    assert last_s(0.0, 0.05) < takes_s / 10


def test_loss_makes_a_swarm_slower_and_its_books_still_add_up() -> None:
    settings = Settings(12, 32, 4, 24, 50 * MBIT, 0.1)
    lossy, mixed = simulate("lossy", settings), simulate("mixed", settings)
    assert not lossy.violations
    assert lossy.p50_s > 1.2 * mixed.p50_s
