"""What each publish and each rollout cost a seed's object store, kept for a while and over restarts.

    costs/{peer id}      one seed's accounts, written by it alone, now and then

A rollout is the reading of one version, whoever it is for: where several versions share an extent, the one that was
asked for first is charged. Bounded: the publishes and rollouts of last are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.limits import MIB
from swarm.objects.meter import Account, Spent

PREFIX: Final = "costs/"
KEPT_MAX: Final = 256
COSTS_MAX_BYTES: Final = MIB

Wall = Annotated[int, msgspec.Meta(ge=0)]
Dataset = Annotated[str, msgspec.Meta(min_length=3, max_length=160)]
Version = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Cost(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What one version of a dataset cost; ``wall_time`` is when that began."""

    dataset: Dataset
    version: Version
    wall_time: Wall
    spent: Spent


class Costs(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One seed's accounts. ``spent`` is all that it has asked for since ``since``, over restarts."""

    format: Literal[1]
    since: Wall
    spent: Spent
    publishes: Annotated[tuple[Cost, ...], msgspec.Meta(max_length=KEPT_MAX)]
    rollouts: Annotated[tuple[Cost, ...], msgspec.Meta(max_length=KEPT_MAX)]


class Accounts:
    """The accounts of one seed, as they grow. ``kept`` is what it wrote before, if anything."""

    def __init__(self, kept: Costs | None, wall_now: float) -> None:
        self._since = kept.since if kept is not None else int(wall_now)
        self._before = kept.spent if kept is not None else Spent()
        self._publishes = list(kept.publishes if kept is not None else ())
        self._rollouts: OrderedDict[tuple[str, bytes], tuple[int, Account]] = OrderedDict()
        for cost in kept.rollouts if kept is not None else ():
            self._rollouts[cost.dataset, cost.version] = (cost.wall_time, Account(cost.spent))

    def published(self, dataset: str, version: bytes, spent: Spent, wall_now: float) -> None:
        """A publish was kept, and cost so much."""
        self._publishes = [*self._publishes, Cost(dataset, version, int(wall_now), spent)][-KEPT_MAX:]

    def rollout(self, dataset: str, version: bytes, wall_now: float) -> Account:
        """What the reading of a version is charged to."""
        key = (dataset, version)
        _, account = self._rollouts.setdefault(key, (int(wall_now), Account()))
        self._rollouts.move_to_end(key)
        if len(self._rollouts) > KEPT_MAX:
            self._rollouts.popitem(last=False)
        return account

    def costs(self, spent: Spent) -> Costs:
        """All of it. ``spent`` is what was asked for since this process began."""
        rollouts = [
            Cost(dataset, version, wall, account.spent)
            for (dataset, version), (wall, account) in self._rollouts.items()
            if account.spent.requests
        ]
        return Costs(1, self._since, self._before + spent, tuple(self._publishes), tuple(rollouts))


def encode_costs(costs: Costs) -> bytes:
    return canonical.encode(costs)


def decode_costs(data: bytes) -> Costs | None:
    """None for what is damaged: it is told of nowhere, and written anew."""
    try:
        return canonical.decode(data, Costs, limit_bytes=COSTS_MAX_BYTES)
    except RemoteProtocolError:
        return None


def summed(costs: Iterable[Cost]) -> list[Cost]:
    """One for each version, the latest last."""
    found: dict[tuple[str, bytes], Cost] = {}
    for cost in costs:
        known = found.get((cost.dataset, cost.version))
        if known is not None:
            cost = Cost(cost.dataset, cost.version, min(cost.wall_time, known.wall_time), cost.spent + known.spent)
        found[cost.dataset, cost.version] = cost
    return sorted(found.values(), key=lambda cost: (cost.wall_time, cost.dataset, cost.version))
