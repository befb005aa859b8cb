"""A seed reads in the object store where trackers are, while none answers it: what it finds it tells the swarm.

So a tracker that starts somewhere else is found through any seed that lives, though nobody knows it and it knows
nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from swarm.errors import AetherError
from swarm.objects import ObjectStore
from swarm.peer.node import PeerNode
from swarm.tracker import registry

# The first looks come soon, as a tracker may have been replaced; a long outage costs a list a minute.
LOOK_FIRST_S: Final = 1.5
LOOK_MAX_S: Final = 60.0
GROWTH: Final = 1.2

log = logging.getLogger("aetherfs.seed")


async def watch_trackers(node: PeerNode, objects: ObjectStore) -> None:
    """Look until cancelled."""
    wait_s = LOOK_FIRST_S
    while True:
        await asyncio.sleep(wait_s * node.rng.uniform(0.8, 1.2))
        if node.announcer.is_answered:
            wait_s = LOOK_FIRST_S
            continue
        wait_s = min(LOOK_MAX_S, wait_s * GROWTH)
        try:
            found = await asyncio.to_thread(registry.read, objects, node.access.authority, time.time())
        except AetherError as error:
            log.info("the object store does not say where trackers are: %s", error)
            continue
        for listed in found:
            node.exchange.tracker_listed(listed.data)
