"""What a pull takes besides moving blocks, by the traces of real ones: the parameter ``Conditions.start_s``. Pure.

It is the time until the first block is asked for (finding the version and whoever has it, connections, the manifest,
what the directory holds), and from the last stored block to the end (what is put in place). On a busy machine most of
it is waiting for processors, so it is measured where the peers run and not guessed.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from swarm.peer.trace import MANIFEST_BLOCK, PullTrace


def start_of(traces: Iterable[PullTrace]) -> float | None:
    """The median of those that succeeded and fetched something; None without any."""
    found = [taken for trace in traces if not trace.problem and (taken := _taken_s(trace)) is not None]
    return round(statistics.median(found), 3) if found else None


def _taken_s(trace: PullTrace) -> float | None:
    blocks = [block for block in trace.blocks if block.index != MANIFEST_BLOCK]
    if not blocks:
        return None
    moving_s = max(block.stored for block in blocks) - min(block.asked for block in blocks)
    return max(0.0, trace.seconds - moving_s)
