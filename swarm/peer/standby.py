"""Asking two neighbours for a block and having it from whoever can send it first, but once.

Pure. Whoever tells of a new block first is asked for it by all, and later holders would be idle. So a neighbour that
was asked for nothing stands by for a block that waits in another's queue: it says when the block's turn has come there.
Then the first is told not to send it, and when it has agreed, or fallen silent, the second is asked. Nothing comes
twice, and no place in a queue is given up for nothing. (Requests in two queues, of which one is cancelled when the
other begins, are known to cut waiting: Gardner et al. 2015, "Reducing latency via redundant requests". Here, without
the asking, every tenth block came twice.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from swarm.peer.blocks import Blocks
from swarm.peer.instructions import CancelRun, Instruction, StandBy, StartRun
from swarm.peer.neighbour import QUEUED_SILENCE_S, Neighbour, Run
from swarm.peer.overtaking import expected_end_s
from swarm.peer.picker import Picker

# Whoever was told not to send a block and does not answer in this time has lost it to who stands by.
AGREE_S: Final = 0.4


class Standbys:
    """The runs that stand by in a download."""

    def __init__(self, blocks: Blocks, neighbours: Mapping[str, Neighbour], picker: Picker) -> None:
        self._blocks = blocks
        self._neighbours = neighbours
        self._picker = picker

    def offer(self, idle: Neighbour, now: float) -> list[Instruction]:
        """A neighbour without a run stands by for the rarest block that waits elsewhere, if it has one."""
        waiting = self._blocks.lone & idle.have
        if not waiting or idle.runs or now < idle.not_before:
            return []
        (index,) = self._picker.pick(waiting, 1)
        if self._is_slower(idle, index, now):
            return []
        run = self._blocks.stand_by(idle, index, now)
        return [StandBy(run.id, run.peer, index)]

    def ready(self, run: Run, now: float) -> list[Instruction]:
        """A run that stands by could have its block now."""
        (index,) = run.outstanding
        run.ready_at = run.last_progress = now
        for other in self._blocks.asked(index):
            if other.begun == index:
                return self.over(index)
            if next(iter(other.outstanding)) == index:
                other.recalled = index
                return [CancelRun(other.id, other.peer, (index,), whole=False)]
            # It is at another block, so its word comes in time.
            self._blocks.take_back(other, (index,))
            return [*self._take_up(run, now), CancelRun(other.id, other.peer, (index,), whole=False)]
        return []

    def released(self, index: int, now: float) -> list[Instruction]:
        """A block's run does not bring it: who stood by takes it up if it can at once, and else it is missing."""
        run = self._blocks.standby(index)
        if run is None or self._blocks.requests(index):
            return []
        return self._take_up(run, now) if run.ready_at else self.over(index)

    def over(self, index: int) -> list[Instruction]:
        """A block begins to come, or is here, or nobody was asked for it: none stands by for it any longer."""
        run = self._blocks.standby(index)
        return self.end(run) if run is not None else []

    def end(self, run: Run) -> list[Instruction]:
        """A run stands by no longer."""
        self._blocks.stand_down(run)
        self._neighbours[run.peer].runs.pop(run.id)
        return [CancelRun(run.id, run.peer, (), whole=True)]

    def overdue(self, run: Run, now: float) -> list[Instruction]:
        """Time passed: a run that is ready goes on without the first one's word, and one that never is ends."""
        if run.ready_at:
            return self._take_up(run, now) if now - run.ready_at > AGREE_S else []
        return self.end(run) if now - run.started > QUEUED_SILENCE_S else []

    def _is_slower(self, idle: Neighbour, index: int, now: float) -> bool:
        """Whether the block will be here before it could be sent, as far as is known."""
        size_bytes, (asked,) = self._blocks.sizes[index], self._blocks.asked(index)
        if not idle.sending_bytes_per_s:
            return False
        end_s = expected_end_s(self._neighbours[asked.peer], asked, self._blocks.sizes, now)
        return size_bytes / idle.sending_bytes_per_s > end_s

    def _take_up(self, run: Run, now: float) -> list[Instruction]:
        (index,) = run.outstanding
        self._blocks.take_up(run, now)
        return [StartRun(run.id, run.peer, (index,), insist=False)]
