"""Whichever origins are near and far, and whoever is met first: every block is asked of somebody before long."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import combinations_with_replacement, permutations

import pytest

from swarm.peer.instructions import Instruction, StartRun
from swarm.peer.scheduler import Scheduler
from swarm.peer.wire import NOT_ORIGIN, PRODUCER, SEED, Origin

Met = tuple[str, Origin, bool]
COUNT = 100
# Of virtual time; what is waited for on purpose are some seconds.
SOON_S = 20.0
NEAR_PEER: Met = ("near peer", NOT_ORIGIN, True)
KINDS: Sequence[Met] = (
    ("near seed", SEED, True),
    ("far seed", SEED, False),
    ("near producer", PRODUCER, True),
    ("far producer", PRODUCER, False),
)


class Asker:
    """A scheduler whose neighbours answer at once; the near peer has nothing, and gets nothing."""

    def __init__(self) -> None:
        self.scheduler = Scheduler([250_000] * COUNT, [], random.Random(1), own="own")
        self.asked: dict[str, int] = {}
        self._due = deque[StartRun]()

    def meet(self, met: Met, number: int) -> None:
        peer, origin, near = met
        bitmap = None if origin else b"\0" * 13
        self._take(self.scheduler.peer_joined(f"{peer} {number}", origin=origin, bitmap=bitmap, now=0.0, near=near))

    def run(self) -> float:
        """When it has asked for everything: at most SOON_S."""
        now = 0.0
        while not self.scheduler.is_complete and now < SOON_S:
            now += 0.05
            while self._due:
                self._answer(self._due.popleft(), now)
            self._take(self.scheduler.tick(now))
        return now

    def _answer(self, run: StartRun, now: float) -> None:
        name = run.peer.rpartition(" ")[0]
        self.asked[name] = self.asked.get(name, 0) + len(run.indices)
        for index in run.indices:
            self._take(self.scheduler.block_begun(run.run, index, now))
            self.scheduler.block_received(run.run, index, now)
            self._take(self.scheduler.block_stored(index, now))
        self._take(self.scheduler.run_ended(run.run, now, failed=False))

    def _take(self, instructions: Iterable[Instruction]) -> None:
        self._due += (each for each in instructions if isinstance(each, StartRun))


def met_in(order: Sequence[Met]) -> Asker:
    asker = Asker()
    for number, met in enumerate(order):
        asker.meet(met, number)
    return asker


@pytest.mark.parametrize("count", [1, 2, 3])
def test_nothing_is_left_to_an_origin_that_is_not_asked(count: int) -> None:
    for origins in combinations_with_replacement(KINDS, count):
        for order in {*permutations([NEAR_PEER, *origins]), *permutations(origins)}:
            asker = met_in(order)
            assert asker.run() < SOON_S, [name for name, _, _ in order]


def test_a_producer_near_goes_before_a_seed_beyond() -> None:
    asker = met_in([NEAR_PEER, ("near producer", PRODUCER, True), ("far seed", SEED, False)])
    asker.run()
    assert asker.asked == {"near producer": COUNT}


def test_a_producer_is_spared_where_a_seed_is_as_near() -> None:
    for near in (False, True):
        asker = met_in([NEAR_PEER, ("producer", PRODUCER, near), ("seed", SEED, near)])
        asker.run()
        assert asker.asked == {"seed": COUNT}
