"""What origins may be asked for, so that each block leaves them about once.

Pure. Blocks that nobody else has; among several origins of one kind, each its share by rendezvous hashing of groups of
neighbouring blocks, the same for every peer of the swarm, so that one seed reads a stretch of a pack and no other does.
A producer is asked only for what no seed has, and left alone for a moment at first, since a seed may be about to be
met.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from swarm.peer.neighbour import Neighbour
from swarm.peer.shares import group_of, shares
from swarm.peer.wire import PRODUCER, SEED

SEED_HEAD_START_S: Final = 1.0


class Origins:
    """The origins among the neighbours of one download of ``count`` blocks."""

    def __init__(self, count: int) -> None:
        self._everything = (1 << count) - 1
        self._count = count
        self._shares: dict[str, int] = {}
        self._seeds: list[Neighbour] = []

    def changed(self, neighbours: Iterable[Neighbour]) -> None:
        """These are the neighbours now."""
        known = list(neighbours)
        self._seeds = [neighbour for neighbour in known if neighbour.origin == SEED]
        producers = [neighbour for neighbour in known if neighbour.origin == PRODUCER]
        found: dict[str, tuple[int, int]] = {}
        for origins in (self._seeds, producers):
            found |= shares([origin.peer for origin in origins], self._count, group_of(self._count)) if origins else {}
        self._shares = {peer: first for peer, (first, _) in found.items()}

    @property
    def are_known(self) -> bool:
        """Whether any neighbour is an origin."""
        return bool(self._shares)

    def allowed(self, origin: Neighbour, held: int, elapsed_s: float) -> int:
        """The set of blocks that this origin may be asked for, ``elapsed_s`` after the start. ``held`` are those that
        others have, or that an origin gave to others just now.
        """
        allowed = self._shares.get(origin.peer, self._everything) & ~held
        if origin.origin == PRODUCER:
            if elapsed_s < SEED_HEAD_START_S:
                return 0
            for seed in self._seeds:
                allowed &= ~seed.have
        return allowed
