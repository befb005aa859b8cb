"""Every scenario over many seeds: everybody done, every byte accounted for, the origin spared, little wasted."""

from __future__ import annotations

from typing import Final

import pytest

from swarm.sim.links import MBIT
from swarm.sim.run import Outcome, simulate
from swarm.sim.scenarios import SCENARIOS, Settings
from tests.sim.kept_seeds import KEPT

# Scenario: peers, blocks, seeds, and at most so many copies from the origin and so much of all bytes in vain. Free
# riders take blocks from the origin and give none on, and who dies takes some along.
SMALL: Final[dict[str, tuple[int, int, int, float, float]]] = {
    "plain": (8, 48, 60, 1.15, 0.05),
    "mixed": (20, 48, 40, 1.3, 0.10),
    "lossy": (20, 48, 30, 1.6, 0.10),
    "slow": (8, 48, 40, 1.5, 0.15),
    "silent": (8, 48, 30, 1.8, 0.10),
    "sites": (9, 32, 20, 1.6, 0.25),
    "partition": (9, 32, 20, 2.5, 0.40),
    "churn": (30, 32, 20, 6.0, 0.40),
    "only-holder-slow": (8, 48, 30, 1.3, 0.10),
    "slow-neighbour-holds-all": (6, 48, 40, 1.3, 0.10),
    "no-tracker": (20, 32, 30, 1.6, 0.15),
    "freeriders": (10, 32, 30, 4.0, 0.10),
}


def run(scenario: str, peers: int, blocks: int, seed: int) -> Outcome:
    settings = Settings(peers=peers, blocks=blocks, seed=seed, neighbours=24, rate=50 * MBIT, tick_s=0.1)
    return simulate(scenario, settings, checks_every=50)


def test_every_scenario_is_run() -> None:
    assert set(SMALL) == set(SCENARIOS)


@pytest.mark.parametrize("scenario", sorted(SMALL))
def test_many_small_swarms(scenario: str) -> None:
    peers, blocks, seeds, copies, wasted = SMALL[scenario]
    for seed in range(1, seeds + 1):
        outcome = run(scenario, peers, blocks, seed)
        replay = f"python -m swarm.sim --scenario {scenario} --peers {peers} --blocks {blocks} --seed {seed}"
        assert not outcome.violations, (replay, outcome.violations)
        assert outcome.done_share == 1.0, replay
        assert outcome.origin_copies <= copies, (replay, outcome.origin_copies)
        assert outcome.wasted_share <= wasted, (replay, outcome.wasted_share)


@pytest.mark.parametrize(("scenario", "peers", "blocks", "seed"), KEPT)
def test_seeds_that_failed_once(scenario: str, peers: int, blocks: int, seed: int) -> None:
    outcome = run(scenario, peers, blocks, seed)
    assert not outcome.violations
    assert outcome.done_share == 1.0


def test_sixteen_equal_peers_are_done_near_the_bound_and_the_origin_sends_one_copy() -> None:
    outcomes = [run("plain", 16, 205, seed) for seed in (1, 2, 3)]
    assert max(outcome.last_over_bound for outcome in outcomes) <= 1.30
    assert max(outcome.origin_copies for outcome in outcomes) <= 1.05
    assert max(outcome.wasted_share for outcome in outcomes) <= 0.02


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_from_an_only_holder_twenty_times_slower_all_have_everything_when_it_has_sent_it_once(seed: int) -> None:
    """The bound is its line's, headers and all, which alone take a twentieth."""
    outcome = run("only-holder-slow", 8, 205, seed)
    assert not outcome.violations
    assert outcome.done_share == 1.0
    assert outcome.bound_s >= 20 * run("plain", 8, 205, seed).bound_s * 0.99
    assert outcome.last_over_bound <= 1.08
    assert outcome.origin_copies <= 1.02


@pytest.mark.parametrize("peers", [2, 8])
def test_a_slow_holder_of_everything_makes_nobody_slower_than_without_it(peers: int) -> None:
    """Over some seeds, in virtual time; the holder is 20 times slower than the origin, which everybody would spare."""
    with_holder = without = 0.0
    for seed in range(1, 6):
        with_holder += run("slow-neighbour-holds-all", peers, 64, seed).last_s
        without += run("plain", peers - 1, 64, seed).last_s
    assert with_holder <= 1.1 * without


def test_a_slow_and_a_silent_peer_hold_the_others_up_for_less_than_a_download() -> None:
    for seed in range(1, 6):
        assert run("silent", 8, 48, seed).last_s <= 2 * run("plain", 6, 48, seed).last_s
