"""How a peer fits into a set memory: what each part of it may take. Pure.

A process that does nothing takes PROCESS_BYTES, whatever it is told (measured: ``python -m bench edge``). What a budget
leaves beyond that goes to neighbours and what is received from them, to blocks kept in memory, to readers, and to
blocks on their way out. Whatever the budget, a peer has enough of each to work with, so that there is a least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swarm.limits import MIB, NEIGHBOURS_MAX, RUNS_SERVED_MAX, RUNS_TAKEN_MAX

# Interpreter, libraries, listeners, the DHT's table, a few manifests.
PROCESS_BYTES: Final = 72 * MIB
# A neighbour's channel, and its two runs, each with a block sealed and one opened: half of the largest, on average.
NEIGHBOUR_BYTES: Final = 5 * MIB // 2
# A block on its way out: as it was read, and sealed.
SENT_BYTES: Final = 2 * MIB
NEIGHBOURS_LEAST: Final = 4
SLOTS_LEAST: Final = 2
BLOCKS_LEAST_BYTES: Final = 2 * MIB
# What one reader needs to have anything ahead of it.
AHEAD_LEAST_BYTES: Final = 2 * MIB


@dataclass(frozen=True, slots=True)
class Shares:
    """``blocks_bytes`` of blocks kept in memory, ``ahead_bytes`` ahead of readers; neighbours aimed at; runs received,
    and blocks sent, at a time.
    """

    blocks_bytes: int
    ahead_bytes: int
    neighbours: int
    runs_taken: int
    slots: int


def shares_of(budget_bytes: int) -> Shares:
    """What a budget gives each part: of the rest half to neighbours, a fifth to blocks, a fifth to sending, a tenth to
    readers: half of that ahead of them, since the blocks that they are being given take as much.
    """
    left = max(0, budget_bytes - PROCESS_BYTES)
    neighbours = _within(NEIGHBOURS_LEAST, left // 2 // NEIGHBOUR_BYTES, NEIGHBOURS_MAX * 3 // 4)
    return Shares(
        blocks_bytes=max(BLOCKS_LEAST_BYTES, left // 5),
        ahead_bytes=max(AHEAD_LEAST_BYTES, left // 20),
        neighbours=neighbours,
        runs_taken=min(RUNS_TAKEN_MAX, 2 * neighbours),
        slots=_within(SLOTS_LEAST, left // 5 // SENT_BYTES, RUNS_SERVED_MAX),
    )


def _within(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most))
