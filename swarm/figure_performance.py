"""How a dataset performs, as trackers know it: the answer of ``/api/v1/figures/performance/...``, and forecasts that
producers have left beside. Units as in ``swarm.figure_messages``.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from swarm.figure_heat import VersionHeat
from swarm.figure_messages import Completion, Sources

CURVE_MAX: Final = 64
# As many as `aetherfs simulate` takes.
PEERS_MAX: Final = 2000

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53))]
Curve = Annotated[tuple[tuple[Seconds, Count], ...], msgspec.Meta(max_length=CURVE_MAX)]


class Foreseen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rollout as ``aetherfs simulate`` foresaw it: so many peers, over which lines, when. ``at`` is when a tracker
    was told.
    """

    peers: Annotated[int, msgspec.Meta(ge=1, le=PEERS_MAX)]
    sites: Annotated[int, msgspec.Meta(ge=0, le=PEERS_MAX)]
    link_bytes_per_s: Annotated[float, msgspec.Meta(gt=0, le=1e15)]
    fetch_bytes: Count
    p50_s: Seconds
    p95_s: Seconds
    last_s: Seconds
    curve: Curve = ()
    at: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0


class MovePerformance(msgspec.Struct, frozen=True):
    """One move of a tag that peers follow. ``wanted`` and ``current``: also those that had it and are not there now.
    ``offload``: the share of bytes that peers gave. ``foreseen``: only what was foreseen before it began.
    """

    serial: int
    tag: str
    version: str
    previous_version: str
    message: str
    started: float
    ended: float | None
    wanted: int
    current: int
    failed: int
    bytes: int
    completion: Completion
    sources: Sources
    offload: float | None
    foreseen: Foreseen | None = None


class VersionHolders(msgspec.Struct, frozen=True):
    """Who has a version: peers with all of it, with a part, and origins. ``peers``: each counts at one version alone,
    the newest of which it has all, or else the newest that it has a part of.
    """

    version: str
    tags: tuple[str, ...]
    complete_peers: int
    partial_peers: int
    origins: int
    peers: int = 0


class Caches(msgspec.Struct, frozen=True):
    """Of ``peers`` that have to do with the dataset, whatever of theirs was asked for since their processes began:
    blocks that were there and that were not, that were evicted, and that were then fetched again.
    """

    peers: int
    hits: int
    misses: int
    evicted: int
    regretted: int
    regretted_bytes: int


class Performance(msgspec.Struct, frozen=True):
    """``moves``: the latest first, those of which peers have told. ``refused``: blocks that these peers could not give;
    ``bad_blocks``: that came to them and were not what they should be.
    """

    at: float
    dataset: str
    moves: tuple[MovePerformance, ...]
    versions: tuple[VersionHolders, ...]
    heat: tuple[VersionHeat, ...]
    caches: Caches
    bad_blocks: int
    refused: int
