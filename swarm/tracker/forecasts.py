"""Forecasts of rollouts that producers made with ``aetherfs simulate``, to be shown beside what came.

    forecasts/{scope}/{name}      JSON: of the last ``KEPT_MAX`` versions of a dataset the last ``OF_ONE_MAX`` each

Of two that are written at once one may be lost, and what is damaged counts as none: nothing hangs on them. A backup
takes them along; those of a version that is purged go with it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from swarm.errors import NotFoundError
from swarm.figure_performance import Foreseen
from swarm.objects import ObjectStore
from swarm.tracker.orders import is_purged

PREFIX: Final = "forecasts/"
KEPT_MAX: Final = 24
# One that is made after its rollout does not take the place of the one before.
OF_ONE_MAX: Final = 6
FILE_MAX_BYTES: Final = 256 * 1024

Hex = Annotated[str, msgspec.Meta(max_length=64)]
Forecasts = dict[Hex, tuple[Foreseen, ...]]


def read(objects: ObjectStore, dataset: str) -> Forecasts:
    """By version, the oldest first; none where nothing is kept, or it is damaged."""
    try:
        return decode(objects.get(PREFIX + dataset))
    except NotFoundError:
        return {}


def decode(data: bytes) -> Forecasts:
    """What is kept; nothing of what is damaged."""
    try:
        return msgspec.json.decode(data, type=Forecasts) if len(data) <= FILE_MAX_BYTES else {}
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def keep(objects: ObjectStore, dataset: str, version: bytes, foreseen: Foreseen) -> None:
    """Keep one more of a version."""
    if is_purged(objects, (dataset, version)):
        return
    found = read(objects, dataset)
    found[version.hex()] = (*found.pop(version.hex(), ()), foreseen)[-OF_ONE_MAX:]
    _write(objects, dataset, dict(list(found.items())[-KEPT_MAX:]))


def purge(objects: ObjectStore, dataset: str, version: bytes) -> None:
    """Remove those of a version which is ordered to go."""
    found = read(objects, dataset)
    if found.pop(version.hex(), None) is not None:
        _write(objects, dataset, found)


def _write(objects: ObjectStore, dataset: str, found: Forecasts) -> None:
    objects.put(PREFIX + dataset, msgspec.json.encode(found))
