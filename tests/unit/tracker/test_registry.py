"""What trackers leave in the store for one another: the order that all agree on, and what does not count."""

from __future__ import annotations

import os

import pytest

from swarm.authority import Authority
from swarm.identity import PeerKey
from swarm.limits import BOOTSTRAP_MAX, TRACKERS_MAX
from swarm.messages import Contact
from swarm.objects.memory import MemoryObjectStore
from swarm.records import Address
from swarm.tracker import registry
from swarm.tracker.listing import FRESH_S, Listing
from tests.unit.log_samples import authority

NOW = 1_800_000_000.0


def listing(since: int, wall: float = NOW) -> Listing:
    return Listing(2, PeerKey(os.urandom(32)).public, (Address("192.0.2.1", 7070),), (), since, int(wall))


def contact(number: int) -> Contact:
    addresses = tuple(Address(f"192.0.2.{number}", port) for port in (1, 2, 3))
    return Contact(PeerKey(number.to_bytes(32, "big")).public, addresses)


@pytest.fixture
def objects() -> MemoryObjectStore:
    return MemoryObjectStore()


@pytest.fixture
def ca() -> Authority:
    return authority()


def test_the_oldest_tracker_is_first_and_a_new_one_moves_nobody(objects: MemoryObjectStore, ca: Authority) -> None:
    written = [registry.write(objects, ca, listing(since)) for since in (5, 3, 9)]
    found = registry.read(objects, ca.trust, NOW)
    assert [each.listing.since for each in found] == [3, 5, 9]
    assert set(found) == set(written)
    registry.write(objects, ca, listing(100))
    assert registry.read(objects, ca.trust, NOW)[:3] == found


def test_what_is_old_damaged_or_of_another_swarm_does_not_count(objects: MemoryObjectStore, ca: Authority) -> None:
    own = registry.write(objects, ca, listing(1))
    registry.write(objects, ca, listing(1, NOW - FRESH_S - 1))
    objects.put(registry.PREFIX + PeerKey(os.urandom(32)).peer_id, b"garbage")
    objects.put(registry.PREFIX + PeerKey(os.urandom(32)).peer_id, own.data)
    registry.write(objects, Authority(PeerKey(bytes(32)), ca.certificate), listing(1))
    assert registry.read(objects, ca.trust, NOW) == (own,)


def test_many_that_were_killed_hide_nobody(objects: MemoryObjectStore, ca: Authority) -> None:
    for _ in range(5 * TRACKERS_MAX):
        registry.write(objects, ca, listing(1, NOW - FRESH_S - 1))
    own = registry.write(objects, ca, listing(2))
    assert registry.read(objects, ca.trust, NOW) == (own,)
    registry.remove_old(objects, ca.trust, NOW)
    assert len(objects.list(registry.PREFIX)) == 5 * TRACKERS_MAX + 1
    registry.remove_old(objects, ca.trust, NOW - FRESH_S + registry.KEPT_S)
    assert objects.list(registry.PREFIX) == [registry.PREFIX + own.listing.peer_id]


def test_peers_to_begin_from_are_those_seen_last_and_then_those_before(
    objects: MemoryObjectStore, ca: Authority
) -> None:
    assert registry.read_peers(objects, ca.trust, NOW) == ()
    registry.write_peers(objects, ca, [contact(n) for n in range(1, 16)], NOW)
    registry.write_peers(objects, ca, [contact(n) for n in range(50, 60)], NOW + 10)
    found = registry.read_peers(objects, ca.trust, NOW + 10)
    assert [peer.public for peer in found] == [contact(n).public for n in [*range(50, 60), *range(1, 11)]]
    assert len(found) == BOOTSTRAP_MAX
    assert all(len(peer.addresses) == registry.PEER_ADDRESSES_MAX for peer in found)
    day_after = NOW + registry.KEPT_S + 5
    assert len(registry.read_peers(objects, ca.trust, day_after)) == 10
    objects.put(registry.PEERS_KEY, b"garbage")
    assert registry.read_peers(objects, ca.trust, NOW) == ()
    registry.write_peers(objects, ca, [contact(1)], NOW)
    assert len(registry.read_peers(objects, ca.trust, NOW)) == 1
