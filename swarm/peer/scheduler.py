"""The scheduler of one version: events in, instructions out.

A pure state machine, in the daemon and in simulations the same: no I/O, no clock, injected randomness. The shell
performs the instructions and feeds what happens back as events. A block is in exactly one state: missing, requested,
received, stored.

What it strives for: rarest first; about a second of work ahead at every neighbour; an origin asked only for what no
other neighbour has or is about to have; a slow or silent neighbour overtaken by another that is idle, taking back what
it has not begun to send; nothing starves, since every waiting has an end after which the origin is asked with
insistence.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final

from swarm.limits import RUN_MAX_BLOCKS, RUN_MAX_BYTES
from swarm.peer.instructions import CancelRun, Connect, Finished, Instruction, StartRun
from swarm.peer.neighbour import AHEAD_S, Neighbour, Run
from swarm.peer.picker import Picker
from swarm.peer.wire import PRODUCER, SEED, Origin

MISSING: Final = 0
REQUESTED: Final = 1
RECEIVED: Final = 2
STORED: Final = 3

# A run without progress for this long is given up; for a neighbour of known rate, this many times the expected time.
SILENCE_S: Final = 4.0
SILENCE_FACTOR: Final = 4.0
# An idle neighbour takes blocks over from a run that will need this many times longer for them than it would itself,
# and this much longer: what is in the sockets' buffers by then cannot be taken back, and comes twice.
HEDGE_FACTOR: Final = 2.0
HEDGE_AFTER_S: Final = 1.5
# Of all bytes, at most this share is asked for a second time while the first may still come.
HEDGE_BUDGET: Final = 0.02
# How long a redirect or a neighbour's full queue may hold a block back from the origin.
PATIENCE_S: Final = 3.0
# This many times longer when a neighbour has it and is busy with other blocks of ours.
HAVE_PATIENCE: Final = 2.0
# A producer is left alone for this long after the start: a seed may be about to be met.
SEED_HEAD_START_S: Final = 1.0
TICK_S: Final = 0.1


class Scheduler:
    """``sizes`` are the plain sizes of the version's unique blocks, ``held`` the indices already stored."""

    def __init__(self, sizes: Sequence[int], held: Iterable[int], rng: random.Random) -> None:
        self.sizes = sizes
        self.state = bytearray(len(sizes))
        for index in held:
            self.state[index] = STORED
        missing = [index for index, state in enumerate(self.state) if state == MISSING]
        self.picker = Picker(missing, len(sizes), rng)
        self.neighbours: dict[str, Neighbour] = {}
        self.stored = len(sizes) - len(missing)
        self.fetched_twice_bytes = 0
        self._hedged_bytes = 0
        self._total_bytes = sum(sizes)
        self._runs: dict[int, Run] = {}
        self._requesters: dict[int, list[int]] = {}
        self._held_back: dict[int, float] = {}
        self._next_run = 1
        self._rng = rng
        self._is_finished = False
        self._started = math.inf

    # ---- events -------------------------------------------------------------------------------------------------

    def peer_joined(self, peer: str, *, origin: Origin, bitmap: bytes | None, now: float) -> list[Instruction]:
        """A neighbour for this version. ``bitmap`` has a bit per unique block, lowest bit first; None means all."""
        self._started = min(self._started, now)
        have = None if bitmap is None else self._unpack(bitmap)
        if have is not None and len(have) and all(have):
            have = None
        neighbour = self.neighbours.get(peer)
        if neighbour is None:
            neighbour = self.neighbours[peer] = Neighbour(peer, origin, have)
        else:
            # It tells anew what it holds, as one does that has become complete: what it was asked for is on its way.
            self._count(neighbour, -1)
            neighbour.origin, neighbour.have = origin, have
        self._count(neighbour, 1)
        return self._schedule(now)

    def peer_has(self, peer: str, indices: Iterable[int], now: float) -> list[Instruction]:
        """A neighbour announces more blocks."""
        neighbour = self.neighbours.get(peer)
        if neighbour is None or neighbour.have is None:
            return []
        for index in indices:
            if index < len(self.sizes) and not neighbour.have[index]:
                neighbour.have[index] = 1
                neighbour.fresh.append(index)
                self.picker.copies[index] += not neighbour.origin
        return self._schedule(now)

    def peer_left(self, peer: str, now: float) -> list[Instruction]:
        """A neighbour is gone, by its will or ours."""
        self._forget(peer)
        return self._schedule(now)

    def block_received(self, run_id: int, index: int, now: float) -> bool:
        """A block's bytes arrived, to be verified and stored. False: they are here already and are to be thrown
        away.
        """
        run = self._runs.get(run_id)
        if run is not None:
            run.outstanding.pop(index, None)
            run.last_progress = now
            run.received_bytes += self.sizes[index]
            neighbour = self.neighbours.get(run.peer)
            if neighbour is not None:
                neighbour.received_bytes += self.sizes[index]
                neighbour.succeed()
        if self.state[index] >= RECEIVED:
            self.fetched_twice_bytes += self.sizes[index]
            return False
        if self.state[index] == MISSING:
            self.picker.remove(index)
        self.state[index] = RECEIVED
        return True

    def block_stored(self, index: int, now: float) -> list[Instruction]:
        """The received block is kept; others that were asked for it are told to save themselves the trouble."""
        instructions: list[Instruction] = []
        if self.state[index] != STORED:
            self.state[index] = STORED
            self.stored += 1
        for run_id in self._requesters.pop(index, ()):
            run = self._runs.get(run_id)
            if run is not None and index in run.outstanding:
                del run.outstanding[index]
                instructions.append(CancelRun(run_id, run.peer, (index,), whole=False))
        return instructions + self._schedule(now)

    def block_bad(self, index: int) -> None:
        """What was received is not the block. Whoever sent it is to be dropped by ``peer_left``."""
        if self.state[index] == RECEIVED:
            self._requesters.pop(index, None)
            self.state[index] = MISSING
            self.picker.add(index)

    def block_refused(
        self, run_id: int, index: int, now: float, *, ask: str | None = None, busy: bool = False
    ) -> list[Instruction]:
        """The neighbour does not have the block now, or is busy, or names another who has it."""
        run = self._runs.get(run_id)
        if run is None or index not in run.outstanding:
            return []
        del run.outstanding[index]
        run.last_progress = now
        neighbour = self.neighbours.get(run.peer)
        instructions: list[Instruction] = []
        if ask is not None:
            self._held_back[index] = now + self._patience(neighbour)
            if ask not in self.neighbours:
                instructions.append(Connect(ask))
        elif neighbour is not None and not busy:
            self._lost(neighbour, index)
        self._release(run_id, index)
        return instructions

    def run_ended(self, run_id: int, now: float, *, failed: bool) -> list[Instruction]:
        """A run is over: every block of it answered, or broken off."""
        run = self._runs.pop(run_id, None)
        if run is None:
            return []
        neighbour = self.neighbours.get(run.peer)
        if neighbour is not None:
            neighbour.measure(run, now)
            neighbour.runs.pop(run_id, None)
            if failed:
                neighbour.fail(now)
        for index in list(run.outstanding):
            self._release(run_id, index)
        run.outstanding.clear()
        return self._schedule(now)

    def want(self, indices: Iterable[int], now: float) -> list[Instruction]:
        """A reader waits for these blocks, in this order."""
        self.picker.want(indices)
        return self._schedule(now)

    def tick(self, now: float) -> list[Instruction]:
        """Time passed: give up silent runs, overtake slow ones, ask again."""
        instructions: list[Instruction] = []
        for run in list(self._runs.values()):
            if now - run.last_progress > self._silence(run):
                instructions += self._give_up(run, now)
        return instructions + self._schedule(now)

    # ---- what it decides ----------------------------------------------------------------------------------------

    @property
    def is_complete(self) -> bool:
        return self.stored == len(self.sizes)

    def _schedule(self, now: float) -> list[Instruction]:
        if self.is_complete:
            if self._is_finished:
                return []
            self._is_finished = True
            return [Finished()]
        instructions: list[Instruction] = []
        order = list(self.neighbours.values())
        self._rng.shuffle(order)
        order.sort(key=lambda neighbour: neighbour.origin)
        for neighbour in order:
            while neighbour.is_open(now):
                started = self._next(neighbour, now)
                if not started:
                    break
                instructions += started
        return instructions

    def _next(self, neighbour: Neighbour, now: float) -> list[Instruction]:
        if len(self.picker):
            indices, insist = self._choose(neighbour, now)
            if indices:
                return [self._start(neighbour, indices, insist, now)]
        return self._hedge(neighbour, now)

    def _choose(self, neighbour: Neighbour, now: float) -> tuple[list[int], bool]:
        if not neighbour.origin:
            return self._fill(neighbour, self.picker.pick(RUN_MAX_BLOCKS, neighbour.fresh, neighbour.has)), False
        overdue = [i for i, until in self._held_back.items() if self._is_overdue(i, until, now) and neighbour.has(i)]
        if overdue:
            return self._fill(neighbour, overdue[:RUN_MAX_BLOCKS]), True
        return self._fill(neighbour, self.picker.pick(RUN_MAX_BLOCKS, (), self._only_at(neighbour, now))), False

    def _only_at(self, origin: Neighbour, now: float) -> Callable[[int], bool]:
        """What to ask an origin for: blocks that nobody else has, and that fall to this one among several origins.

        A producer is asked only for what no seed has; at first it is given time to get to know one. A block that
        another neighbour has is given time, then counts as overdue. Every peer of the swarm makes the same
        choice among origins, by rendezvous hashing, so that each leaves one of them once.
        """
        others = [n for n in self.neighbours.values() if n.origin == origin.origin and n is not origin]
        seeds = [n for n in self.neighbours.values() if n.origin == SEED] if origin.origin == PRODUCER else []
        is_early = origin.origin == PRODUCER and now < self._started + SEED_HEAD_START_S

        def test(index: int) -> bool:
            if is_early or not origin.has(index) or index in self._held_back or any(n.has(index) for n in seeds):
                return False
            weight = _weight(origin.peer, index)
            if any(other.has(index) and _weight(other.peer, index) > weight for other in others):
                return False
            if self.picker.copies[index]:
                self._held_back[index] = now + self._patience(origin)
                return False
            return True

        return test

    def _is_overdue(self, index: int, until: float, now: float) -> bool:
        """Whether waiting for others has to end: soon when none has the block, later when one has but is busy."""
        if until > now or index not in self.picker:
            return False
        return not self.picker.copies[index] or until + HAVE_PATIENCE * PATIENCE_S <= now

    def _fill(self, neighbour: Neighbour, indices: list[int]) -> list[int]:
        """As many of the indices as make up one run."""
        room = neighbour.run_bytes(RUN_MAX_BYTES)
        total = 0
        for number, index in enumerate(indices):
            total += self.sizes[index]
            if number and total > room:
                return indices[:number]
        return indices

    def _start(self, neighbour: Neighbour, indices: list[int], insist: bool, now: float) -> StartRun:
        run = Run(self._next_run, neighbour.peer, dict.fromkeys(indices), now, now, insist)
        self._next_run += 1
        self._runs[run.id] = neighbour.runs[run.id] = run
        for index in indices:
            self.state[index] = REQUESTED
            self.picker.remove(index)
            self._held_back.pop(index, None)
            self._requesters.setdefault(index, []).append(run.id)
        return StartRun(run.id, neighbour.peer, tuple(indices), insist)

    def _hedge(self, neighbour: Neighbour, now: float) -> list[Instruction]:
        """An idle neighbour takes over the tail of the run that will take longest, if that is clearly sooner."""
        if neighbour.runs or neighbour.rate_bytes_per_s == 0.0:
            return []
        slowest: Run | None = None
        worst = 0.0
        for run in self._runs.values():
            if run.peer == neighbour.peer or now - run.started < HEDGE_AFTER_S or not run.outstanding:
                continue
            left_s = self._time_left(run, now)
            if left_s > worst:
                slowest, worst = run, left_s
        if slowest is None:
            return []
        indices = self._stealable(slowest, neighbour, now)
        ours_s = sum(self.sizes[i] for i in indices) / neighbour.rate_bytes_per_s
        if not indices or worst < HEDGE_FACTOR * ours_s + HEDGE_AFTER_S:
            return []
        self._hedged_bytes += sum(self.sizes[i] for i in indices)
        # What is not begun is taken back, so that it is not sent twice; the one block under way is raced for.
        begun = next(iter(slowest.outstanding))
        taken = tuple(i for i in indices if i != begun)
        instructions: list[Instruction] = []
        if taken:
            instructions.append(CancelRun(slowest.id, slowest.peer, taken, whole=False))
        for index in taken:
            del slowest.outstanding[index]
            self._requesters[index].remove(slowest.id)
        return [*instructions, self._start(neighbour, indices, neighbour.origin > 0, now)]

    def _stealable(self, run: Run, neighbour: Neighbour, now: float) -> list[int]:
        """The tail half of a slow run, as far as the budget for what may come twice goes; a silent run has none."""
        indices = [
            i
            for i in reversed(run.outstanding)
            if neighbour.has(i) and self.state[i] == REQUESTED and len(self._requesters.get(i, ())) < 2
        ]
        indices = self._fill(neighbour, indices[: max(1, len(indices) // 2)])
        if now - run.last_progress >= HEDGE_AFTER_S:
            return indices
        left = HEDGE_BUDGET * self._total_bytes - self._hedged_bytes
        within = [total for total in accumulate(self.sizes[i] for i in indices) if total <= left]
        return indices[: len(within)]

    def _give_up(self, run: Run, now: float) -> list[Instruction]:
        outstanding = tuple(run.outstanding)
        instructions: list[Instruction] = [CancelRun(run.id, run.peer, outstanding, whole=True)]
        for index in outstanding:
            self._held_back[index] = now
        return instructions + self.run_ended(run.id, now, failed=True)

    # ---- bookkeeping --------------------------------------------------------------------------------------------

    def _release(self, run_id: int, index: int) -> None:
        """One request for the block is off; without another it is missing again."""
        requesters = self._requesters.get(index, [])
        if run_id in requesters:
            requesters.remove(run_id)
        if not requesters:
            self._requesters.pop(index, None)
            if self.state[index] == REQUESTED:
                self.state[index] = MISSING
                self.picker.add(index)

    def _lost(self, neighbour: Neighbour, index: int) -> None:
        """A neighbour does not have a block that it was taken to have."""
        if neighbour.have is None:
            neighbour.have = bytearray(b"\1") * len(self.sizes)
        if neighbour.have[index]:
            neighbour.have[index] = 0
            self.picker.copies[index] -= not neighbour.origin

    def _forget(self, peer: str) -> None:
        neighbour = self.neighbours.pop(peer, None)
        if neighbour is None:
            return
        self._count(neighbour, -1)
        for run_id, run in list(neighbour.runs.items()):
            self._runs.pop(run_id, None)
            for index in run.outstanding:
                self._release(run_id, index)

    def _count(self, neighbour: Neighbour, step: int) -> None:
        if neighbour.origin:
            return
        copies = self.picker.copies
        for index in range(len(copies)):
            copies[index] += step * neighbour.has(index)

    def _unpack(self, bitmap: bytes) -> bytearray:
        have = bytearray(len(self.sizes))
        for index in range(min(len(have), 8 * len(bitmap))):
            have[index] = bitmap[index >> 3] >> (index & 7) & 1
        return have

    def _silence(self, run: Run) -> float:
        neighbour = self.neighbours.get(run.peer)
        rate = neighbour.rate_bytes_per_s if neighbour is not None else 0.0
        block_s = RUN_MAX_BYTES / RUN_MAX_BLOCKS / rate if rate else 0.0
        return max(SILENCE_S, SILENCE_FACTOR * block_s)

    def _time_left(self, run: Run, now: float) -> float:
        left = sum(self.sizes[i] for i in run.outstanding)
        rate = run.received_bytes / max(now - run.started, 1e-6)
        return left / rate if rate > 0.0 else now - run.started + AHEAD_S

    def _patience(self, neighbour: Neighbour | None) -> float:
        if neighbour is None or neighbour.rate_bytes_per_s == 0.0:
            return PATIENCE_S
        return PATIENCE_S + 2 * neighbour.run_bytes(RUN_MAX_BYTES) / neighbour.rate_bytes_per_s

    def waiting_for(self) -> str:
        """In words, what keeps the download from going on."""
        if self.is_complete:
            return "nothing: complete"
        if not self.neighbours:
            return "a neighbour that holds this version"
        if self._runs:
            return (
                f"{len(self._requesters)} blocks asked of {len({run.peer for run in self._runs.values()})} neighbours"
            )
        reachable = sum(1 for i in self.picker if any(n.has(i) for n in self.neighbours.values()))
        if not reachable:
            return f"{len(self.picker)} blocks that no neighbour holds"
        return "neighbours that failed and are left alone for a moment"

    def check_invariants(self) -> None:
        """Every block in one state, every request known on both sides. For tests, after every step."""
        for index, state in enumerate(self.state):
            requested = [r for r in self._requesters.get(index, ()) if index in self._runs[r].outstanding]
            assert (state == REQUESTED) == bool(requested) or state >= RECEIVED, (index, state, requested)
            assert (state == MISSING) == (index in self.picker), (index, state)
        assert self.stored == sum(1 for state in self.state if state == STORED)
        for run in self._runs.values():
            assert run.id in self.neighbours[run.peer].runs


def _weight(peer: str, index: int) -> int:
    """Rendezvous hashing: of several origins, the one with the highest weight is asked for a block."""
    return zlib.crc32(index.to_bytes(4, "big"), zlib.crc32(peer.encode()))
