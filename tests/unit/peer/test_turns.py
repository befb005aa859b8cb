"""The queue asked from threads: that nobody waits for who was told of its turn and does not come."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from swarm.peer import turns
from swarm.peer.turns import Turns
from swarm.peer.uploads import READY_S
from swarm.peer.wire import BLOCK, RunRequest

VERSION = b"v" * 32


def _request(run: int) -> RunRequest:
    return RunRequest(1, run, "maps/roads", VERSION, b"", False, (run.to_bytes(32, "big"),))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time that turns are given by: ``now`` is set by the test."""
    fake = SimpleNamespace(now=time.monotonic())
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: fake.now))
    return fake


def _with_one_that_never_asks(told: list[tuple[str, int]]) -> Turns:
    """A queue of one slot, which waits for an asker that stood by and was told that it may ask."""
    queue = Turns(lambda asker, run: told.append((asker, run)))
    queue._uploads.slots.number = 1
    queue.stand_by("vanished", 1, VERSION, b"b" * 32)
    assert told == [("vanished", 1)]
    return queue


def test_who_is_told_of_its_turn_and_never_asks_is_waited_for_a_moment_only(clock: SimpleNamespace) -> None:
    told: list[tuple[str, int]] = []
    queue = _with_one_that_never_asks(told)
    assert queue.begin("waiting", _request(2), spared=False)
    assert queue.wait("waiting", 2, timeout_s=0.0) is None
    clock.now += READY_S / 2
    assert queue.wait("waiting", 2, timeout_s=0.0) is None
    assert queue._gates["waiting", 2].empty()
    clock.now += READY_S
    # Nothing else happens: the waiting itself finds that the slot is free.
    assert queue.wait("waiting", 2, timeout_s=0.0) is None
    turn = queue.wait("waiting", 2, timeout_s=0.0)
    assert turn is not None and turn.status == BLOCK


def test_who_leaves_after_it_was_told_of_its_turn_is_not_waited_for(clock: SimpleNamespace) -> None:
    told: list[tuple[str, int]] = []
    queue = _with_one_that_never_asks(told)
    assert queue.begin("waiting", _request(2), spared=False)
    queue.left("vanished")
    turn = queue.wait("waiting", 2, timeout_s=0.0)
    assert turn is not None and turn.status == BLOCK
