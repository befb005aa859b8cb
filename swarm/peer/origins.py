"""What origins may be asked for, so that each block leaves them about once.

Pure. Blocks that nobody else has; among several origins of one kind, each its share by rendezvous hashing of groups of
neighbouring blocks, the same for every peer of the swarm, so that one seed reads a stretch of a pack and no other does.
A producer is asked only for what no seed has, and left alone for a moment at first, since a seed may be about to be
met. One in our own site goes before seeds beyond.
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
        self._near: list[Neighbour] = []

    def changed(self, neighbours: Iterable[Neighbour]) -> None:
        """These are the neighbours now."""
        known = list(neighbours)
        self._seeds = [neighbour for neighbour in known if neighbour.origin == SEED]
        self._near = [neighbour for neighbour in known if neighbour.origin and neighbour.near]
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
        if origin.origin == PRODUCER and elapsed_s < SEED_HEAD_START_S:
            return 0
        return self._share(origin) & ~held

    def near(self) -> int:
        """The set of blocks that an origin in our own site has and is, or will be, asked for: no other origin's share,
        and no seed's before a producer. They need not come from beyond.
        """
        found = 0
        for origin in self._near:
            found |= self._share(origin) & origin.have
        return found

    def _share(self, origin: Neighbour) -> int:
        share = self._shares.get(origin.peer, self._everything)
        if origin.origin == PRODUCER:
            for seed in self._seeds:
                if seed.near or not origin.near:
                    share &= ~seed.have
        return share
