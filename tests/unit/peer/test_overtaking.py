"""Overtaking: its shortcuts give what looking at every run would give."""

from __future__ import annotations

import random

import pytest

from swarm.peer.neighbour import Neighbour, Run
from swarm.peer.overtaking import (
    FACTOR,
    MARGIN_S,
    RACE_AFTER_S,
    RACE_LEAST_BYTES,
    SPARED_MARGIN_S,
    Overtaking,
    expected_end_s,
)
from swarm.peer.wire import NOT_ORIGIN, SEED, Origin

NOW = 100.0
SIZES = [size * 100_000 for size in (1, 2, 3, 4, 5, 6)]


def _swarm(rng: random.Random) -> tuple[dict[str, Neighbour], dict[int, Run]]:
    """Some neighbours, measured or not, and runs that were begun or not, now or long ago."""
    neighbours: dict[str, Neighbour] = {}
    runs: dict[int, Run] = {}
    for number in range(5):
        origin: Origin = SEED if number == 4 else NOT_ORIGIN
        neighbour = Neighbour(f"peer-{number}", origin, rng.random() < 0.3, rng.getrandbits(len(SIZES)))
        neighbour.is_measured = rng.random() < 0.7
        neighbour.latency_s = rng.choice((0.05, 0.5, 3.0))
        neighbour.sending_bytes_per_s = rng.choice((0.0, 1e5, 1e7))
        neighbours[neighbour.peer] = neighbour
        for _ in range(rng.choice((0, 0, 1, 2))):
            indices = rng.sample(range(len(SIZES)), rng.randint(1, 3))
            since = NOW - rng.choice((0.1, 1.0, 2.0, 8.0))
            run = Run(len(runs), neighbour.peer, dict.fromkeys(indices), since, since, moves=rng.randint(0, 1))
            if rng.random() < 0.5:
                run.begun, run.begun_at = indices[0], since + 0.05
            runs[run.id] = neighbour.runs[run.id] = run
    return neighbours, runs


def _latest(
    neighbours: dict[str, Neighbour], runs: dict[int, Run], idle: Neighbour, is_far: bool
) -> tuple[int, bool] | None:
    """The run that ``idle`` takes from and whether it races, by the rules alone. The download began 100 s ago."""
    found = []
    for run in runs.values():
        other = neighbours[run.peer]
        may_take_back = is_far or idle.origin
        waiting = [i for i in run.outstanding if may_take_back and i != run.begun and idle.have >> i & 1]
        long_ago = run.begun in run.outstanding and run.begun_at <= NOW - RACE_AFTER_S[2]
        races = not is_far and long_ago and bool(idle.have >> run.begun & 1) and SIZES[run.begun] <= RACE_LEAST_BYTES
        left_s = expected_end_s(other, run, SIZES, NOW) / (1 << run.moves)
        if other is not idle and not (is_far and other.near) and left_s > MARGIN_S[2] and (waiting or races):
            found.append((left_s, run.id, waiting[-1] if waiting else run.begun, not waiting))
    if not found:
        return None
    left_s, run_id, first, is_race = max(found)
    known = [n for n in neighbours.values() if n.is_measured and not (is_far and n.near)]
    asked = [idle] if idle.is_measured or not known else known
    needs_s = sum(n.expected_s(SIZES[first], NOW) for n in asked) / len(asked)
    margin_s = (SPARED_MARGIN_S if is_far or idle.origin else MARGIN_S)[2]
    return (run_id, is_race) if left_s > FACTOR * needs_s + margin_s else None


@pytest.mark.parametrize("is_far", [False, True])
def test_what_is_overtaken_is_what_looking_at_every_run_finds(is_far: bool) -> None:
    rng = random.Random(5)
    kinds: set[bool | None] = set()
    for _ in range(2000):
        neighbours, runs = _swarm(rng)
        overtaking = Overtaking(neighbours, runs, SIZES)
        for idle in [neighbour for neighbour in neighbours.values() if not neighbour.runs]:
            overtaking.changed()
            expected = _latest(neighbours, runs, idle, is_far)
            move = overtaking.better_place(idle, NOW, 0.0, is_far=is_far)
            assert (None if move is None else (move.run.id, move.is_race)) == expected
            kinds.add(None if expected is None else expected[1])
            if overtaking.is_idle(NOW):
                assert overtaking.better_place(idle, NOW, 0.0, is_far=is_far) is None
    assert kinds == ({None, False} if is_far else {None, False, True})


def test_who_gave_nothing_yet_is_not_late_before_anything_was_waited_for() -> None:
    """Its latency is a guess, and on fast links the guess alone had blocks moved and sent twice."""
    new, idle = Neighbour("new", NOT_ORIGIN, False, 0b11), Neighbour("idle", NOT_ORIGIN, False, 0b11)
    idle.is_measured, idle.latency_s = True, 0.001
    run = Run(1, "new", {0: None, 1: None}, NOW, NOW)
    new.runs[1] = run
    overtaking = Overtaking({"new": new, "idle": idle}, {1: run}, SIZES)
    assert overtaking.better_place(idle, NOW + 0.1, NOW, is_far=True) is None
    assert overtaking.better_place(idle, NOW + 2.0, NOW, is_far=True) is not None


def test_what_has_moved_is_late_only_after_twice_as_long() -> None:
    slow, idle = Neighbour("slow", NOT_ORIGIN, False, 0b11), Neighbour("idle", NOT_ORIGIN, False, 0b11)
    idle.is_measured, idle.latency_s = True, 0.001
    for moves, waited_s in ((0, 3.2), (1, 6.4), (3, 25.6)):
        run = Run(1, "slow", {0: None, 1: None}, NOW, NOW, moves=moves)
        slow.runs[1] = run
        overtaking = Overtaking({"slow": slow, "idle": idle}, {1: run}, SIZES)
        started = NOW - 100.0
        assert overtaking.better_place(idle, NOW + 0.6 * waited_s, started, is_far=True) is None
        assert overtaking.better_place(idle, NOW + waited_s, started, is_far=True) is not None
