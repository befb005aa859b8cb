"""What the scheduler tells its shell to do: each a small fact, performed by the daemon and by simulations
alike. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StartRun:
    run: int
    peer: str
    indices: tuple[int, ...]
    insist: bool


@dataclass(frozen=True, slots=True)
class StandBy:
    """Ask the peer to say when it could send a block that another was asked for. A StartRun of the same number takes it
    up, a CancelRun ends it; nothing else answers it.
    """

    run: int
    peer: str
    index: int


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Tell the peer not to send these blocks of the run (all of what is outstanding, when ``whole``)."""

    run: int
    peer: str
    indices: tuple[int, ...]
    whole: bool


@dataclass(frozen=True, slots=True)
class Connect:
    """Somebody said that this peer has what we need."""

    peer: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Every block is stored."""


Instruction = StartRun | StandBy | CancelRun | Connect | Finished
