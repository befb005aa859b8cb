"""What a mesh knows of each neighbour and of each version that it wants, and how many neighbours it aims at. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from swarm.limits import NEIGHBOURS_MAX
from swarm.peer.candidates import Candidate


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many neighbours are aimed at, and how many are kept."""

    target: int
    maximum: int


FETCHING: Final = Bounds(24, NEIGHBOURS_MAX)
STANDING: Final = Bounds(8, 16)
KEEPING: Final = Bounds(8, 64)


@dataclass(slots=True)
class Member:
    """A neighbour: its channel is open. ``needs``: versions that it wants of us."""

    known: Candidate
    dialled: bool
    since: float
    needs: set[bytes] = field(default_factory=set)
    useful_at: float = float("-inf")
    asked_at: float = float("-inf")
    asked: int = 0
    answered_at: float = float("-inf")


@dataclass(slots=True)
class Want:
    """A version that we fetch, or the standing set."""

    since: float
    progress_at: float
    dialled_at: float = float("-inf")
    keeper_at: float = float("-inf")
    looked_at: float = float("-inf")
    looked: int = 0
