"""How much lies in an object store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

from swarm.errors import AetherError
from swarm.objects import ObjectStore


class Usage(NamedTuple):
    """Objects, and their bytes."""

    objects: int
    size_bytes: int


@runtime_checkable
class Measured(Protocol):
    """What a store adds that tells how much lies in it."""

    def usage(self, prefix: str = "") -> Usage:
        """The objects whose keys begin with ``prefix``."""
        ...


def usage_of(objects: ObjectStore, prefix: str = "") -> Usage:
    """How much lies there. Blocking; AetherError for a store that does not tell."""
    if not isinstance(objects, Measured):
        raise AetherError("this object store does not tell how much lies in it: ask where it is")
    return objects.usage(prefix)


def usage_of_sizes(sizes: Iterable[int]) -> Usage:
    """Of objects' sizes."""
    count = total = 0
    for size in sizes:
        count, total = count + 1, total + size
    return Usage(count, total)
