"""The simulated swarm: performs what the cores decide, on links in virtual time.

What a peer's shells do in the daemon (``swarm.peer.download``, ``serve``, ``exchange``) is done here in the same order.
Liars send garbage, which is found when a block is verified; the silent take requests and never answer; free riders
refuse.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from functools import partial
from typing import Final

from swarm.peer.blocks import STORED
from swarm.peer.instructions import CancelRun, Connect, Finished, Instruction, StandBy, StartRun
from swarm.peer.mesh import SLOW_DIAL_S
from swarm.peer.picker import indices_of
from swarm.peer.scheduler import Scheduler
from swarm.peer.uploads import READY, Turn
from swarm.peer.wire import ASK, BLOCK, BUSY, NOT_HERE, SEED
from swarm.sim.books import Books
from swarm.sim.clock import Clock
from swarm.sim.links import PAYLOAD_SHARE, Flow, Link, Network
from swarm.sim.loss import most_bytes_per_s, sent_bytes
from swarm.sim.peer import QUEUE_S, Access, Kind, Peer, Run
from swarm.sim.tracker import VERSION, Tracker

NEIGHBOURS_MAX: Final = 32
ORIGIN_NEIGHBOURS_MAX: Final = 96
NEIGHBOURS_LEAST: Final = 8
# A peer that gets no block for this long turns to an origin by itself (``swarm.peer.mesh``).
STARVED_S: Final = 3.0
# How often a block that takes long is told to go on (``swarm.peer.stream``).
PROGRESS_S: Final = 0.5
# A peer whose process died is noticed when its connections break.
NOTICED_S: Final = 0.2


class Swarm:
    """``sizes`` are those of the version's blocks. ``tick_s`` is how often schedulers are told that time passed.
    ``machine``: what processors carry, in payload, where all peers share one machine.
    """

    def __init__(
        self, seed: int, sizes: list[int], *, neighbours: int, tick_s: float, machine: Link | None = None
    ) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock()
        self.network = Network(self.clock)
        self.tracker = Tracker(random.Random(self.rng.getrandbits(64)))
        self.sizes = sizes
        self.books = Books(sum(sizes))
        self.peers: dict[str, Peer] = {}
        self.fetching = 0
        # Honest peers that are still to come.
        self.expected = 0
        self.checks_every = 1
        self._neighbours = neighbours
        self._tick_s = tick_s
        self._sites: dict[str, tuple[Link, Link]] = {}
        self._cut: set[str] = set()
        self._machine = (machine,) if machine is not None else ()
        # Runs that origins were asked for.
        self.origin_requests = 0
        self._everything = (1 << len(sizes)) - 1
        self._ticks = 0

    # ---- peers --------------------------------------------------------------------------------------------------

    def add_site(self, name: str, up: float, down: float) -> None:
        """A site behind a WAN link with these rates."""
        self._sites[name] = Link(up * PAYLOAD_SHARE), Link(down * PAYLOAD_SHARE)

    def wan_of(self, site: str) -> float:
        """What a site's WAN carries inwards, in bytes a second on the wire; endless for no site."""
        return self._sites[site][1].rate / PAYLOAD_SHARE if site in self._sites else math.inf

    def into_sites(self) -> list[float]:
        """How many bytes each site's WAN has carried inwards, with headers."""
        return [down.sent / PAYLOAD_SHARE for _, down in self._sites.values()]

    def add_origin(self, access: Access) -> Peer:
        """A seed that has everything."""
        peer = Peer(len(self.peers), access, origin=SEED, held=self._everything)
        self.peers[peer.name] = peer
        self.tracker.announce(peer, self.clock.now)
        return peer

    def add_peer(self, access: Access, kind: Kind = "honest", held: int = 0) -> Peer:
        """A peer, which begins to fetch now."""
        peer = Peer(len(self.peers), access, kind, held=held)
        rng = peer.rng = random.Random(self.rng.getrandbits(64))
        peer.scheduler = Scheduler(self.sizes, indices_of(held), rng, peer.name)
        peer.joined_at = peer.progressed_at = self.clock.now
        self.peers[peer.name] = peer
        self.fetching += kind == "honest"
        self.expected -= kind == "honest" and self.now > 0.0
        self._find(peer)
        self.clock.after(rng.random() * self._tick_s, self._tick, peer)
        return peer

    def leave(self, peer: Peer) -> None:
        """A peer's process dies."""
        if peer.gone:
            return
        self.fetching -= peer.kind == "honest" and peer.is_fetching
        peer.gone = True
        self.tracker.left(peer)
        for flow in list(peer.sending.values()):
            self.books.broken += self.network.stop(flow)
        peer.sending.clear()
        for other in list(peer.neighbours.values()):
            self._end_runs_of(other, peer)
            self.clock.after(NOTICED_S, self._disconnect, other, peer)

    def cut_off(self, site: str, *, is_cut: bool) -> None:
        """Break a site's WAN, or mend it."""
        (self._cut.add if is_cut else self._cut.discard)(site)
        if is_cut:
            for peer in list(self.peers.values()):
                for other in list(peer.neighbours.values()):
                    if not self._is_reachable(peer, other):
                        self._end_runs_of(other, peer)
                        self._disconnect(other, peer)
                        self._end_runs_of(peer, other)
                        self._disconnect(peer, other)

    def _is_reachable(self, peer: Peer, other: Peer) -> bool:
        return peer.access.site == other.access.site or not {peer.access.site, other.access.site} & self._cut

    def _find(self, peer: Peer) -> None:
        """Get to know neighbours: from the tracker, or from neighbours."""
        if self.tracker.is_alive and self._is_reachable(peer, self._any_origin()):
            names = self.tracker.announce(peer, self.clock.now)
        else:
            near = [other for other in peer.neighbours.values() if not other.gone]
            known = dict.fromkeys(name for other in near for name in other.neighbours)
            names = self.rng.sample(list(known), min(len(known), self._neighbours))
        origins = [name for name in names if self.peers[name].origin]
        close = [name for name in names if name not in origins and self._is_near(peer, self.peers[name])]
        others = [name for name in names if name not in origins and name not in close]
        if len(names) > self._neighbours // 2:  # else all of them are dialled, and small swarms replay as they did
            self.rng.shuffle(close)
            self.rng.shuffle(others)
        half = self._neighbours // 4
        peer.candidates = [*origins, *close[:half], *others, *close[half:]]
        self._dial(peer)

    def _dial(self, peer: Peer) -> None:
        """Half of the aim at once and the rest slowly, for about as many dial us (``swarm.peer.mesh``)."""
        while peer.candidates and len(peer.neighbours) < self._neighbours // 2:
            self._connect(peer, peer.candidates.pop(0))
            peer.dialled_at = self.now
        if len(peer.neighbours) < self._neighbours and self.now - peer.dialled_at >= SLOW_DIAL_S:
            while peer.candidates and not self._connect(peer, peer.candidates.pop(0)):
                pass
            peer.dialled_at = self.now

    @staticmethod
    def _is_near(peer: Peer, other: Peer) -> bool:
        return bool(peer.access.site) and peer.access.site == other.access.site

    def _any_origin(self) -> Peer:
        return next(peer for peer in self.peers.values() if peer.origin)

    def _connect(self, peer: Peer, name: str) -> bool:
        other = self.peers.get(name)
        if other is None or other is peer or other.gone or name in peer.neighbours or name in peer.banned:
            return False
        if peer.name in other.banned or not self._is_reachable(peer, other):
            return False
        if any(len(p.neighbours) >= (ORIGIN_NEIGHBOURS_MAX if p.origin else NEIGHBOURS_MAX) for p in (peer, other)):
            return False
        peer.neighbours[name] = other
        other.neighbours[peer.name] = peer
        self.clock.after(3 * peer.way_s(other), self._introduce, peer, other)
        return True

    def _introduce(self, one: Peer, other: Peer) -> None:
        for peer, neighbour in ((one, other), (other, one)):
            if peer.scheduler is None or not peer.is_fetching or neighbour.gone:
                continue
            held = self._everything if neighbour.kind == "liar" else neighbour.held
            bitmap = None if held == self._everything else held.to_bytes((len(self.sizes) + 7) // 8, "little")
            near = self._is_near(peer, neighbour)
            joined = peer.scheduler.peer_joined
            self._perform(peer, joined(neighbour.name, origin=neighbour.origin, bitmap=bitmap, now=self.now, near=near))

    def _disconnect(self, peer: Peer, other: Peer) -> None:
        """``peer`` loses ``other``."""
        peer.neighbours.pop(other.name, None)
        other.neighbours.pop(peer.name, None)
        peer.uploads.left(other.name)
        for key in [key for key in peer.runs if key[0] == other.name]:
            del peer.runs[key]
        if peer.scheduler is not None and peer.is_fetching:
            self._perform(peer, peer.scheduler.peer_left(other.name, self.now))

    def _end_runs_of(self, giver: Peer, asker: Peer) -> None:
        for key in [key for key in giver.sending if key[0] == asker.name]:
            self.books.broken += self.network.stop(giver.sending.pop(key))
        for run in giver.uploads.runs_of(asker.name):
            giver.uploads.ended(asker.name, run)
        if not giver.gone:
            self._pump(giver)

    # ---- time ---------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.clock.now

    def _tick(self, peer: Peer) -> None:
        scheduler = peer.scheduler
        if scheduler is None or not peer.is_fetching:
            return
        self._perform(peer, scheduler.tick(self.now))
        self._ticks += 1
        if self._ticks % self.checks_every == 0:
            scheduler.check_invariants()
            self.network.check((peer.up, peer.down, *self._sites.get(peer.access.site, ())))
        if self.now - peer.progressed_at > STARVED_S:
            origins = [other for other in self.peers.values() if other.origin and not other.gone]
            if not any(name in peer.neighbours for name in (origin.name for origin in origins)):
                for origin in origins[:1]:
                    self._connect(peer, origin.name)
        if len(peer.neighbours) < min(NEIGHBOURS_LEAST, self._neighbours) and self._ticks % 10 == peer.number % 10:
            self._find(peer)
        self._dial(peer)
        self.clock.after(self._tick_s, self._tick, peer)

    # ---- taking -------------------------------------------------------------------------------------------------

    def _perform(self, peer: Peer, instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case StartRun():
                    self._ask(peer, instruction)
                case StandBy():
                    giver = peer.neighbours.get(instruction.peer)
                    if giver is not None:
                        self.clock.after(peer.way_s(giver), self._stands_by, giver, peer, instruction)
                case CancelRun():
                    self._cancel(peer, instruction)
                case Connect():
                    self._connect(peer, instruction.peer)
                case Finished():
                    self._finished(peer)

    def _ask(self, peer: Peer, run: StartRun) -> None:
        peer.runs[run.peer, run.run] = Run(len(run.indices), len(run.indices))
        giver = peer.neighbours.get(run.peer)
        if giver is not None:
            self.clock.after(peer.way_s(giver), self._asked, giver, peer, run)

    def _cancel(self, peer: Peer, cancel: CancelRun) -> None:
        if cancel.whole:
            peer.runs.pop((cancel.peer, cancel.run), None)
        giver = peer.neighbours.get(cancel.peer)
        if giver is not None:
            self.clock.after(peer.way_s(giver), self._cancelled, giver, peer, cancel)

    def _finished(self, peer: Peer) -> None:
        peer.done_at = self.now
        self.fetching -= peer.kind == "honest"
        self.books.check_whole(peer, self._everything)
        self._tell(peer, final=True)

    def _answered(self, peer: Peer, key: tuple[str, int], *, busy: bool = False) -> None:
        run = peer.runs.get(key)
        if run is None or peer.scheduler is None:
            return
        run.left -= 1
        run.busy += busy
        if not run.left:
            del peer.runs[key]
            self._perform(peer, peer.scheduler.run_ended(key[1], self.now, failed=run.busy == run.asked))

    def _refused(self, peer: Peer, giver: Peer, run: int, index: int, status: int, ask: str) -> None:
        if peer.scheduler is None or not peer.is_fetching or (giver.name, run) not in peer.runs:
            return
        refused = peer.scheduler.block_refused
        self._perform(peer, refused(run, index, self.now, ask=ask or None, busy=status == BUSY))
        self._answered(peer, (giver.name, run), busy=status == BUSY)

    def _begun(self, peer: Peer, giver: Peer, run: int, index: int) -> None:
        if peer.scheduler is not None and peer.is_fetching and (giver.name, run) in peer.runs:
            self._perform(peer, peer.scheduler.block_begun(run, index, self.now))
            if (peer.name, run) in giver.sending:
                # As long as bytes of it come, the shell says so.
                self.clock.after(PROGRESS_S, self._begun, peer, giver, run, index)

    def _arrived(self, peer: Peer, giver: Peer, run: int, index: int) -> None:
        size = self.sizes[index]
        self.books.in_air -= size
        scheduler = peer.scheduler
        if scheduler is None or not peer.is_fetching or giver.name in peer.banned:
            self.books.late += size
            return
        if giver.kind == "liar" and scheduler.blocks.state[index] != STORED:
            self.books.garbage += size
            peer.banned.add(giver.name)
            self._end_runs_of(giver, peer)
            self._disconnect(peer, giver)
            return
        if not scheduler.block_received(run, index, self.now):
            self.books.twice += size
        else:
            self._store(peer, giver, index)
        self._answered(peer, (giver.name, run))

    def _store(self, peer: Peer, giver: Peer, index: int) -> None:
        scheduler = peer.scheduler
        assert scheduler is not None
        assert not peer.held >> index & 1, "a block was stored twice"
        peer.held |= 1 << index
        peer.progressed_at = self.now
        self.books.stored(giver, self.sizes[index])
        peer.uploads.gave(giver.name, self.sizes[index])
        due = peer.telling.due
        peer.telling.stored(index, scheduler.picker.copies(index), self.now)
        if peer.telling.due < due:
            self.clock.at(peer.telling.due, self._tell_if_due, peer, peer.telling.due)
        self._perform(peer, scheduler.block_stored(index, self.now))

    def _tell_if_due(self, peer: Peer, due: float) -> None:
        if peer.telling.due == due:
            self._tell(peer, final=False)

    def _tell(self, peer: Peer, *, final: bool) -> None:
        """News to every neighbour that lacks them; one event carries them all."""
        if peer.gone or peer.kind == "liar":
            return
        blocks = peer.telling.take()
        if final:
            self.clock.after(0.02, self._told_all, peer)
        elif blocks:
            self.clock.after(peer.telling_s(), self._told, peer, blocks)

    def _told(self, peer: Peer, blocks: int) -> None:
        assert peer.scheduler is not None
        known = peer.scheduler.neighbours
        for other in list(peer.neighbours.values()):
            neighbour = known.get(other.name)
            news = blocks & ~neighbour.have if neighbour is not None else blocks
            if news and other.is_fetching and other.scheduler is not None:
                self._perform(other, other.scheduler.peer_has_set(peer.name, news, self.now))

    def _told_all(self, peer: Peer) -> None:
        for other in list(peer.neighbours.values()):
            if other.scheduler is not None and other.is_fetching:
                near = self._is_near(peer, other)
                joined = other.scheduler.peer_joined(
                    peer.name, origin=peer.origin, bitmap=None, now=self.now, near=near
                )
                self._perform(other, joined)

    # ---- giving -------------------------------------------------------------------------------------------------

    def _asked(self, giver: Peer, asker: Peer, run: StartRun) -> None:
        if giver.gone or asker.gone or asker.name not in giver.neighbours or giver.kind == "silent":
            return
        self.origin_requests += bool(giver.origin)
        if giver.kind == "freerider" or not giver.uploads.has_room(asker.name, run.run):
            for index in run.indices:
                way_s = giver.way_s(asker)
                self.clock.after(way_s, self._refused, asker, giver, run.run, index, BUSY, "")
            return
        spared = bool(giver.origin)
        giver.uploads.asked(asker.name, run.run, VERSION[1], run.indices, self.now, insist=run.insist, spared=spared)
        self._pump(giver)

    def _stands_by(self, giver: Peer, asker: Peer, standby: StandBy) -> None:
        if giver.gone or asker.gone or asker.name not in giver.neighbours or giver.kind in {"silent", "freerider"}:
            return
        giver.uploads.stands_by(asker.name, standby.run, VERSION[1], standby.index, self.now)
        self._pump(giver)

    def _ready(self, giver: Peer, peer: Peer, run: int) -> None:
        if peer.scheduler is not None and peer.is_fetching:
            self._perform(peer, peer.scheduler.block_ready(giver.name, run, self.now))

    def _cancelled(self, giver: Peer, asker: Peer, cancel: CancelRun) -> None:
        if giver.gone:
            return
        key = (asker.name, cancel.run)
        if cancel.whole:
            flow = giver.sending.pop(key, None)
            if flow is not None:
                self.books.broken += self.network.stop(flow)
            giver.uploads.ended(*key)
        else:
            giver.uploads.cancelled(*key, cancel.indices, self.now)
        self._pump(giver)

    def _pump(self, giver: Peer) -> None:
        """Let those go on whose turn it is."""
        while (turn := giver.uploads.next(self.now)) is not None:
            asker = self.peers[turn.asker]
            index = turn.block
            assert isinstance(index, int)
            if turn.status == READY:
                self.clock.after(giver.way_s(asker), self._ready, giver, asker, turn.run)
                continue
            if turn.status == BLOCK and (giver.held >> index & 1 or giver.kind == "liar"):
                self._send(giver, asker, turn, index)
                continue
            status = turn.status if turn.status != BLOCK else NOT_HERE
            ask = turn.ask if status == ASK else ""
            self.clock.after(giver.way_s(asker), self._refused, asker, giver, turn.run, index, status, ask)
            giver.uploads.done(turn.asker, turn.run, self.now, sent_bytes=0)

    def _send(self, giver: Peer, asker: Peer, turn: Turn, index: int) -> None:
        between = self._machine
        if giver.access.site != asker.access.site:
            up, down = self._sites.get(giver.access.site), self._sites.get(asker.access.site)
            between = (*between, *((up[0],) if up else ()), *((down[1],) if down else ()))
        lost = giver.lost_to(asker)
        if lost:
            # One connection of many: its own limit is a link that no other flow shares.
            round_trip_s = 2 * (giver.access.delay_s + asker.access.delay_s + QUEUE_S)
            between = (*between, Link(most_bytes_per_s(lost, round_trip_s)))
        done = partial(self._sent, giver, asker, turn.run, index)
        flow = Flow((giver.up, asker.down, *between), sent_bytes(self.sizes[index], lost), done)
        giver.sending[asker.name, turn.run] = flow
        self.clock.after(giver.way_s(asker), self._begun, asker, giver, turn.run, index)
        self.network.start(flow)

    def _sent(self, giver: Peer, asker: Peer, run: int, index: int) -> None:
        giver.sending.pop((asker.name, run), None)
        self.books.sent(giver, self.sizes[index])
        self.clock.after(giver.way_s(asker), self._arrived, asker, giver, run, index)
        giver.uploads.done(asker.name, run, self.now, sent_bytes=self.sizes[index])
        self._pump(giver)
