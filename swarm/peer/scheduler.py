"""The scheduler of one version: events in, instructions out.

Pure: a state machine, in the daemon and in simulations the same, with injected randomness. The shell
performs the instructions and feeds what happens back as events. Which block is asked of whom stands in ``Blocks``.

What it strives for: rarest first; work ahead at every neighbour for about a second and no more, so that decisions are
late; an origin asked only for what no other neighbour has or is about to have, and what lies afar only once a site
(``Site``); what waits in one neighbour's queue had from another that can send it sooner (``Standbys``); nothing
starves, since every waiting has an end after which the origin is asked with insistence.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import Final

from swarm.peer.blocks import REQUESTED, Blocks
from swarm.peer.far import Far
from swarm.peer.instructions import CancelRun, Connect, Finished, Instruction, StartRun
from swarm.peer.neighbour import SILENCE_S, Neighbour, Run
from swarm.peer.origins import Origins
from swarm.peer.overtaking import Move, Overtaking
from swarm.peer.picker import Picker, bits_of
from swarm.peer.site import Site
from swarm.peer.spared import Spared, held_by_slow, patience_s
from swarm.peer.standby import Standbys
from swarm.peer.window import ALL, Window
from swarm.peer.wire import Origin
from swarm.units import counted

# Whom a redirect names is dialled only while there are fewer neighbours than this.
NEIGHBOURS_FEW: Final = 8
TICK_S: Final = 0.1
# What arrives in so short a time is little.
MOMENT_S: Final = 0.25
# Who insisted and was sent elsewhere all the same, as others were just given the block, insists again after this.
INSISTED_S: Final = 0.7


class Scheduler:
    """``sizes`` are the plain sizes of the version's unique blocks, ``held`` the indices already stored, ``own`` this
    peer's id.
    """

    def __init__(self, sizes: Sequence[int], held: Iterable[int], rng: random.Random, own: str = "") -> None:
        self.sizes = sizes
        self.total_bytes = sum(sizes)
        self._usual_bytes = self.total_bytes // max(1, len(sizes))
        self.fetched_twice_bytes = 0
        self.neighbours: dict[str, Neighbour] = {}
        self._everything = (1 << len(sizes)) - 1
        self.picker = Picker(self._everything & ~bits_of(held, len(sizes)), sizes, rng)
        # Runs of several downloads go to the same neighbours: their numbers differ.
        self.blocks = Blocks(sizes, self.picker, self.neighbours, first_run=rng.getrandbits(48))
        self.site = Site(own, len(sizes))
        self._rng = rng
        self._started = math.inf
        self._is_finished = False
        self._spared = Spared()
        self._origins = Origins(len(sizes))
        self._overtaking = Overtaking(self.neighbours, self.blocks.runs, sizes)
        self._standbys = Standbys(self.blocks, self.neighbours, self.picker)
        self._window = Window(ALL)
        self._far = Far(self.site)

    # ---- neighbours ---------------------------------------------------------------------------------------------

    def peer_joined(
        self, peer: str, *, origin: Origin, bitmap: bytes | None, now: float, near: bool = False
    ) -> list[Instruction]:
        """A neighbour for this version. ``bitmap`` has a bit per unique block, lowest bit first; None means all.

        ``near``: it is in this peer's own site.
        """
        if self._started == math.inf:
            self._started = now
            self._window.start(now)
            self._far.window.start(now)
        have = self._everything if bitmap is None else int.from_bytes(bitmap, "little") & self._everything
        neighbour = self.neighbours.get(peer)
        if neighbour is None:
            neighbour = self.neighbours[peer] = Neighbour(peer, origin, near, have)
        else:
            # It tells anew what it holds, as one does that has become complete: what it was asked for is on its way.
            self._discount(neighbour)
            neighbour.origin, neighbour.near, neighbour.have = origin, near, have
        if not origin:
            self.picker.count(have)
        if near and not origin:
            self.site.joined(peer, have, now)
        else:
            self.site.left(peer)
        self._origins.changed(self.neighbours.values())
        return self._schedule(now)

    def peer_has(self, peer: str, indices: Iterable[int], now: float) -> list[Instruction]:
        """A neighbour announces more blocks."""
        return self.peer_has_set(peer, bits_of(indices, len(self.sizes)), now)

    def peer_has_set(self, peer: str, blocks: int, now: float) -> list[Instruction]:
        """The same, told as a set (bit per block)."""
        neighbour = self.neighbours.get(peer)
        news = blocks & ~neighbour.have if neighbour is not None else 0
        if neighbour is None or not news:
            return []
        neighbour.have |= news
        if not neighbour.origin:
            self.picker.count(news)
            if neighbour.near:
                self.site.has(peer, news, now)
        return self._ask(neighbour, now) if news & (self.picker.missing | self.blocks.lone) else []

    def peer_left(self, peer: str, now: float) -> list[Instruction]:
        """A neighbour is gone, by its will or ours."""
        neighbour = self.neighbours.pop(peer, None)
        if neighbour is None:
            return []
        self._overtaking.changed()
        self._discount(neighbour)
        self.site.left(peer)
        instructions: list[Instruction] = []
        for run in [run for run in neighbour.runs.values() if run.is_standby]:
            self.blocks.stand_down(run)
            del neighbour.runs[run.id]
        for run in list(neighbour.runs.values()):
            self.blocks.ended(run.id)
            instructions += self._release(run, list(run.outstanding), now)
        self._origins.changed(self.neighbours.values())
        return instructions + self._schedule(now)

    # ---- runs ---------------------------------------------------------------------------------------------------

    def block_ready(self, peer: str, run_id: int, now: float) -> list[Instruction]:
        """A neighbour that stands by could send the block now."""
        run = self.blocks.runs.get(run_id)
        return self._standbys.ready(run, now) if run is not None and run.is_standby and run.peer == peer else []

    def block_begun(self, run_id: int, index: int, now: float) -> list[Instruction]:
        """The first bytes of a block came, or more of them."""
        run = self.blocks.runs.get(run_id)
        if run is None:
            return []
        run.last_progress = now
        if run.begun != index:
            run.begun, run.begun_at = index, now
            neighbour = self.neighbours.get(run.peer)
            if neighbour is not None:
                neighbour.begins(run, now)
        if index not in run.outstanding:
            return []
        self.blocks.begun(index)
        return self._standbys.over(index)

    def block_received(self, run_id: int, index: int, now: float) -> bool:
        """A block's bytes arrived and are what they should be, to be stored. False: they are here already and are to
        be thrown away. Who sends what is not the block is to be dropped by ``peer_left``, which asks others for it.
        """
        size = self.sizes[index]
        run = self.blocks.runs.get(run_id)
        if run is not None:
            self.blocks.answered(run, index, now)
            neighbour = self.neighbours.get(run.peer)
            if neighbour is not None:
                neighbour.gave(run, size, now)
                if not neighbour.near:
                    self._far.window.arrived(size, now)
        self._window.arrived(size, now)
        if self.blocks.received(index):
            return True
        self.fetched_twice_bytes += size
        return False

    def block_stored(self, index: int, now: float) -> list[Instruction]:
        """The received block is kept; others that were asked for it are told to save themselves the trouble."""
        self._spared.forget(index)
        stood_down = self._standbys.over(index)
        others = [CancelRun(run.id, run.peer, (index,), whole=False) for run in self.blocks.keep(index)]
        return [*stood_down, *others, *self._finish()]

    def block_refused(
        self, run_id: int, index: int, now: float, *, ask: str | None = None, banned: bool = False, busy: bool = False
    ) -> list[Instruction]:
        """The neighbour does not have the block now, or is busy, or names another who has it. ``banned``: of whom we
        take nothing.
        """
        run = self.blocks.runs.get(run_id)
        if run is None or index not in run.outstanding:
            return []
        self.blocks.answered(run, index, now)
        neighbour = self.neighbours.get(run.peer)
        instructions: list[Instruction] = []
        if ask is not None:
            patience = 0.0 if banned else patience_s(now - self._started, is_far=ask not in self.neighbours)
            self._spared.hold_back(index, now + (INSISTED_S if run.insists else patience))
            if not banned and ask not in self.neighbours and len(self.neighbours) < NEIGHBOURS_FEW:
                instructions.append(Connect(ask))
        elif neighbour is not None and not busy and run.recalled != index:
            self._lost(neighbour, index)
        return instructions + self._release(run, (index,), now)

    def run_ended(self, run_id: int, now: float, *, failed: bool) -> list[Instruction]:
        """A run is over: every block of it answered, or broken off."""
        run = self.blocks.ended(run_id)
        if run is None:
            return []
        self._overtaking.changed()
        neighbour = self.neighbours.get(run.peer)
        if neighbour is not None:
            neighbour.measure(run, now)
            neighbour.ends(run, now)
            if failed:
                neighbour.fail(now)
        is_broken = bool(run.outstanding)
        instructions = self._release(run, list(run.outstanding), now)
        return instructions + (self._schedule(now) if neighbour is None or is_broken else self._ask(neighbour, now))

    def want(self, indices: Iterable[int], now: float) -> list[Instruction]:
        """A reader waits for these blocks, in this order."""
        self.picker.want(indices)
        return self._schedule(now)

    def tick(self, now: float) -> list[Instruction]:
        """Time passed: give up silent runs, ask again what waited too long, make use of who is idle."""
        instructions: list[Instruction] = []
        for run in list(self.blocks.runs.values()):
            silent_s = now - run.last_progress
            if run.id not in self.blocks.runs:
                continue  # it stood by for what was just given up
            if run.is_standby:
                instructions += self._standbys.overdue(run, now)
            elif silent_s > SILENCE_S and silent_s > self.neighbours[run.peer].silence_s(run, self.sizes):
                instructions += self._give_up(run, now)
        self.site.tick(now)
        held = self.picker.held_by_any if self.site.is_alone else self.site.held
        self._spared.look(self.picker.missing, held, now)
        self._spared.slow = held_by_slow(self.neighbours.values(), self._usual_bytes, now)
        return instructions + self._schedule(now, insist=True)

    # ---- what it decides ----------------------------------------------------------------------------------------

    @property
    def is_complete(self) -> bool:
        return self.blocks.stored == len(self.sizes)

    def _finish(self) -> list[Instruction]:
        if not self.is_complete or self._is_finished:
            return []
        self._is_finished = True
        return [Finished()]

    def _schedule(self, now: float, *, insist: bool = False) -> list[Instruction]:
        if self.is_complete:
            return self._finish()
        order = list(self.neighbours.values())
        self._rng.shuffle(order)
        if self._origins.are_known:
            order.sort(key=lambda neighbour: neighbour.origin)
        instructions: list[Instruction] = []
        wanted = self.picker.missing | self.blocks.lone
        for neighbour in order:
            # The innermost loop of a large swarm: most have no room, or nothing for us and none to overtake.
            if neighbour.runs and not neighbour.is_open(now):
                continue
            if not wanted & neighbour.have and (neighbour.runs or self._overtaking.is_idle(now)):
                continue
            instructions += self._ask(neighbour, now, insist=insist)
        return instructions

    def _ask(self, neighbour: Neighbour, now: float, *, insist: bool = False) -> list[Instruction]:
        """Start the runs that a neighbour has room for; with none to start, let it overtake another."""
        instructions: list[Instruction] = []
        window_bytes = self._window.bytes
        while self.blocks.in_flight_bytes < window_bytes and neighbour.is_open(now):
            candidates = self.picker.missing & neighbour.have
            if candidates and (indices := self._choose(neighbour, candidates, now)):
                instructions.append(self._start(neighbour, indices, now, insist=False))
                continue
            if insist and candidates and neighbour.origin and (indices := self._choose_overdue(neighbour, now)):
                instructions.append(self._start(neighbour, indices, now, insist=True))
                continue
            if not neighbour.runs and (not neighbour.origin or self._is_faster(neighbour, now)):
                instructions += self._overtake(neighbour, now)
            break
        if not neighbour.runs and not neighbour.origin and (neighbour.near or self.site.is_alone):
            instructions += self._standbys.offer(neighbour, now)
        return instructions

    def _choose(self, neighbour: Neighbour, candidates: int, now: float) -> list[int]:
        if not neighbour.origin and neighbour.near:
            return self.picker.pick(candidates, neighbour.run_bytes())
        if neighbour.origin:
            candidates &= self._only_at(neighbour, now)
        if neighbour.near or self.site.is_alone:
            return self.picker.pick(candidates, neighbour.run_bytes())
        candidates &= ~self._origins.near()
        return self._far.choose(candidates, neighbour.run_bytes(), self.neighbours.values(), self.picker)

    def _only_at(self, origin: Neighbour, now: float) -> int:
        held = self.site.held if origin.near and not self.site.is_alone else self.picker.held_by_any
        held &= ~(self._spared.late | self._spared.slow)
        return self._origins.allowed(origin, held | self._spared.held_back | self._spared.overdue, now - self._started)

    def _choose_overdue(self, origin: Neighbour, now: float) -> list[int]:
        """What an origin is asked for with insistence, for it is to be had nowhere else, or there only slowly."""
        waiting = self._spared.overdue
        if not self._is_faster(origin, now):
            waiting &= ~self.picker.held_by_any
        return self.picker.pick(self.picker.missing & waiting & origin.have, origin.run_bytes())

    def _is_faster(self, origin: Neighbour, now: float) -> bool:
        """Whether an origin may give more than all others together do, or our own link has little to carry."""
        fastest, rate = max(origin.rate_bytes_per_s, origin.sending_bytes_per_s), self._window.rate(now)
        return not fastest or fastest > rate or self.blocks.in_flight_bytes < MOMENT_S * rate

    def _start(self, neighbour: Neighbour, indices: list[int], now: float, *, insist: bool, moves: int = 0) -> StartRun:
        for index in indices:
            self._spared.forget(index)
        run = self.blocks.start(neighbour, indices, now, moves)
        run.insists = insist
        return StartRun(run.id, neighbour.peer, tuple(indices), insist)

    def _overtake(self, neighbour: Neighbour, now: float) -> list[Instruction]:
        """An idle neighbour takes over from another what that will bring much later."""
        is_far = not neighbour.near and not self.site.is_alone
        move = self._overtaking.better_place(neighbour, now, self._started, is_far=is_far)
        if move is None:
            return []
        indices = [index for index in move.indices if self.blocks.state[index] == REQUESTED]
        if not indices or (move.is_race and self.blocks.requests(indices[0]) > 1):
            return []
        if move.is_race:
            self._overtaking.raced_bytes += sum(self.sizes[index] for index in indices)
        taken_back = [] if move.is_race else [self._take_back(move, indices)]
        moves = move.run.moves + (not move.is_race)
        return [*taken_back, self._start(neighbour, indices, now, insist=neighbour.origin > 0, moves=moves)]

    def _release(self, run: Run, indices: Iterable[int], now: float) -> list[Instruction]:
        """A run does not bring these."""
        instructions: list[Instruction] = []
        for index in indices:
            self.blocks.release(run, (index,))
            instructions += self._standbys.released(index, now)
        return instructions

    def _take_back(self, move: Move, indices: list[int]) -> CancelRun:
        self.blocks.take_back(move.run, indices)
        return CancelRun(move.run.id, move.run.peer, tuple(indices), whole=False)

    def _give_up(self, run: Run, now: float) -> list[Instruction]:
        outstanding = tuple(run.outstanding)
        self._spared.give_up(bits_of(outstanding, len(self.sizes)))
        return [CancelRun(run.id, run.peer, outstanding, whole=True), *self.run_ended(run.id, now, failed=True)]

    # ---- what neighbours hold --------------------------------------------------------------------------------------

    def _lost(self, neighbour: Neighbour, index: int) -> None:
        """A neighbour does not have a block that it was taken to have."""
        block = 1 << index
        if neighbour.have & block:
            neighbour.have ^= block
            if not neighbour.origin:
                self.picker.uncount(block)
                self.site.lost(neighbour.peer, block)

    def _discount(self, neighbour: Neighbour) -> None:
        if not neighbour.origin:
            self.picker.uncount(neighbour.have)

    def waiting_for(self) -> str:
        """In words, what keeps the download from going on."""
        if self.is_complete:
            return "nothing: complete"
        if not self.neighbours:
            return "a neighbour that holds this version"
        if self.blocks.runs:
            peers = {run.peer for run in self.blocks.runs.values()}
            return f"{counted(self.blocks.requested, 'block')} asked of {counted(len(peers), 'neighbour')}"
        reachable = 0
        for neighbour in self.neighbours.values():
            reachable |= neighbour.have
        if not reachable & self.picker.missing:
            return f"{counted(self.picker.missing.bit_count(), 'block')} that no neighbour holds"
        return "neighbours that failed and are left alone for a moment"

    def check_invariants(self) -> None:
        """What is counted is what there is. For tests, after every step."""
        self.blocks.check_invariants()
        for index in range(len(self.sizes)):
            held = sum(n.have >> index & 1 for n in self.neighbours.values() if not n.origin)
            assert held == self.picker.copies(index), index
