"""The words and sums that all figures share: states, causes, sources. See ``swarm.figure_messages``."""

from __future__ import annotations

from typing import Literal

import msgspec

# Where a peer stands in a rollout. ``unaware``: it follows the tag and has not heard of its move. ``waiting``: it knows
# and has not begun, or is held back. ``verifying``: all blocks are here; validation, the switch, the hook. ``lost``:
# not heard of any more before it was done.
State = Literal["unaware", "waiting", "fetching", "verifying", "current", "failed", "lost"]
STATES: tuple[State, ...] = ("unaware", "waiting", "fetching", "verifying", "current", "failed", "lost")

# Why a peer is behind. Words stand beside it; this is for filters, colours and alerts.
Cause = Literal[
    "",
    "slow-link",
    "own-limit",
    "no-holder",
    "no-neighbour",
    "disk-full",
    "not-heard",
    "held-back",
    "paused",
    "refused",
    "hook",
    "not-told",
    "queued",
    "error",
]

# How a rollout goes. ``rolled back``, ``aborted``: it brought everybody back; ``taken back``: from this one they came
# back; ``overtaken``: another version came before all had it.
Trend = Literal[
    "well",
    "running",
    "slow",
    "stalled",
    "failed",
    "paused",
    "rolled back",
    "aborted",
    "taken back",
    "overtaken",
    "idle",
]

# What an event tells of.
EventKind = Literal[
    "joined",
    "left",
    "died",
    "back",
    "moved",
    "begun",
    "done",
    "failed",
    "stalled",
    "paused",
    "resumed",
    "promoted",
    "rolled-back",
    "aborted",
    "alert",
    "cleared",
    "tracker",
    "bad-block",
]
Severity = Literal["info", "warning", "critical"]


class Sources(msgspec.Struct, frozen=True):
    """Plain bytes by where they came from. ``share_origin`` is origin / (peers + origin), None when both are 0."""

    peers: int = 0
    origin: int = 0
    reused: int = 0
    wasted: int = 0
    wire: int = 0
    share_origin: float | None = None


class Counts(msgspec.Struct, frozen=True):
    """Peers by state. Their sum is ``wanted``."""

    unaware: int = 0
    waiting: int = 0
    fetching: int = 0
    verifying: int = 0
    current: int = 0
    failed: int = 0
    lost: int = 0
