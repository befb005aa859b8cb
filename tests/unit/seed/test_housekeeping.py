"""gc in the background: once a period, whoever comes first."""

from __future__ import annotations

import random

from seed.housekeeping import PERIOD_S, TURNS, Housekeeping
from swarm.identity import PeerKey
from swarm.objects.memory import MemoryObjectStore
from swarm.trust import Trust


def test_one_seed_a_period() -> None:
    objects = MemoryObjectStore()
    seeds = [Housekeeping(objects, Trust(PeerKey(b"a" * 32).public), random.Random(n)) for n in range(3)]
    for period in range(2):
        wall_now = (100 + period) * PERIOD_S
        ran = [one.once(wall_now + n) for n, one in enumerate(seeds)]
        assert [report is not None for report in ran] == [True, False, False]
        assert len(objects.list(TURNS)) == 1
