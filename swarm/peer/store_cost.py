"""What the object store of this process was asked for, and what publishes and rollouts cost it, by all seeds."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, Final

from swarm.errors import NotAllowedError, NotFoundError, UnreachableError
from swarm.objects import ObjectStore
from swarm.objects.accounts import PREFIX, Cost, Costs, decode_costs, summed
from swarm.objects.standing import meter_of
from swarm.objects.usage import usage_of
from swarm.peer.node import PeerNode

SEEDS_MAX: Final = 1000

log = logging.getLogger("aetherfs.store")


async def store_cost(node: PeerNode) -> dict[str, Any]:
    """Requests and bytes, without prices. NotAllowedError for a peer without an object store. While that is away,
    what this process itself knows.
    """
    objects = node.objects
    if objects is None:
        raise NotAllowedError(
            "this process has no object store: run the command with the AETHERFS_HOME of a tracker or a seed"
        )
    meter = meter_of(objects)
    spent, refused = meter.spent, meter.refused
    kept: dict[str, Costs] = {}
    stored = None
    try:
        kept = await asyncio.to_thread(_kept, objects)
        usage = await asyncio.to_thread(usage_of, objects)
        stored = {"objects": usage.objects, "bytes": usage.size_bytes}
    except UnreachableError as error:
        log.info("what is stored is not told: %s", error)
    if node.costs is not None:
        kept[node.key.peer_id] = node.costs()
    return {
        "since": round(time.time() - (time.monotonic() - node.started), 3),
        "store": {**spent.told(), "refused": refused},
        "stored": stored,
        "seeds": [{"peer": peer, "since": costs.since, **costs.spent.told()} for peer, costs in sorted(kept.items())],
        "publishes": _told(cost for costs in kept.values() for cost in costs.publishes),
        "rollouts": _told(cost for costs in kept.values() for cost in costs.rollouts),
    }


def _kept(objects: ObjectStore) -> dict[str, Costs]:
    """What each seed wrote down last."""
    found: dict[str, Costs] = {}
    for key in objects.list(PREFIX, limit=SEEDS_MAX):
        try:
            costs = decode_costs(objects.get(key))
        except NotFoundError:
            continue
        if costs is not None:
            found[key.removeprefix(PREFIX)] = costs
    return found


def _told(costs: Iterable[Cost]) -> list[dict[str, Any]]:
    return [
        {"dataset": cost.dataset, "version": cost.version.hex(), "time": cost.wall_time, **cost.spent.told()}
        for cost in summed(costs)
    ]
