"""A backup beside publishes, merging and gc, its calls in any order with theirs: what the copy's logs keep can be read.

gc has a grace here, as it has where backups are made: without one it removes what a log names that is being copied.
"""

from __future__ import annotations

import random

import pytest

from seed.backup import Copy
from swarm.errors import IncompleteError
from swarm.objects import ObjectStore
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.keys import CA_KEY, SECRET_KEY
from tests.model.origin import Origin
from tests.model.test_gc_model import DATASETS, ROUNDS, ids

__all__ = ["ids"]
GRACE_S = 50.0
DAY_S = 86_400


def round_of(origin: Origin, target: MemoryObjectStore, *, delete: bool, grace_s: float = GRACE_S) -> bool:
    """One copy beside everything else; whether it came to its end."""
    rng, stage, done = origin.rng, origin.stage(), []

    def copied(objects: ObjectStore) -> None:
        try:
            Copy(objects, target).run(delete=delete)
        except IncompleteError:  # Others changed the store all the time: it is repeated later.
            return
        done.append(True)

    stage.enter("copy", copied)
    for number in range(3):
        stage.enter(f"publisher {number}", origin.publisher(rng.choice(DATASETS), rng.sample(range(12), 4)))
    for number in range(2):
        stage.enter(f"gc {number}", origin.gc(grace_s))
    stage.enter("compactor", origin.compactor())
    stage.play()
    origin.wall_now += rng.choice((1, 100, 2 * DAY_S))
    return bool(done)


def started(seed: int) -> Origin:
    origin = Origin(random.Random(seed))
    for key in (CA_KEY, SECRET_KEY):
        origin.objects.put(key, b"a key")
    for number in range(6):
        origin.publisher(DATASETS[number % 2], [number, number + 1, 20])(origin.objects)
    origin.wall_now += 2 * DAY_S
    return origin


@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("seed", range(max(3, ROUNDS // 2)))
def test_a_copy_beside_gc_is_whole(seed: int, delete: bool) -> None:
    origin, target = started(seed), MemoryObjectStore()
    ended = 0
    for _ in range(4):
        ended += round_of(origin, target, delete=delete)
        # Whole at any moment, also if it was broken off.
        Origin(origin.rng, objects=target).check()
    assert ended
