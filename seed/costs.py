"""Keeps a seed's accounts in its object store: read at the start, written now and then and at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from swarm.errors import AetherError, NotFoundError
from swarm.objects import ObjectStore
from swarm.objects.accounts import PREFIX, Accounts, Costs, decode_costs, encode_costs
from swarm.objects.standing import meter_of

# Half a cent a month, by the prices of AWS, for a seed that is never idle.
SAVE_S: Final = 3600.0

log = logging.getLogger("aetherfs.seed")


class CostKeeper:
    """Made blocking. ``run`` saves until cancelled, ``close`` for the last time."""

    def __init__(self, objects: ObjectStore, peer_id: str) -> None:
        self._objects = objects
        self._key = PREFIX + peer_id
        self._meter = meter_of(objects)
        self.accounts = Accounts(self._read(), time.time())
        self._saved = self.costs()

    def costs(self) -> Costs:
        """As of now."""
        return self.accounts.costs(self._meter.spent)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            await self.close()

    async def close(self) -> None:
        """Write them, if a publish or a rollout has come since."""
        costs = self.costs()
        if (costs.publishes, costs.rollouts) == (self._saved.publishes, self._saved.rollouts):
            return
        try:
            await asyncio.to_thread(self._objects.put, self._key, encode_costs(costs))
            self._saved = costs
        except AetherError as error:
            log.warning("what publishes and rollouts cost is not kept: %s", error)

    def _read(self) -> Costs | None:
        try:
            return decode_costs(self._objects.get(self._key))
        except NotFoundError:
            return None
