"""The tracker's soft state against a plain model of it, in any order of announces, leavings and silence."""

from __future__ import annotations

import random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from swarm.identity import PeerKey
from swarm.messages import Holding
from swarm.records import Address, Role
from swarm.signature import signature_of
from swarm.tracker.presence import Presence, Present

KEYS = [PeerKey(signature_of(bytes([number]))) for number in range(8)]
VERSIONS = [("library/roads", signature_of(bytes([100 + number]))) for number in range(4)]
INTERVAL_S = 10.0
MAX_PEERS = 5


class PresenceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.presence = Presence(INTERVAL_S, MAX_PEERS)
        self.now = 0.0
        self.rng = random.Random(1)
        self.model: dict[str, Present] = {}

    @rule(
        key=st.sampled_from(KEYS),
        versions=st.sets(st.sampled_from(VERSIONS)),
        complete=st.booleans(),
        role=st.sampled_from(["peer", "seed"]),
    )
    def announce(self, key: PeerKey, versions: set[tuple[str, bytes]], complete: bool, role: Role) -> None:
        holdings = {version: Holding(*version, complete=complete, origin=False) for version in versions}
        peer = Present(
            key.public, key.peer_id, (Address("192.0.2.1", 1),), role, "", holdings, self.now, role == "seed"
        )
        self.presence.announce(peer)
        self.model.pop(key.peer_id, None)
        self.silence(0.0)
        while len(self.model) >= MAX_PEERS:
            del self.model[next(iter(self.model))]
        self.model[key.peer_id] = peer

    @rule(key=st.sampled_from(KEYS))
    def forget(self, key: PeerKey) -> None:
        self.presence.forget(key.peer_id)
        self.model.pop(key.peer_id, None)

    @rule(seconds=st.floats(0, 3.5 * INTERVAL_S))
    def silence(self, seconds: float) -> None:
        self.now += seconds
        self.model = {peer_id: peer for peer_id, peer in self.model.items() if peer.heard + 3 * INTERVAL_S > self.now}

    @invariant()
    def agrees(self) -> None:
        for version in VERSIONS:
            found = {
                (peer.peer_id, complete)
                for complete in (True, False)
                for peer in self.presence.holders(version, self.now, complete=complete, rng=self.rng)
            }
            assert found == {
                (peer_id, peer.holdings[version].complete)
                for peer_id, peer in self.model.items()
                if version in peer.holdings
            }
        seeds = {peer.peer_id for peer in self.presence.seeds(self.now)}
        assert seeds == {peer_id for peer_id, peer in self.model.items() if peer.role == "seed"}
        assert [peer.peer_id for peer in self.presence.latest(self.now)] == list(reversed(self.model))
        self.presence.check_invariants()


TestPresence = PresenceMachine.TestCase
