"""The state of each block of one download, and the runs in which it is asked for.

Pure bookkeeping: what is asked of whom decides the scheduler. A block is in exactly one state: missing, requested,
received, stored. Bytes under way are counted in all and at each neighbour. Beside the run that a block was asked for in
may stand another, by (``swarm.peer.standby``): of such nothing is under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from swarm.peer.neighbour import Neighbour, Run
from swarm.peer.picker import Picker, indices_of

MISSING: Final = 0
REQUESTED: Final = 1
RECEIVED: Final = 2
STORED: Final = 3


class Blocks:
    """``sizes`` are those of all blocks; ``picker.missing`` is kept as the set of those in the state MISSING, which at
    first is what is not stored. ``first_run`` is the number of the first run.
    """

    def __init__(
        self, sizes: Sequence[int], picker: Picker, neighbours: Mapping[str, Neighbour], first_run: int
    ) -> None:
        self.sizes = sizes
        self.state = bytearray(MISSING if picker.missing >> index & 1 else STORED for index in range(len(sizes)))
        self.stored = self.state.count(STORED)
        self.stored_bytes = sum(size for size, state in zip(sizes, self.state, strict=True) if state == STORED)
        self.runs: dict[int, Run] = {}
        self.in_flight_bytes = 0
        # What was asked for once, has not begun to come, and has no run standing by.
        self.lone = 0
        self._standbys: dict[int, Run] = {}
        self._picker = picker
        self._neighbours = neighbours
        self._requesters: dict[int, list[int]] = {}
        self._next_run = first_run

    # ---- runs ---------------------------------------------------------------------------------------------------

    def start(self, neighbour: Neighbour, indices: Iterable[int], now: float, moves: int) -> Run:
        """A run of these blocks begins."""
        run = Run(self._next_run, neighbour.peer, dict.fromkeys(indices), now, now, moves=moves)
        self._next_run += 1
        self.runs[run.id] = neighbour.runs[run.id] = run
        for index in run.outstanding:
            self._is_requested(index, run)
        return run

    def stand_by(self, neighbour: Neighbour, index: int, now: float) -> Run:
        """A run for a block that is ``lone`` stands by."""
        run = Run(self._next_run, neighbour.peer, {index: None}, now, now, is_standby=True)
        self._next_run += 1
        self.runs[run.id] = neighbour.runs[run.id] = self._standbys[index] = run
        self.lone &= ~(1 << index)
        return run

    def standby(self, index: int) -> Run | None:
        """The run that stands by for a block."""
        return self._standbys.get(index)

    def take_up(self, run: Run, now: float) -> None:
        """A run that stood by is asked for its block."""
        (index,) = run.outstanding
        del self._standbys[index]
        run.is_standby, run.last_progress = False, now
        self._is_requested(index, run)
        self.lone &= ~(1 << index)

    def stand_down(self, run: Run) -> None:
        """A run stands by no longer."""
        (index,) = run.outstanding
        del self.runs[run.id], self._standbys[index]
        asked = self.asked(index)
        if self.state[index] == REQUESTED and len(asked) == 1 and asked[0].begun != index:
            self.lone |= 1 << index

    def begun(self, index: int) -> None:
        """A block begins to come."""
        self.lone &= ~(1 << index)

    def answered(self, run: Run, index: int, now: float) -> None:
        """A block of the run was answered, in whatever way."""
        run.last_progress = now
        if index in run.outstanding:
            self._drop(run, index)

    def ended(self, run_id: int) -> Run | None:
        """The run brings nothing more; None if it was over. What it still owes stays with it until ``release``."""
        return self.runs.pop(run_id, None)

    def release(self, run: Run, indices: Iterable[int]) -> None:
        """The run does not bring these: without another request they are missing again."""
        for index in indices:
            if index in run.outstanding:
                self._drop(run, index)
            requesters = self._requesters.get(index, [])
            if run.id in requesters:
                requesters.remove(run.id)
            if not requesters:
                self._requesters.pop(index, None)
                self.lone &= ~(1 << index)
                if self.state[index] == REQUESTED:
                    self._is_missing(index)

    def take_back(self, run: Run, indices: Iterable[int]) -> None:
        """The run need not bring these, which are asked for anew at once: they stay requested."""
        for index in indices:
            self._drop(run, index)
            self._requesters[index].remove(run.id)

    # ---- blocks -------------------------------------------------------------------------------------------------

    def received(self, index: int) -> bool:
        """A block's bytes came. False: they were here."""
        if self.state[index] >= RECEIVED:
            return False
        self._picker.missing &= ~(1 << index)
        self.lone &= ~(1 << index)
        self.state[index] = RECEIVED
        return True

    def keep(self, index: int) -> list[Run]:
        """A block is stored. The runs that were still to bring it, and need not now."""
        if self.state[index] != STORED:
            self.state[index] = STORED
            self.stored += 1
            self.stored_bytes += self.sizes[index]
        others = self.asked(index)
        self._requesters.pop(index, None)
        self.lone &= ~(1 << index)
        for run in others:
            self._drop(run, index)
        return others

    def requests(self, index: int) -> int:
        """In how many runs a block is asked for."""
        return len(self._requesters.get(index, ()))

    def asked(self, index: int) -> list[Run]:
        """The runs that are to bring a block."""
        asked = [self.runs[run_id] for run_id in self._requesters.get(index, ()) if run_id in self.runs]
        return [run for run in asked if index in run.outstanding]

    @property
    def requested(self) -> int:
        """How many blocks are asked for."""
        return len(self._requesters)

    # ---- inside -------------------------------------------------------------------------------------------------

    def _drop(self, run: Run, index: int) -> None:
        """The run no longer has this block to bring."""
        del run.outstanding[index]
        self.in_flight_bytes -= self.sizes[index]
        neighbour = self._neighbours.get(run.peer)
        if neighbour is not None:
            neighbour.in_flight_bytes -= self.sizes[index]

    def _is_requested(self, index: int, run: Run) -> None:
        requesters = self._requesters.setdefault(index, [])
        requesters.append(run.id)
        if len(requesters) == 1 and index not in self._standbys:
            self.lone |= 1 << index
        else:
            self.lone &= ~(1 << index)
        self.state[index] = REQUESTED
        self._picker.missing &= ~(1 << index)
        self.in_flight_bytes += self.sizes[index]
        self._neighbours[run.peer].in_flight_bytes += self.sizes[index]

    def _is_missing(self, index: int) -> None:
        self.state[index] = MISSING
        self._picker.missing |= 1 << index

    def check_invariants(self) -> None:
        """Every block in one state, every request known on both sides. For tests, after every step."""
        for index, state in enumerate(list(self.state)):  # mypyc goes through no bytearray
            requested = [r for r in self._requesters.get(index, ()) if index in self.runs[r].outstanding]
            assert (state == REQUESTED) == bool(requested) or state >= RECEIVED, (index, state, requested)
            assert (state == MISSING) == bool(self._picker.missing >> index & 1), (index, state)
        assert self.stored == self.state.count(STORED)
        for index in indices_of(self.lone):
            assert self.state[index] == REQUESTED, index
            assert len(self.asked(index)) == 1, index
            assert index not in self._standbys, index
        under_way = dict.fromkeys(self._neighbours, 0)
        for index, run in self._standbys.items():
            assert run.is_standby, index
            assert list(run.outstanding) == [index], index
            assert run.id in self.runs, index
            assert self.asked(index) if self.state[index] == REQUESTED else self.state[index] == RECEIVED, index
        for run in self.runs.values():
            assert run.id in self._neighbours[run.peer].runs
            if run.is_standby:
                continue
            under_way[run.peer] += sum(self.sizes[index] for index in run.outstanding)
        assert {peer: known.in_flight_bytes for peer, known in self._neighbours.items()} == under_way
        assert sum(under_way.values()) == self.in_flight_bytes
