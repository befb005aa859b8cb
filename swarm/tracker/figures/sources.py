"""Bytes that a peer had of a version, by source. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Final

from swarm.reports import Followed

# From peers, from the origin, reused, wasted, and as they travelled.
Sources = tuple[int, int, int, int, int]
NOTHING: Final[Sources] = (0, 0, 0, 0, 0)


def fetched(told: Followed) -> Sources:
    """What a peer says that it had."""
    return (told.peers, told.origin, told.reused, told.wasted, told.wire)


def plus(a: Sources, b: Sources) -> Sources:
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4])


def minus(a: Sources, b: Sources) -> Sources:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3], a[4] - b[4])


def total(many: Iterable[Sources]) -> Sources:
    return functools.reduce(plus, many, NOTHING)


def fuller(a: Sources, b: Sources) -> Sources:
    """Of two accounts of the same peers that of more fetched bytes."""
    return max(a, b, key=lambda sources: sources[0] + sources[1])
