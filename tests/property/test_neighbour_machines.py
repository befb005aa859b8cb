"""Mesh and gossip under any facts in any order: each peer in one state, everything bounded, no decision that cannot be
performed; and any bytes as a channel message raise the remote error or are one.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.limits import CHANNEL_MESSAGE_MAX_BYTES
from swarm.peer import gossip as gossip_module
from swarm.peer.channels import _decode
from swarm.peer.gossip import Compare, Gossip, Tell
from swarm.peer.mesh import NAMES_MAX, Mesh
from swarm.peer.steps import ANY, Ask, Dial, Drop, Look, Ping
from swarm.peer.wire import Heads, Here, Message, Neighbours, WhoElse
from swarm.records import open_location
from swarm.trust import Trust
from tests.golden.vectors import AUTHORITY, vectors

PEERS = st.integers(0, 120).map(lambda number: f"p{number}")
VERSIONS = st.sampled_from([ANY, b"1" * 32, b"2" * 32])
LOCATION = bytes.fromhex(str(vectors()["location"]))
WALL = 1_800_000_001


class MeshMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.mesh = Mesh("p0", random.Random(1))
        self.now = 0.0

    @rule(peer=PEERS, version=VERSIONS, near=st.booleans(), keeper=st.booleans(), teller=st.just("") | PEERS)
    def named(self, peer: str, version: bytes, near: bool, keeper: bool, teller: str) -> None:
        self.mesh.named(peer, self.now, version=version, near=near, keeper=keeper, teller=teller)

    @rule(peers=st.sets(PEERS, max_size=60), near=st.booleans())
    def opened(self, peers: set[str], near: bool) -> None:
        for peer in peers - {"p0"} - self.mesh.open.keys():
            self.mesh.opened(peer, self.now, near=near, dialled=peer in self.mesh.dialling)

    @rule(peer=PEERS, what=st.sampled_from(["closed", "failed", "useful", "heard"]))
    def happened(self, peer: str, what: str) -> None:
        getattr(self.mesh, what)(peer, self.now)

    @rule(peer=PEERS.filter(lambda peer: peer != "p0"), what=st.sampled_from(["banned", "pardoned"]))
    def blamed(self, peer: str, what: str) -> None:
        getattr(self.mesh, what)(peer)

    @rule(peer=PEERS, version=VERSIONS, what=st.sampled_from(["serves", "needs", "needs_no_more"]))
    def said(self, peer: str, version: bytes, what: str) -> None:
        getattr(self.mesh, what)(peer, version)

    @rule(version=VERSIONS.filter(bool), what=st.sampled_from(["fetching", "progressed"]))
    def fetches(self, version: bytes, what: str) -> None:
        getattr(self.mesh, what)(version, self.now)

    @rule(version=VERSIONS)
    def fetched(self, version: bytes) -> None:
        self.mesh.fetched(version)

    @rule(asker=PEERS, version=VERSIONS)
    def asked(self, asker: str, version: bytes) -> None:
        names = self.mesh.names_for(asker, version, self.now)
        assert asker not in names
        assert set(names) <= self.mesh.open.keys()
        assert len(names) <= NAMES_MAX

    @rule(seconds=st.floats(0.0, 40.0))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        was_open = set(self.mesh.open)
        for decision in self.mesh.tick(self.now):
            match decision:
                case Dial(peer):
                    assert peer in self.mesh.dialling
                case Drop(peer, names):
                    assert peer in was_open
                    assert peer not in self.mesh.open
                    assert peer not in names
                case Ask(peer) | Ping(peer):
                    assert peer in self.mesh.open
                case Look(version):
                    assert len(version) in (0, 32)
        assert len(self.mesh.open) <= self.mesh.maximum

    @invariant()
    def holds(self) -> None:
        self.mesh.check_invariants()


class Book:
    """A ledger that keeps entries by dataset and serial."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[int, bytes]] = {}

    def heads(self) -> Mapping[str, int]:
        return {dataset: max(known) for dataset, known in self.entries.items()}

    def above(self, dataset: str, serial: int) -> Iterable[bytes]:
        return [entry for at, entry in sorted(self.entries.get(dataset, {}).items()) if at > serial]


DATASETS = st.integers(0, 5).map(lambda number: f"library/d{number}")
FEW = st.integers(0, 6).map(lambda number: f"p{number}")


class GossipMachine(RuleBasedStateMachine):
    """Peers with an even number may read datasets with an even number only."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.gossip = Gossip(self.book, random.Random(1))
        self.now = 0.0
        self.open: set[str] = set()
        self.told: dict[str, int] = {}

    @staticmethod
    def may_read(peer: str, dataset: str) -> bool:
        return int(peer[1:]) % 2 == 1 or int(dataset[-1]) % 2 == 0

    def take(self, decisions: Iterable[Tell | Compare]) -> None:
        for decision in decisions:
            assert decision.peer in self.open
            if isinstance(decision, Tell):
                assert self.may_read(decision.peer, decision.entry.decode().split()[0])
                self.told[decision.peer] = self.told.get(decision.peer, 0) + 1
            else:
                assert len(decision.heads) <= gossip_module.HEADS_MAX
                assert all(self.may_read(decision.peer, dataset) for dataset, _ in decision.heads)

    @rule(peer=FEW)
    def opened(self, peer: str) -> None:
        self.open.add(peer)
        self.take(self.gossip.opened(peer, lambda dataset: self.may_read(peer, dataset)))

    @rule(peer=FEW)
    def closed(self, peer: str) -> None:
        self.open.discard(peer)
        self.gossip.closed(peer)

    @rule(dataset=DATASETS, serials=st.lists(st.integers(1, 300), max_size=80), source=st.just("") | FEW)
    def learnt(self, dataset: str, serials: list[int], source: str) -> None:
        for serial in serials:
            known = self.book.entries.setdefault(dataset, {})
            before, entry = max(known, default=0), f"{dataset} {serial}".encode()
            known[serial] = entry
            found = self.gossip.learnt(dataset, serial, entry, self.now, source=source, before=before)
            assert all(not isinstance(decision, Tell) or decision.peer != source for decision in found)
            self.take(found)

    @rule(peer=FEW, heads=st.dictionaries(DATASETS, st.integers(1, 300)), whole=st.booleans())
    def compared(self, peer: str, heads: dict[str, int], whole: bool) -> None:
        self.take(self.gossip.compared(peer, tuple(heads.items()), whole, self.now))

    @rule(seconds=st.floats(0.0, 40.0))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.gossip.tick(self.now))

    @invariant()
    def holds(self) -> None:
        self.gossip.check_invariants()


TestMesh = MeshMachine.TestCase
TestGossip = GossipMachine.TestCase

MESSAGES = [
    canonical.encode(message)
    for message in (
        Here(LOCATION),
        WhoElse(b"v" * 32),
        Neighbours(b"", (LOCATION,)),
        Heads((("osm/roads", 7),), True),
    )
]


def read_message(data: bytes) -> Message:
    return _decode(data)


@given(data=st.binary(max_size=300))
def test_garbage_is_no_message_and_no_location(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_message(data)
    with pytest.raises(RemoteProtocolError):
        open_location(data, authority=Trust(AUTHORITY.public), wall_now=WALL)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), which=st.integers(0, len(MESSAGES) - 1))
def test_one_changed_bit_makes_another_message_or_none(at: int, bit: int, which: int) -> None:
    data = bytearray(MESSAGES[which])
    data[at % len(data)] ^= 1 << bit
    try:
        message = read_message(bytes(data))
    except RemoteProtocolError:
        return
    assert canonical.encode(message) == bytes(data)
    assert len(data) <= CHANNEL_MESSAGE_MAX_BYTES


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_changed_bit_unseals_a_location(at: int, bit: int) -> None:
    data = bytearray(LOCATION)
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(RemoteProtocolError):
        open_location(bytes(data), authority=Trust(AUTHORITY.public), wall_now=WALL)
