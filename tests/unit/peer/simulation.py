"""A small swarm in virtual time around the real scheduler and redirector.

Links with rates; slow, silent and leaving peers. One block at a time goes over a peer's upload link, a run's blocks in
order. Every scheduler's invariants are checked at every tick.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from swarm.peer.instructions import CancelRun, Connect, Finished, Instruction, StartRun
from swarm.peer.redirect import Redirector
from swarm.peer.scheduler import Scheduler
from swarm.peer.wire import NOT_ORIGIN, SEED, bitmap_of

LATENCY_S = 0.005
TICK_S = 0.1


@dataclass
class Peer:
    """A simulated peer; ``scheduler`` is None for an origin."""

    name: str
    rate: float
    scheduler: Scheduler | None
    held: set[int] = field(default_factory=set)
    silent: bool = False
    gone: bool = False
    busy_until: float = 0.0
    sent_bytes: int = 0
    done_at: float | None = None
    redirector: Redirector = field(default_factory=Redirector)
    cancelled: set[tuple[str, int, int]] = field(default_factory=set)


class Simulation:
    """``run`` until every live peer is done or ``limit_s`` has passed."""

    def __init__(self, seed: int, sizes: list[int], origin_rate: float, rates: list[float]) -> None:
        self.rng = random.Random(seed)
        self.sizes = sizes
        self.now = 0.0
        self.origin = Peer("origin", origin_rate, None, set(range(len(sizes))))
        self.peers = {"origin": self.origin}
        for number, rate in enumerate(rates):
            name = f"peer-{number}"
            self.peers[name] = Peer(name, rate, Scheduler(sizes, (), random.Random(self.rng.getrandbits(64))))
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), work))

    def run(self, limit_s: float) -> None:
        for peer in self.peers.values():
            if peer.scheduler is not None:
                self.at(0.0, lambda peer=peer: self._join(peer))  # type: ignore[misc]
        while self._events and self.now < limit_s:
            self.now, _, work = heapq.heappop(self._events)
            work()

    def leave(self, name: str) -> None:
        peer = self.peers[name]
        peer.gone = True
        self.origin.redirector.left(name)
        for other in self._others(peer):
            assert other.scheduler is not None
            self._perform(other, other.scheduler.peer_left(name, self.now))

    def _others(self, peer: Peer) -> list[Peer]:
        return [p for p in self.peers.values() if p is not peer and p.scheduler is not None and not p.gone]

    def _join(self, peer: Peer) -> None:
        assert peer.scheduler is not None
        self._perform(peer, peer.scheduler.peer_joined("origin", origin=SEED, bitmap=None, now=self.now))
        for other in self._others(peer):
            bits = bitmap_of(other.held, len(self.sizes))
            self._perform(peer, peer.scheduler.peer_joined(other.name, origin=NOT_ORIGIN, bitmap=bits, now=self.now))
        self._tick(peer)

    def _tick(self, peer: Peer) -> None:
        assert peer.scheduler is not None
        if peer.gone or peer.done_at is not None:
            return
        self._perform(peer, peer.scheduler.tick(self.now))
        peer.scheduler.check_invariants()
        self.at(self.now + TICK_S, lambda: self._tick(peer))

    def _perform(self, peer: Peer, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case StartRun():
                    self.at(self.now + LATENCY_S, lambda i=instruction: self._serve(peer, i))  # type: ignore[misc]
                case CancelRun():
                    giver = self.peers[instruction.peer]
                    giver.cancelled |= {(peer.name, instruction.run, i) for i in instruction.indices}
                case Finished():
                    peer.done_at = self.now
                case Connect():
                    raise AssertionError("all are neighbours here")

    def _serve(self, asker: Peer, run: StartRun) -> None:
        giver = self.peers[run.peer]
        if giver.gone or giver.silent:
            return
        self._next(asker, giver, run, list(run.indices))

    def _next(self, asker: Peer, giver: Peer, run: StartRun, left: list[int]) -> None:
        scheduler = asker.scheduler
        assert scheduler is not None
        if asker.gone or giver.gone:
            return
        if not left:
            self._perform(asker, scheduler.run_ended(run.run, self.now, failed=False))
            return
        index = left.pop(0)
        signature = index.to_bytes(32, "big")
        target = giver.redirector.decide(asker.name, signature, run.insist) if giver is self.origin else None
        refused = (asker.name, run.run, index) in giver.cancelled or index not in giver.held
        if target is not None or refused:
            self._perform(asker, scheduler.block_refused(run.run, index, self.now, ask=target))
            self._next(asker, giver, run, left)
            return
        if giver is self.origin:
            giver.redirector.given(asker.name, signature)
        begin = max(self.now, giver.busy_until)
        giver.busy_until = begin + self.sizes[index] / giver.rate
        self.at(giver.busy_until + LATENCY_S, lambda: self._arrived(asker, giver, run, index, left))

    def _arrived(self, asker: Peer, giver: Peer, run: StartRun, index: int, left: list[int]) -> None:
        scheduler = asker.scheduler
        assert scheduler is not None
        if asker.gone or giver.gone:
            return
        giver.sent_bytes += self.sizes[index]
        if scheduler.block_received(run.run, index, self.now):
            asker.held.add(index)
            self._perform(asker, scheduler.block_stored(index, self.now))
            for other in self._others(asker):
                assert other.scheduler is not None
                self._perform(other, other.scheduler.peer_has(asker.name, [index], self.now))
        self._next(asker, giver, run, left)
