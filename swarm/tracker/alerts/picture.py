"""What the rules of alerts look at: the swarm at one moment, as one tracker knows it. Times are wall seconds. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class RolloutSeen:
    """A tag that peers follow. ``is_stuck``: somebody is behind and nothing moves, or all that is left has failed.

    ``copies`` of the block that has the fewest: peers that hold it, and one for the origin if that has it; None where
    it is not known. ``fetched_bytes`` is all that consumers fetched, ``origin_bytes`` what of it came from the origin.
    """

    dataset: str
    tag: str
    serial: int
    wanted: int
    behind: int
    failed: int
    is_stuck: bool
    is_paused: bool
    words: str
    copies: int | None = None
    fetched_bytes: int = 0
    origin_bytes: int = 0


class PeerSeen(msgspec.Struct, frozen=True):
    """A member that was heard of lately. ``bad_blocks`` that it gave within the last ten minutes, to ``bad_takers``.
    None and 0: not known. A structure, as thousands are made at each look.
    """

    id: str
    role: str
    heard: float
    clock_offset_s: float | None = None
    disk_free_bytes: int | None = None
    disk_size_bytes: int | None = None
    certificate_expires: float = 0.0
    bad_blocks: int = 0
    bad_takers: int = 0


@dataclass(frozen=True, slots=True)
class TrackerSeen:
    """Another tracker that is listed. ``silent_since``: None while it answers."""

    address: str
    silent_since: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    """Something that expires: whose certificate or key it is, and what renews it."""

    name: str
    expires: float
    remedy: str
    warn_s: float


@dataclass(frozen=True, slots=True)
class Picture:
    """All of it. ``interval_s`` is how often peers are to announce; ``offload_target`` the share of bytes that is not
    to come from the origin, 0 for none.
    """

    wall_now: float
    interval_s: float
    offload_target: float
    rollouts: tuple[RolloutSeen, ...] = ()
    peers: tuple[PeerSeen, ...] = ()
    trackers: tuple[TrackerSeen, ...] = ()
    papers: tuple[Paper, ...] = ()
    store_away_since: float | None = None
    store_why: str = ""
