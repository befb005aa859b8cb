"""``gc`` in the background: one seed at a time, a few times a day.

    turns/gc/{period:020}     who wrote it, with put-if-absent, runs gc in that period; earlier ones are removed

That only one runs spares requests; nothing depends on it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from seed.collect import Report
from seed.histories import collector
from swarm.claims import keys_below
from swarm.errors import AetherError
from swarm.objects import ObjectStore
from swarm.trust import Trust

TURNS: Final = "turns/gc/"
PERIOD_S: Final = 6 * 3600
# So often a seed looks whether it is its turn, at a moment of its own.
LOOK_EVERY_S: Final = 900.0

log = logging.getLogger("aetherfs.seed")


class Housekeeping:
    """The background work of one seed on its store. ``authority``: the CA's keys."""

    def __init__(self, objects: ObjectStore, authority: Trust, rng: random.Random) -> None:
        self._objects = objects
        self._authority = authority
        self._rng = rng

    async def run(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S * self._rng.uniform(0.5, 1.5))
            try:
                report = await asyncio.to_thread(self.once, time.time())
            except AetherError as error:
                log.warning("gc was not done: %s", error)
                continue
            if report is not None:
                log.info("gc: %s", report)

    def once(self, wall_now: float) -> Report | None:
        """Run gc if nobody has in this period: what it did. Blocking."""
        period = int(wall_now // PERIOD_S)
        if not self._objects.put_if_absent(f"{TURNS}{period:020}", b""):
            return None
        for key in list(keys_below(self._objects, TURNS)):
            if int(key.removeprefix(TURNS)) < period:
                self._objects.delete(key)
        return collector(self._objects, self._authority).run(wall_now)
