"""Peers that could be dialled: a bounded pool that no neighbour can fill with those it tells of. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

CANDIDATES_MAX: Final = 256
TOLD_BY_ONE_MAX: Final = 32


@dataclass(slots=True)
class Candidate:
    """A peer whose address is known. ``versions``: of those that we fetch, what it was named for.

    ``teller``: the neighbour that told of it, empty when the tracker or the DHT did.
    """

    near: bool = False
    keeper: bool = False
    versions: set[bytes] = field(default_factory=set)
    teller: str = ""
    failures: int = 0
    not_before: float = 0.0


class Candidates:
    """By peer id. At most ``CANDIDATES_MAX``, of them ``TOLD_BY_ONE_MAX`` from one teller."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._peers: dict[str, Candidate] = {}
        self._told_by: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def __iter__(self) -> Iterator[str]:
        return iter(self._peers)

    def __getitem__(self, peer: str) -> Candidate:
        return self._peers[peer]

    def get(self, peer: str) -> Candidate | None:
        return self._peers.get(peer)

    def items(self) -> Iterator[tuple[str, Candidate]]:
        return iter(self._peers.items())

    def add(self, peer: str, candidate: Candidate) -> bool:
        """Take one in that is not there. Not when its teller has had its share; what a neighbour tells pushes out only
        what neighbours told.
        """
        teller = candidate.teller
        if teller and self._told_by.get(teller, 0) >= TOLD_BY_ONE_MAX:
            return False
        if len(self._peers) >= CANDIDATES_MAX:
            spare = [other for other, known in self._peers.items() if known.teller or not teller]
            if not spare:
                return False
            self.take(self._rng.choice(spare))
        self._peers[peer] = candidate
        if teller:
            self._told_by[teller] = self._told_by.get(teller, 0) + 1
        return True

    def take(self, peer: str) -> Candidate | None:
        """Out of the pool, if it is in it."""
        known = self._peers.pop(peer, None)
        if known is not None and known.teller:
            self._told_by[known.teller] -= 1
            if not self._told_by[known.teller]:
                del self._told_by[known.teller]
        return known

    def check_invariants(self) -> None:
        assert len(self._peers) <= CANDIDATES_MAX
        told: dict[str, int] = {}
        for known in self._peers.values():
            if known.teller:
                told[known.teller] = told.get(known.teller, 0) + 1
        assert told == self._told_by, "the count of what each neighbour told is wrong"
        assert all(count <= TOLD_BY_ONE_MAX for count in told.values())
