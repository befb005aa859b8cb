"""What a mesh decides about its neighbours, to be performed by the shell (``swarm.peer.meeting``). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Instead of a version: whoever it is.
ANY: Final = b""


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a channel to this peer; ``opened`` or ``failed`` is to follow."""

    peer: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Tell this neighbour of ``names`` and close its channel: it is no neighbour any more."""

    peer: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask this neighbour for others, for a version or (``ANY``) whoever they are."""

    peer: str
    version: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the tracker and the DHT, for a version or (``ANY``) whoever they are."""

    version: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask this neighbour for a sign of life; ``heard`` is to follow."""

    peer: str


Decision = Dial | Drop | Ask | Look | Ping
