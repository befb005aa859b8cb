"""What a memory budget gives each part of a peer: it never promises more than there is, and always enough to work."""

from __future__ import annotations

import subprocess
import sys

from swarm.limits import MIB, NEIGHBOURS_MAX, RUNS_SERVED_MAX, RUNS_TAKEN_MAX
from swarm.peer.memory_budget import NEIGHBOUR_BYTES, PROCESS_BYTES, SENT_BYTES, shares_of


def test_shares_and_the_process_fit_into_the_budget() -> None:
    for budget in range(PROCESS_BYTES + 32 * MIB, 600 * MIB, 7 * MIB):
        shares = shares_of(budget)
        # Blocks that are being given to readers take as much again as what is ahead of these.
        taken = (
            shares.blocks_bytes
            + 2 * shares.ahead_bytes
            + shares.neighbours * NEIGHBOUR_BYTES
            + shares.slots * SENT_BYTES
        )
        assert PROCESS_BYTES + taken <= budget
        assert shares.runs_taken == min(RUNS_TAKEN_MAX, 2 * shares.neighbours)


def test_a_budget_that_is_too_small_leaves_the_least_of_each() -> None:
    assert shares_of(0) == shares_of(PROCESS_BYTES)
    assert shares_of(0).neighbours >= 4
    assert shares_of(0).slots >= 2


def test_a_large_budget_is_bounded_by_what_a_peer_uses_anyway() -> None:
    shares = shares_of(1 << 40)
    assert shares.neighbours < NEIGHBOURS_MAX
    assert shares.slots == RUNS_SERVED_MAX


def test_a_peer_loads_nothing_that_only_others_need() -> None:
    others = "boto3 botocore rich seed markdown_it fsspec joserfc swarm.tracker.server swarm.tracker.catalogue"
    told = f"import sys, swarm.cli.roles, swarm.peer.agent; print(*sorted(set({others.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
