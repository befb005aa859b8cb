"""One simulated peer: the real cores, and what it is like."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final, Literal

from swarm.identity import peer_id_of
from swarm.peer.scheduler import Scheduler
from swarm.peer.telling import Telling
from swarm.peer.uploads import Uploads
from swarm.peer.wire import NOT_ORIGIN, Origin
from swarm.sim.links import PAYLOAD_SHARE, Flow, Link
from swarm.sim.loss import either, late_s

# What a packet waits at most behind others in a busy uplink: half of the 20 ms that tbf is told to hold.
QUEUE_S: Final = 0.01

Kind = Literal["honest", "slow", "silent", "liar", "freerider"]


@dataclass(frozen=True, slots=True)
class Access:
    """A peer's line: bytes a second up and down, seconds to the middle of the network, its site, if any, and the share
    of packets that it loses.
    """

    up: float
    down: float
    delay_s: float = 0.001
    site: str = ""
    lost: float = 0.0


@dataclass(slots=True)
class Run:
    """A run at its taker: answers that are still to come, and how many were busy."""

    left: int
    asked: int
    busy: int = 0


@dataclass(slots=True, eq=False)
class Peer:
    """``held`` is the set of blocks that it has (bit per block); ``scheduler`` is None for an origin."""

    number: int
    access: Access
    kind: Kind = "honest"
    origin: Origin = NOT_ORIGIN
    scheduler: Scheduler | None = None
    held: int = 0
    uploads: Uploads = field(default_factory=Uploads)
    telling: Telling = field(default_factory=Telling)
    neighbours: dict[str, Peer] = field(default_factory=dict)
    runs: dict[tuple[str, int], Run] = field(default_factory=dict)
    sending: dict[tuple[str, int], Flow] = field(default_factory=dict)
    banned: set[str] = field(default_factory=set)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    candidates: list[str] = field(default_factory=list)
    dialled_at: float = 0.0
    public: bytes = b""
    name: str = ""
    joined_at: float = 0.0
    done_at: float | None = None
    progressed_at: float = 0.0
    gone: bool = False
    up: Link = field(init=False)
    down: Link = field(init=False)

    def __post_init__(self) -> None:
        self.public = random.Random(self.number).randbytes(32)
        self.name = peer_id_of(self.public)
        self.up = Link(self.access.up * PAYLOAD_SHARE)
        self.down = Link(self.access.down * PAYLOAD_SHARE)

    @property
    def is_fetching(self) -> bool:
        return self.done_at is None and not self.gone and self.scheduler is not None

    def way_s(self, other: Peer) -> float:
        """How long a small message takes to another peer."""
        queue_s = QUEUE_S if self.up.flows else 0.0
        if self.access.site and self.access.site == other.access.site:
            return 0.0002 + queue_s
        way_s = self.access.delay_s + other.access.delay_s + queue_s
        return way_s + late_s(self.lost_to(other), way_s, self.rng)

    def telling_s(self) -> float:
        """How long news take to the middle of the network."""
        way_s = 0.005 + self.access.delay_s
        return way_s + late_s(self.access.lost, way_s, self.rng)

    def lost_to(self, other: Peer) -> float:
        """The share of packets to another peer that is lost; none on a LAN."""
        if self.access.site and self.access.site == other.access.site:
            return 0.0
        return either(self.access.lost, other.access.lost)
