"""What ``aetherfs stats`` tells of a dataset: the object of ``--json``. Units as in ``swarm.figure_messages``.

Where something is not known it is None or empty, and ``reasons`` says why, by the field's name.
"""

from __future__ import annotations

import msgspec

from swarm.analysis.reads import VersionReads
from swarm.figure_messages import Completion, Sources, VersionHeat


class RolloutTold(msgspec.Struct, frozen=True):
    """How one move went. ``wanted`` and ``current``: also those that had it and are not there now. ``offload``: the
    share of bytes that peers gave, not the origin.
    """

    ended: float | None
    wanted: int
    current: int
    failed: int
    completion: Completion
    sources: Sources
    offload: float | None


class PublishTold(msgspec.Struct, frozen=True):
    """One move of a tag. ``rollout`` is None where no tracker knows of it any more."""

    serial: int
    tag: str
    version: str
    at: float
    kind: str
    message: str
    bytes: int | None
    files: int | None
    rollout: RolloutTold | None


class VersionTold(msgspec.Struct, frozen=True):
    """Who runs a version: peers with all of it, with a part, and origins; as a tracker hears now."""

    version: str
    tags: tuple[str, ...]
    complete_peers: int
    partial_peers: int
    origins: int


class TierTold(msgspec.Struct, frozen=True):
    """One store of blocks here, since the process began. ``regretted`` were evicted and came again."""

    tier: str
    hits: int
    misses: int
    evicted: int
    regretted: int
    regretted_bytes: int


class RefusedTold(msgspec.Struct, frozen=True):
    """Blocks: ``bad`` came here and were not what their signature says, ``unreadable`` could not be given; ``swarm``:
    bad ones of all peers.
    """

    bad: int
    unreadable: int
    swarm: int | None


class Stats(msgspec.Struct, frozen=True):
    """``reads``: of this home's agent, the version read last first; ``heat``: of all peers, without paths.

    ``has_earlier``: more moves lie in that time than ``publishes`` tells.
    """

    ref: str
    dataset: str
    tag: str | None
    at: float
    since: float
    publishes: tuple[PublishTold, ...]
    versions: tuple[VersionTold, ...]
    reads: tuple[VersionReads, ...]
    heat: tuple[VersionHeat, ...]
    tiers: tuple[TierTold, ...]
    refused: RefusedTold
    uptime_s: float
    reasons: dict[str, str]
    has_earlier: bool = False
