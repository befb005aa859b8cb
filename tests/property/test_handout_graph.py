"""A swarm that forms by handouts alone is one swarm, whoever comes and goes; and nobody has too many neighbours."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.identity import PeerKey
from swarm.limits import HANDOUT_MAX_NEIGHBOURS
from swarm.messages import Holding
from swarm.peer.membership import FETCHING
from swarm.records import Address
from swarm.signature import signature_of
from swarm.tracker.handout import neighbours_for
from swarm.tracker.presence import Presence, Present
from tests.unit.peer.mesh_net import Net

VERSION = ("library/roads", signature_of(b"roads"))
REMOTE = "192.0.2.200"
KEYS = [PeerKey(signature_of(number.to_bytes(4, "big"))) for number in range(1100)]
DIALS = FETCHING.target // 2


class Graph:
    """Peers that announce, dial the first of those whom they are given, and take in whoever has room for them."""

    def __init__(self, seed: int, sites: int) -> None:
        self.rng = random.Random(seed)
        self.presence = Presence(30.0)
        self.sites = sites
        self.now = 0.0
        self.edges: dict[str, set[str]] = {}

    def join(self, number: int) -> None:
        key = KEYS[number]
        holdings = {VERSION: Holding(*VERSION, complete=False, origin=False)}
        site = f"site-{number % self.sites}"
        self.now += 0.05
        peer = Present(
            key.public, key.peer_id, (Address("192.0.2.1", 1),), "peer", site, holdings, self.now, keeps=False
        )
        self.presence.announce(peer)
        self.edges.setdefault(key.peer_id, set())
        handout = neighbours_for(
            peer,
            VERSION,
            remote=REMOTE,
            holders=self.presence.holders(VERSION, self.now, complete=False, rng=self.rng),
            seeds=[],
            limit=HANDOUT_MAX_NEIGHBOURS,
            rng=self.rng,
            fetchers=self.presence.count(VERSION, complete=False),
        )
        ours = self.edges[key.peer_id]
        for other in self.rng.sample(handout, len(handout)):
            theirs = self.edges[other.peer_id]
            if len(ours) < DIALS and len(theirs) < FETCHING.maximum:
                ours.add(other.peer_id)
                theirs.add(key.peer_id)

    def leave(self, number: int) -> None:
        peer_id = KEYS[number].peer_id
        self.presence.forget(peer_id)
        for other in self.edges.pop(peer_id):
            self.edges[other].discard(peer_id)

    def parts(self) -> int:
        left, count = set(self.edges), 0
        while left:
            count += 1
            queue = [left.pop()]
            while queue:
                beside = self.edges[queue.pop()] & left
                left -= beside
                queue += beside
        return count


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1 << 32), sites=st.sampled_from([1, 3, 50]), leaving=st.floats(0.0, 0.5))
def test_handouts_make_one_swarm_of_bounded_degree_with_churn(seed: int, sites: int, leaving: float) -> None:
    graph = Graph(seed, sites)
    for number in range(500):
        graph.join(number)
    gone = graph.rng.sample(range(500), int(500 * leaving))
    for count, number in enumerate(gone):
        graph.leave(number)
        graph.join(500 + count)
    for number in set(range(500)) - set(gone):
        graph.join(number)  # who is still there asks again
    assert graph.parts() == 1
    assert max(map(len, graph.edges.values())) <= FETCHING.maximum


@pytest.mark.parametrize("sites", [1, 40])
def test_a_thousand_that_join_one_after_another_are_one_swarm(sites: int) -> None:
    graph = Graph(7, sites)
    for number in range(1000):
        graph.join(number)
    assert graph.parts() == 1
    assert max(map(len, graph.edges.values())) <= FETCHING.maximum


def test_a_thousand_meshes_with_churn_are_one_swarm_of_bounded_degree() -> None:
    net = Net(11, sites=20)
    net.version = VERSION[1]
    for number in range(1000):
        net.join(f"p{number}")
        if number % 100 == 0:
            net.step()
    net.step(15)
    for round in range(3):
        for name in net.rng.sample(list(net.meshes), 100):
            net.leave(name)
        for number in range(100):
            net.join(f"q{round} {number}")
        net.step(5)
        assert len(net.groups()) == 1
    assert net.degrees()[-1] <= FETCHING.maximum * 5 // 4, "some have come since it looked last, but not so many"
    assert net.degrees()[10] >= FETCHING.target // 3
