"""How a peer runs: what its process was told, and what follows when nobody says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from swarm.dialable import Network
from swarm.home import Home
from swarm.limits import MIB, RUNS_SERVED_MAX, RUNS_TAKEN_MAX
from swarm.peer.membership import FETCHING
from swarm.peer.pace import Paces
from swarm.publish_budget import Foretell
from swarm.signers import Required

DEFAULT_DISK_BYTES: Final = 10_000 * MIB
DEFAULT_MEMORY_BYTES: Final = 64 * MIB


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """How a peer runs. ``port_base`` 0 takes free ports; else the exchange is at base + 1 and the agent at base + 2."""

    home: Home
    listen: str = "127.0.0.1"
    port_base: int = 0
    disk_bytes: int = DEFAULT_DISK_BYTES
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    # What all readers have ahead of them; as much as blocks in memory where nothing is said.
    ahead_bytes: int | None = None
    stall_s: float = 60.0
    dial_also: tuple[Network, ...] = ()
    # Whether it stays, and so follows its subscriptions.
    follows: bool = False
    # The signers whose entries alone are taken.
    required: Required | None = None
    profile: str = ""
    paces: Paces = field(default_factory=Paces)
    # Over a link that costs: nothing is given beyond the site, nothing is fetched or said that nobody asked for.
    is_metered: bool = False
    lan_discovery: bool = False
    # Ask the DHT and announce there, and keep nothing for others.
    is_dht_client: bool = False
    # Runs that are received at a time, and blocks that are sent at a time, at most: each takes up to 2 MiB.
    runs_taken_max: int = RUNS_TAKEN_MAX
    slots_most: int = RUNS_SERVED_MAX
    neighbours_aim: int = FETCHING.target
    # How long consumers need for a version, for budgets; without it they are held to the line alone.
    foretell: Foretell | None = None
