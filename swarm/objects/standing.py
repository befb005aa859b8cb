"""Whether an object store is there, for whoever tells of it: status, readiness, metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, runtime_checkable

from swarm.objects import ObjectStore
from swarm.objects.meter import Meter


@dataclass(frozen=True, slots=True)
class Standing:
    """``away_since`` (wall seconds) is None while the store answers; ``why`` it does not, in a line."""

    away_since: float | None = None
    why: str = ""

    @property
    def clock(self) -> str:
        """Since when, for people."""
        return datetime.fromtimestamp(self.away_since or 0.0, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is, without secrets, and in a few words how what lies there is encrypted."""

    address: str
    encryption: str


UNKNOWN_PLACE: Final = Place("-", "-")
HERE: Final = Standing()
# What a store that is away keeps the parts of a process from.
AFFECTED_TRACKER: Final = (
    "lookups are answered from memory, with their age",
    "publishes, moves of tags, joins and tokens fail until it is back",
)
AFFECTED_SEED: Final = (
    "blocks are given from memory and from the peers that have them, others wait until it is back",
    "uploads fail until it is back",
)


@runtime_checkable
class Watched(Protocol):
    """What a store adds that counts its requests and knows whether it is there."""

    meter: Meter

    def standing(self) -> Standing: ...

    def place(self) -> Place: ...


def standing_of(objects: ObjectStore) -> Standing:
    """Whether the store is there; one that does not know is."""
    return objects.standing() if isinstance(objects, Watched) else HERE


def place_of(objects: ObjectStore) -> Place:
    """Where the store is."""
    return objects.place() if isinstance(objects, Watched) else UNKNOWN_PLACE


def meter_of(objects: ObjectStore) -> Meter:
    """What the store was asked for; nothing, of one that does not count."""
    return objects.meter if isinstance(objects, Watched) else Meter()
