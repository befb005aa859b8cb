"""How news of a moved tag spread: the real mesh, gossip, ledger, handout and seals, on delays and loss in virtual time.

A standing swarm has found its neighbours when an entry of the log appears. In ``news`` the tracker lives and the peer
beside it hears it at once, as the producer does. In ``news-no-tracker`` the tracker dies when the producer has the
entry, a third of the peers vanish at that moment without a word, and of those that stay one in ten takes news and
passes none on. In both some send forged and outdated entries. Messages travel on connections: what a link loses comes
a retransmission later.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

from swarm import log, records
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import NEIGHBOURS_MAX
from swarm.log import Entry, Move, Totals, parse_entry
from swarm.peer.gossip import COMPARE_EVERY_S, Gossip, Tell
from swarm.peer.gossip import Decision as GossipDecision
from swarm.peer.ledger import Ledger
from swarm.peer.mesh import Mesh
from swarm.peer.steps import ANY, Ask, Dial, Drop, Look, Ping
from swarm.peer.steps import Decision as MeshDecision
from swarm.peer.wire import SEED
from swarm.records import Grant, Rule
from swarm.signature import signature_of
from swarm.sim.clock import Clock
from swarm.sim.peer import Peer
from swarm.sim.scenarios import mixed_access
from swarm.sim.tracker import Tracker
from swarm.trust import Trust

NEWS_SCENARIOS: Final = ("news", "news-no-tracker")

DATASET: Final = "sim/data"
WALL: Final = 1_800_000_000
AUTHORITY: Final = PeerKey(b"\1" * 32)
TRUST: Final = Trust(AUTHORITY.public)
PRODUCER: Final = PeerKey(b"\2" * 32)
# The producer's number among the peers; 0 is the one beside the tracker.
PRODUCING: Final = 1

JOIN_S: Final = 10.0
SETTLE_S: Final = 60.0
DEADLINE_S: Final = 120.0
TICK_S: Final = 1.0
# Fewer neighbours than this, nobody has when all have settled.
NEIGHBOURS_LEAST: Final = 4
# How many peers a lookup in the DHT finds, and how long it takes (``bench dht``).
DHT_FOUND: Final = 8
DHT_S: Final = 0.4
# A channel to a host that vanished breaks by a missing heartbeat, and a dial of one by its deadline
# (``swarm.peer.channels``).
NOTICED_S: Final = 15.0
UNREACHED_S: Final = 8.0
# One packet in so many is lost; TCP sends it again after this at least (RFC 6298 with the minimum that Linux takes).
LOST: Final = 0.01
RETRANSMIT_S: Final = 0.2
# What a peer that has other things to do takes to look at a message.
BUSY_S: Final = 0.005
GONE_SHARE: Final = 1 / 3
MUTE_EVERY: Final = 10
# A run goes on for so long after the entry: what comes later may not undo it. Comparisons come every half minute.
AFTER_S: Final = COMPARE_EVERY_S + 5.0
LIAR_EVERY: Final = 9

Kind = Literal["honest", "mute", "liar"]


@dataclass(slots=True, eq=False)
class Member:
    """One peer with its cores."""

    peer: Peer
    mesh: Mesh
    gossip: Gossip
    ledger: Ledger
    kind: Kind = "honest"
    heard_at: float | None = None
    taken: int = 0
    learnt: int = 0
    bytes_in: int = 0
    open: dict[str, Member] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewsOutcome:
    """Seconds from the entry's appearance until peers know it; ``heard_share`` of the honest that are still there.

    ``told_per_peer`` entries and ``bytes_per_peer`` are what a peer receives of gossip from then on; ``wasted_share``
    of these entries told it nothing new, lies among them; ``origin_copies`` is how often the producer told the news
    itself. No blocks move, and links that carry so little bound nothing.
    """

    peers: int
    blocks: Literal[0]
    scenario: str
    seed: int
    p50_s: float
    p95_s: float
    p99_s: float
    last_s: float
    p99_over_bound: None
    origin_copies: int
    wasted_share: float
    heard_share: float
    neighbours: tuple[int, int]
    told_per_peer: float
    bytes_per_peer: float
    steps: int
    violations: list[str]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def make_entry(serial: int, previous: bytes, *, forger: PeerKey | None = None) -> bytes:
    """A sealed entry that publishes a version; a ``forger`` seals in the authority's place."""
    version = signature_of(b"version %d" % serial)
    totals = Totals(files=1, bytes=1, blocks=1, root_size=1)
    moves = (Move("stable", version),)
    entry = Entry(1, DATASET, serial, previous, WALL, "publish", moves, "", totals, PRODUCER.public)
    rules = (Rule("read", "sim/*"), Rule("publish", "sim/*"))
    grant = records.seal(forger or AUTHORITY, Grant(1, PRODUCER.public, rules, WALL - 100, WALL + 100))
    return log.endorse(forger or AUTHORITY, log.seal_entry(PRODUCER, entry, grant))


class NewsSwarm:
    """The peers of one run. ``entries`` are the true ones, in order."""

    def __init__(self, peers: int, seed: int, scenario: str) -> None:
        self.clock = Clock()
        self.members: dict[str, Member] = {}
        first = make_entry(1, b"")
        self.entries = (first, make_entry(2, log.entry_hash(first)))
        self.forged = make_entry(3, log.entry_hash(self.entries[1]), forger=PeerKey(b"\3" * 32))
        self.told: Counter[tuple[str, str]] = Counter()
        self.producer_told = 0
        self._rng = random.Random(seed)
        self._tracker = Tracker(random.Random(self._rng.getrandbits(64)))
        self._scenario = scenario
        self._published_at = JOIN_S + SETTLE_S
        self._checked: dict[bytes, Entry | None] = {}
        for number in range(peers + 1):
            self.clock.at(self._rng.uniform(0.0, JOIN_S) if number else 0.0, self._join, number, peers)
        self.clock.at(self._published_at, self._publish)

    def run(self) -> None:
        """Until everybody knows, or the deadline."""
        self.clock.run(self._published_at + DEADLINE_S, self._is_over)

    def waiting(self) -> list[Member]:
        """The honest peers that are there and have not heard."""
        return [m for m in self.members.values() if m.kind == "honest" and not m.peer.gone and m.heard_at is None]

    def _is_over(self) -> bool:
        return self.clock.now > self._published_at + AFTER_S and not self.waiting()

    # ---- joining ------------------------------------------------------------------------------------------------

    def _join(self, number: int, peers: int) -> None:
        peer = Peer(number, mixed_access(number, peers), origin=0 if number else SEED, done_at=0.0)
        rng = random.Random(self._rng.getrandbits(64))
        ledger = Ledger(None, lambda data: None)
        ledger.record(parse_entry(self.entries[0])[1], self.entries[0])
        mesh = Mesh(peer.name, random.Random(rng.getrandbits(64)), keeps=not number)
        member = self.members[peer.name] = Member(peer, mesh, Gossip(ledger, rng), ledger)
        if number > 1:
            member.kind = "liar" if number % LIAR_EVERY == 0 else "honest"
            if self._scenario == "news-no-tracker" and number % MUTE_EVERY == 1:
                member.kind = "mute"
        self._look(member)
        self.clock.after(rng.random() * TICK_S, self._tick, member)

    def _look(self, member: Member) -> None:
        """The tracker's handout; when it is dead, some of those that the DHT still has records of, gone or not."""
        if self._tracker.is_alive:
            for name in self._tracker.announce(member.peer, self.clock.now):
                member.mesh.named(name, self.clock.now, keeper=self.members[name].peer.origin == SEED)
        else:
            for name in self._rng.sample(list(self.members), min(DHT_FOUND, len(self.members))):
                self.clock.after(DHT_S, member.mesh.named, name, self.clock.now)

    def _tick(self, member: Member) -> None:
        if member.peer.gone:
            return
        self._meet(member, member.mesh.tick(self.clock.now))
        self._spread(member, member.gossip.tick(self.clock.now))
        member.mesh.check_invariants()
        member.gossip.check_invariants()
        assert len(member.open) <= NEIGHBOURS_MAX + NEIGHBOURS_MAX // 2, "a peer keeps too many neighbours"
        self.clock.after(TICK_S, self._tick, member)

    # ---- the mesh -----------------------------------------------------------------------------------------------

    def _meet(self, member: Member, decisions: Iterable[MeshDecision]) -> None:
        for decision in decisions:
            match decision:
                case Dial(name):
                    self.clock.after(4 * self._way_s(member, self.members[name]), self._dialled, member, name)
                case Drop(name, names):
                    self._named(member.open[name], member, names)
                    self._part(member, member.open[name])
                case Ask(name, version):
                    other = member.open[name]
                    self.clock.after(self._way_s(member, other), self._asked, other, member, version)
                case Look():
                    self._look(member)
                case Ping(name):
                    other = member.open[name]
                    self.clock.after(self._way_s(member, other), self._pinged, other, member)

    def _dialled(self, member: Member, name: str) -> None:
        other = self.members[name]
        if name in member.open or member.peer.gone:
            return
        if other.peer.gone:
            self.clock.after(UNREACHED_S, member.mesh.failed, name, self.clock.now + UNREACHED_S)
            return
        for one, far, is_dialler in ((member, other, True), (other, member, False)):
            one.open[far.peer.name] = far
            keeper = far.peer.origin == SEED
            one.mesh.opened(far.peer.name, self.clock.now, near=False, dialled=is_dialler, keeper=keeper)
            self._spread(one, one.gossip.opened(far.peer.name, lambda dataset: True))

    def _pinged(self, pinged: Member, by: Member) -> None:
        if not pinged.peer.gone and by.peer.name in pinged.open:
            pinged.mesh.heard(by.peer.name, self.clock.now)
            self.clock.after(self._way_s(pinged, by), self._heard, by, pinged)

    def _heard(self, member: Member, other: Member) -> None:
        member.mesh.heard(other.peer.name, self.clock.now)

    def _asked(self, asked: Member, asker: Member, version: bytes) -> None:
        if asked.peer.gone or asker.peer.name not in asked.open:
            return
        asked.mesh.heard(asker.peer.name, self.clock.now)
        names = asked.mesh.names_for(asker.peer.name, version, self.clock.now)
        self.clock.after(self._way_s(asked, asker), self._named, asker, asked, names)

    def _named(self, member: Member, teller: Member, names: Iterable[str]) -> None:
        for name in names:
            member.mesh.named(name, self.clock.now, version=ANY, teller=teller.peer.name)

    def _part(self, one: Member, other: Member) -> None:
        for member, far in ((one, other), (other, one)):
            if member.open.pop(far.peer.name, None) is not None:
                member.mesh.closed(far.peer.name, self.clock.now)
                member.gossip.closed(far.peer.name)

    def check_graph(self) -> None:
        """Everybody has some neighbours, both ends know of each other, and all are one graph."""
        least = min(NEIGHBOURS_LEAST, len(self.members) - 1)
        for member in self.members.values():
            assert len(member.open) >= least, f"peer {member.peer.number} has {len(member.open)} neighbours"
            assert all(other.open.get(member.peer.name) is member for other in member.open.values())
            assert set(member.open) == set(member.mesh.open)
        found = set(list(self.members)[:1])
        queue = list(found)
        while queue:
            new = self.members[queue.pop()].open.keys() - found
            found |= new
            queue += new
        assert len(found) == len(self.members), "the peers are not one graph"

    # ---- the news -----------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        self.check_graph()
        producer = next(member for member in self.members.values() if member.peer.number == PRODUCING)
        if self._scenario == "news-no-tracker":
            self._tracker.is_alive = False
            others = [member for member in self.members.values() if member is not producer]
            for member in self._rng.sample(others, round(GONE_SHARE * len(others))):
                member.peer.gone = True
                for other in list(member.open.values()):
                    self.clock.after(NOTICED_S, self._part, other, member)
        else:
            self._learn(next(iter(self.members.values())), self.entries[1], "")
        self._learn(producer, self.entries[1], "")
        for member in self.members.values():
            if member.kind == "liar" and not member.peer.gone:
                lies = [Tell(name, entry) for name in member.open for entry in (self.forged, self.entries[0])]
                self._send(member, lies)

    def _learn(self, member: Member, entry: bytes, source: str) -> None:
        known = self._check(entry)
        if known is None:
            return
        before = member.ledger.head(known.dataset)
        if not member.ledger.record(known, entry, is_news=True):
            return
        member.learnt += bool(source)
        if known.serial == 2:
            member.heard_at = self.clock.now - self._published_at
        learnt = member.gossip.learnt
        self._spread(member, learnt(known.dataset, known.serial, entry, self.clock.now, source=source, before=before))

    def _check(self, entry: bytes) -> Entry | None:
        """What an entry proves; the seals of each are looked at once for all peers."""
        key = signature_of(entry)
        if key not in self._checked:
            try:
                self._checked[key] = log.verify_entry(entry, authority=TRUST)
            except RemoteProtocolError:
                self._checked[key] = None
        return self._checked[key]

    def _spread(self, member: Member, decisions: Iterable[GossipDecision]) -> None:
        if member.kind == "honest":
            self._send(member, decisions)

    def _send(self, member: Member, decisions: Iterable[GossipDecision]) -> None:
        for decision in decisions:
            other = member.open.get(decision.peer)
            if other is not None:
                self.clock.after(self._way_s(member, other), self._arrived, other, member, decision)

    def _arrived(self, member: Member, sender: Member, decision: GossipDecision) -> None:
        name = sender.peer.name
        if member.peer.gone or name not in member.open:
            return
        member.mesh.heard(name, self.clock.now)
        if self.clock.now >= self._published_at:
            member.bytes_in += len(decision.entry) if isinstance(decision, Tell) else 40 * len(decision.heads)
        if not isinstance(decision, Tell):
            self._spread(member, member.gossip.compared(name, decision.heads, decision.whole, self.clock.now))
        elif member.gossip.may_come(name, self.clock.now):
            member.taken += 1
            self.producer_told += sender.peer.number == PRODUCING and decision.entry == self.entries[1]
            self.told[name, member.peer.name] += sender.kind == "honest"
            self._learn(member, decision.entry, name)

    def _way_s(self, one: Member, other: Member) -> float:
        way_s = BUSY_S + one.peer.access.delay_s + other.peer.access.delay_s
        while self._rng.random() < LOST:
            way_s += RETRANSMIT_S + 2 * way_s
        return way_s


def simulate_news(scenario: str, peers: int, seed: int) -> NewsOutcome:
    """Run to the end. Violations are told in the outcome, not raised."""
    swarm = NewsSwarm(peers, seed, scenario)
    violations: list[str] = []
    try:
        swarm.run()
        check_news(swarm)
    except AssertionError as error:
        violations.append(f"at {swarm.clock.now:.3f} s: {error}")
    there = [member for member in swarm.members.values() if member.kind == "honest" and not member.peer.gone]
    times = sorted(member.heard_at for member in there if member.heard_at is not None) or [0.0]
    degrees = [len(member.open) for member in swarm.members.values()]
    number = len(swarm.members)
    taken = sum(member.taken for member in swarm.members.values())
    learnt = sum(member.learnt for member in swarm.members.values())

    def at(share: float) -> float:
        return round(times[min(len(times) - 1, int(share * len(times)))], 3)

    return NewsOutcome(
        peers,
        0,
        scenario,
        seed,
        at(0.5),
        at(0.95),
        at(0.99),
        round(times[-1], 3),
        None,
        swarm.producer_told,
        round(1.0 - learnt / max(1, taken), 4),
        round(len(times) / len(there), 4),
        (min(degrees), max(degrees)),
        round(taken / number, 2),
        round(sum(member.bytes_in for member in swarm.members.values()) / number, 1),
        swarm.clock.steps,
        violations,
    )


def check_news(swarm: NewsSwarm) -> None:
    """Who is there has heard, nobody believes what is forged or goes back, and nobody is told again and again."""
    for member in swarm.members.values():
        number = member.peer.number
        held = member.ledger.above(DATASET, 0)
        assert set(held) <= set(swarm.entries), f"peer {number} believes an entry that nobody sealed"
        assert member.ledger.head(DATASET) == len(held), f"peer {number} went back"
    for member in swarm.waiting():
        raise AssertionError(f"peer {member.peer.number} never heard")
    most = max(swarm.told.values(), default=0)
    assert most <= len(swarm.entries), f"a neighbour was told {most} times of {len(swarm.entries)} entries"
