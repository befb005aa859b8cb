"""Who is whose neighbour in a simulated swarm, as the mesh of the daemon would have it."""

from __future__ import annotations

import random

from swarm.sim.links import MBIT
from swarm.sim.scenarios import SCENARIOS, Settings, sizes_of
from swarm.sim.swarm import Swarm

SETTINGS = Settings(peers=400, blocks=8, seed=1, neighbours=24, rate=50 * MBIT, tick_s=0.1)


def test_who_comes_last_finds_room_as_half_of_the_aim_is_dialled_at_once() -> None:
    swarm = Swarm(1, sizes_of(SETTINGS), neighbours=SETTINGS.neighbours, tick_s=SETTINGS.tick_s)
    SCENARIOS["mixed"].fill(swarm, SETTINGS, random.Random(2))
    numbers = [len(peer.neighbours) for peer in swarm.peers.values() if not peer.origin]
    assert min(numbers) >= SETTINGS.neighbours // 2
