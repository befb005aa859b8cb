"""The tracker of a simulated swarm: the real presence and handout."""

from __future__ import annotations

import random
from typing import Final

from swarm.limits import HANDOUT_MAX_NEIGHBOURS
from swarm.messages import Holding
from swarm.peer.wire import NOT_ORIGIN
from swarm.records import Address
from swarm.sim.peer import Peer
from swarm.tracker.handout import neighbours_for
from swarm.tracker.presence import Presence, Present

VERSION: Final = ("sim/data", bytes(32))
REMOTE: Final = "10.0.0.1"


class Tracker:
    """Hands neighbours out to who announces; ``is_alive`` may be taken away."""

    def __init__(self, rng: random.Random) -> None:
        self.is_alive = True
        self._presence = Presence(3600.0)
        self._rng = rng

    def announce(self, peer: Peer, now: float, limit: int = HANDOUT_MAX_NEIGHBOURS) -> list[str]:
        """The names of neighbours for a peer, seeds first."""
        complete = peer.done_at is not None or peer.origin != NOT_ORIGIN
        present = Present(
            peer.public,
            peer.name,
            (Address(f"10.{peer.number >> 16 & 255}.{peer.number >> 8 & 255}.{peer.number & 255}", 7071),),
            "seed" if peer.origin else "peer",
            peer.access.site,
            {VERSION: Holding(*VERSION, complete, peer.origin != NOT_ORIGIN)},
            now + peer.number * 1e-9,  # even those who come at one moment come one after another
            peer.origin != NOT_ORIGIN,
        )
        self._presence.announce(present)
        presence, rng = self._presence, self._rng
        holders = presence.holders(VERSION, now, complete=False, rng=rng)
        if len(holders) < limit:
            holders += presence.holders(VERSION, now, complete=True, rng=rng)
        found = neighbours_for(
            present,
            VERSION,
            remote=REMOTE,
            holders=holders,
            seeds=presence.seeds(now),
            limit=limit,
            rng=rng,
            fetchers=presence.count(VERSION, complete=False),
        )
        return [neighbour.peer_id for neighbour in found]

    def left(self, peer: Peer) -> None:
        """A peer is gone."""
        self._presence.forget(peer.name)
