"""How news spread in the simulator: everybody hears, and the checkers see what is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swarm import log
from swarm.limits import NEIGHBOURS_MAX
from swarm.peer.gossip import Gossip
from swarm.peer.ledger import Ledger
from swarm.peer.mesh import Mesh
from swarm.sim.news import NEWS_SCENARIOS, simulate_news
from swarm.trust import Trust
from tests.sim.kept_seeds import KEPT_NEWS


@pytest.mark.parametrize("scenario", NEWS_SCENARIOS)
def test_everybody_hears_over_many_seeds(scenario: str) -> None:
    for seed in range(1, 31):
        outcome = simulate_news(scenario, 40, seed)
        assert not outcome.violations, (seed, outcome.violations)
        assert outcome.heard_share == 1.0


def test_a_thousand_hear_within_two_seconds_and_without_a_tracker_within_five() -> None:
    """In virtual time."""
    assert simulate_news("news", 1000, 1).p99_s <= 2.0
    for scenario, peers, seed, last_s in KEPT_NEWS:
        outcome = simulate_news(scenario, peers, seed)
        assert not outcome.violations
        assert outcome.p99_s <= 5.0
        assert outcome.last_s <= last_s


def test_the_same_seed_gives_the_same_outcome_and_another_gives_another() -> None:
    first, again, other = (simulate_news("news", 30, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_what_tells_nothing_new_is_counted_and_so_is_what_the_producer_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    first = simulate_news("news", 40, 1)
    assert 0.0 < first.wasted_share < 1.0
    assert 1 <= first.origin_copies <= NEIGHBOURS_MAX
    # Of all entries that come each peer but the two that had it first learns from one, if it hears of the news at all.
    assert first.wasted_share == pytest.approx(1 - 39 / (41 * first.told_per_peer), abs=0.001)
    monkeypatch.setattr(Gossip, "learnt", _tells_thrice)
    assert simulate_news("news", 40, 1).origin_copies == 3 * first.origin_copies


def _tells_nobody(gossip: Gossip, *arguments: Any, **more: Any) -> list[Any]:
    return []


LEARNT = Gossip.learnt


def _tells_thrice(gossip: Gossip, *arguments: Any, **more: Any) -> list[Any]:
    return 3 * LEARNT(gossip, *arguments, **more)


def _believes(data: bytes, *, authority: Trust) -> log.Entry:
    """Whoever sealed it."""
    return log.parse_entry(data)[1]


def _forgets(ledger: Ledger, entry: log.Entry, raw: bytes, *, is_news: bool = False) -> bool:
    """Only the last entry that came is kept, an old one too."""
    ledger._datasets = {entry.dataset: {entry.serial: (entry, raw)}}
    return True


def _keeps_everybody(mesh: Mesh, now: float) -> list[Any]:
    return []


@pytest.mark.parametrize(
    ("where", "name", "fault", "peers"),
    [
        (Gossip, "learnt", _tells_nobody, 40),
        (Gossip, "learnt", _tells_thrice, 40),
        (log, "verify_entry", _believes, 40),
        (Ledger, "record", _forgets, 40),
        (Gossip, "may_come", lambda gossip, peer, now: False, 40),
        (Mesh, "tick", _keeps_everybody, 40),
    ],
)
def test_a_fault_is_told(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, fault: Callable[..., Any], peers: int
) -> None:
    monkeypatch.setattr(where, name, fault)
    assert any(simulate_news(scenario, peers, 1).violations for scenario in NEWS_SCENARIOS)
