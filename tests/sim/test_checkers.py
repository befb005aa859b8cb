"""What is broken on purpose is told as a violation: checkers that see nothing are worth nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swarm.peer.blocks import STORED
from swarm.peer.scheduler import Scheduler
from swarm.peer.uploads import Uploads
from swarm.sim.books import Books
from swarm.sim.links import MBIT, Flow, Network
from swarm.sim.peer import Peer
from swarm.sim.run import Outcome, simulate
from swarm.sim.scenarios import Settings
from swarm.sim.swarm import Swarm

SET = Network._set


def outcome(scenario: str = "plain", peers: int = 5) -> Outcome:
    return simulate(scenario, Settings(peers, 24, 3, 24, 50 * MBIT, 0.1), checks_every=1)


def test_without_a_fault_nothing_is_told() -> None:
    assert not outcome().violations
    assert not outcome("churn", 20).violations


def _never_asks(scheduler: Scheduler, *arguments: Any, **more: Any) -> list[Any]:
    return []


def _asks_twice(scheduler: Scheduler, index: int, now: float) -> list[Any]:
    """A stored block that is missing again."""
    scheduler.picker.missing |= 1 << index
    scheduler.blocks.state[index] = STORED
    return []


def _done_at_half(scheduler: Scheduler) -> bool:
    return 2 * scheduler.blocks.stored >= len(scheduler.sizes)


def _forgets_a_run(uploads: Uploads, asker: str, run: int) -> None:
    uploads._runs.pop((asker, run), None)


def _loses_bytes(books: Books, giver: Peer, size: int) -> None:
    books.kept += size - 1


def _carries_too_much(network: Network, flow: Flow, rate: float) -> None:
    """A flow gets half as much again as was left for it."""
    SET(network, flow, 1.5 * rate)


def _stores_garbage(swarm: Swarm, peer: Peer, giver: Peer, run: int, index: int) -> None:
    """Whatever comes is kept: a liar's too."""
    size = swarm.sizes[index]
    swarm.books.in_air -= size
    if peer.scheduler is not None and peer.is_fetching and peer.scheduler.block_received(run, index, swarm.now):
        swarm._store(peer, giver, index)
        swarm._answered(peer, (giver.name, run))
    else:
        swarm.books.late += size


@pytest.mark.parametrize(
    ("where", "name", "fault", "scenario"),
    [
        (Scheduler, "_ask", _never_asks, "plain"),
        (Scheduler, "block_stored", _asks_twice, "plain"),
        (Scheduler, "is_complete", property(_done_at_half), "plain"),
        (Uploads, "ended", _forgets_a_run, "plain"),
        (Books, "stored", _loses_bytes, "plain"),
        (Swarm, "_arrived", _stores_garbage, "churn"),
        (Network, "_set", _carries_too_much, "plain"),
    ],
)
def test_a_fault_is_told(
    monkeypatch: pytest.MonkeyPatch, where: type, name: str, fault: Callable[..., Any], scenario: str
) -> None:
    monkeypatch.setattr(where, name, fault)
    assert outcome(scenario, 20 if scenario == "churn" else 5).violations
