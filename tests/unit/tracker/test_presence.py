"""The tracker's soft state: replacing, expiring, bounds, and which addresses count."""

from __future__ import annotations

import random

import pytest

from swarm.identity import PeerKey
from swarm.messages import Holding
from swarm.records import Address, Role
from swarm.signature import signature_of
from swarm.tracker.presence import (
    SAMPLE_MAX,
    Presence,
    Present,
    addresses_for,
    is_loopback,
    site_seen,
    usable_addresses,
)

VERSION = ("library/roads", signature_of(b"1"))
OTHER = ("library/lakes", signature_of(b"2"))


def peer(
    number: int, heard: float, *versions: tuple[str, bytes], role: Role = "peer", complete: bool = True
) -> Present:
    key = PeerKey(signature_of(number.to_bytes(4, "big")))
    holdings = {version: Holding(*version, complete=complete, origin=False) for version in versions}
    return Present(key.public, key.peer_id, (Address("192.0.2.1", 1),), role, "", holdings, heard, role == "seed")


def holders(presence: Presence, version: tuple[str, bytes], now: float, *, complete: bool = True) -> set[str]:
    return {found.peer_id for found in presence.holders(version, now, complete=complete, rng=random.Random(1))}


def test_an_announce_replaces_the_last_one() -> None:
    presence = Presence(30)
    presence.announce(peer(1, 0.0, VERSION))
    presence.announce(peer(2, 1.0, VERSION))
    presence.announce(peer(1, 2.0, OTHER))
    assert holders(presence, VERSION, 2.0) == {peer(2, 0).peer_id}
    assert holders(presence, OTHER, 2.0) == {peer(1, 0).peer_id}
    assert [found.peer_id for found in presence.latest(2.0)] == [peer(1, 0).peer_id, peer(2, 0).peer_id]
    presence.check_invariants()


def test_since_when_a_peer_is_there_survives_its_announces() -> None:
    presence = Presence(30)
    presence.announce(peer(1, 5.0, VERSION))
    presence.announce(peer(2, 6.0, VERSION, complete=False))
    presence.announce(peer(1, 30.0, VERSION))
    assert [found.since for found in presence.latest(30.0)] == [5.0, 6.0]
    assert (presence.count(VERSION, complete=True), presence.count(VERSION, complete=False)) == (1, 1)


def test_silence_of_three_intervals_is_the_end() -> None:
    presence = Presence(30)
    presence.announce(peer(1, 0.0, VERSION))
    presence.announce(peer(2, 50.0, VERSION))
    assert len(holders(presence, VERSION, 89.9)) == 2
    assert holders(presence, VERSION, 90.0) == {peer(2, 0).peer_id}
    assert len(presence) == 1
    assert holders(presence, VERSION, 140.0) == set()
    presence.check_invariants()


def test_who_has_it_all_and_who_fetches_are_kept_apart() -> None:
    presence = Presence(30)
    presence.announce(peer(1, 0.0, VERSION))
    presence.announce(peer(2, 0.0, VERSION, complete=False))
    assert holders(presence, VERSION, 0.0) == {peer(1, 0).peer_id}
    assert holders(presence, VERSION, 0.0, complete=False) == {peer(2, 0).peer_id}
    presence.announce(peer(2, 1.0, VERSION))
    assert len(holders(presence, VERSION, 1.0)) == 2
    assert holders(presence, VERSION, 1.0, complete=False) == set()
    presence.check_invariants()


def test_of_very_many_a_random_choice_is_given() -> None:
    presence = Presence(30)
    for number in range(SAMPLE_MAX + 50):
        presence.announce(peer(number, 0.0, VERSION))
    one = presence.holders(VERSION, 0.0, complete=True, rng=random.Random(1))
    two = presence.holders(VERSION, 0.0, complete=True, rng=random.Random(2))
    assert len(one) == len(two) == SAMPLE_MAX
    assert {found.peer_id for found in one} != {found.peer_id for found in two}


def test_seeds_are_kept_apart() -> None:
    presence = Presence(30)
    presence.announce(peer(1, 0.0, role="seed"))
    presence.announce(peer(2, 0.0, role="seed"))
    presence.announce(peer(3, 0.0, role="tracker"))
    assert {seed.peer_id for seed in presence.seeds(0.0)} == {peer(1, 0).peer_id, peer(2, 0).peer_id}
    presence.announce(peer(1, 1.0, role="peer"))
    presence.forget(peer(2, 0).peer_id)
    presence.forget(peer(2, 0).peer_id)
    assert presence.seeds(1.0) == []
    presence.check_invariants()


def test_the_one_heard_of_longest_ago_makes_room() -> None:
    presence = Presence(30, max_peers=3)
    for number in range(3):
        presence.announce(peer(number, float(number), VERSION))
    presence.announce(peer(0, 3.0, VERSION))
    presence.announce(peer(9, 4.0, VERSION))
    assert holders(presence, VERSION, 4.0) == {peer(number, 0).peer_id for number in (0, 2, 9)}
    presence.check_invariants()


@pytest.mark.parametrize(
    ("announced", "remote", "expected"),
    [
        (["0.0.0.0"], "198.51.100.7", ["198.51.100.7"]),
        (["::"], "2001:db8::7", ["2001:db8::7"]),
        (["0.0.0.0", "0.0.0.0"], "198.51.100.7", ["198.51.100.7"]),
        (["127.0.0.1", "::1", "localhost", "::ffff:127.0.0.1", "127.8.8.8"], "198.51.100.7", []),
        (["127.0.0.1"], "127.0.0.1", ["127.0.0.1"]),
        (["10.0.0.1", "203.0.113.9"], "198.51.100.7", ["10.0.0.1", "203.0.113.9"]),
        (["224.0.0.1", "ff02::1", "fe80::1"], "198.51.100.7", []),
        (["peer.example.org", "a..b", "."], "198.51.100.7", ["peer.example.org"]),
    ],
)
def test_usable_addresses(announced: list[str], remote: str, expected: list[str]) -> None:
    found = usable_addresses([Address(host, 7) for host in announced], remote)
    assert found == tuple(Address(host, 7) for host in expected)


def test_an_asker_elsewhere_is_not_sent_to_its_own_loopback() -> None:
    both = (Address("127.0.0.1", 1), Address("10.0.0.1", 1))
    assert addresses_for(both, "10.0.0.2") == both[1:]
    assert addresses_for(both, "127.0.0.1") == both


@pytest.mark.parametrize(
    ("remote", "site"),
    [
        ("198.51.100.7", "198.51.100.0/24"),
        ("8.8.8.8", "8.8.8.8"),
        ("192.168.1.77", "192.168.1.0/24"),
        ("2a00:1450:4001:82b::200e", "2a00:1450:4001:82b::/64"),
        ("", ""),
    ],
)
def test_the_site_that_is_seen(remote: str, site: str) -> None:
    assert site_seen(remote) == site


def test_what_counts_as_loopback() -> None:
    assert is_loopback("localhost")
    assert is_loopback("127.1.2.3")
    assert not is_loopback("128.0.0.1")
    assert not is_loopback("example.org")
