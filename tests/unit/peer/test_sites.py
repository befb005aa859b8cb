"""Near is who is in our own site by the authority's word or by what is seen, and never by its own."""

from __future__ import annotations

from swarm.identity import PeerKey
from swarm.peer.sites import TOLD_MAX, Sites, site_of
from swarm.records import Address, Credential, seal


def test_a_site_that_was_set_decides() -> None:
    sites = Sites("lab")
    assert sites.is_near("p", "lab", "9.9.9.9", "192.168.1.2")
    assert not sites.is_near("p", "plant", "192.168.1.3", "192.168.1.2")
    assert not sites.is_near("p", "", "192.168.1.3", "192.168.1.2")
    assert not Sites("").is_near("p", "lab", "192.168.1.3", "192.168.1.2")


def test_without_one_the_network_decides() -> None:
    sites = Sites("")
    assert sites.is_near("p", "", "192.168.1.3", "192.168.1.2")
    assert not sites.is_near("p", "", "192.168.2.3", "192.168.1.2")
    assert sites.is_near("p", "", "2001:db8:1::3", "2001:db8:1::2")
    assert not sites.is_near("p", "", "9.9.9.9", "9.9.9.10")
    assert not sites.is_near("p", "", "", "")


def test_the_tracker_sees_who_is_behind_one_public_address() -> None:
    sites = Sites("")
    sites.seen = "9.9.9.9"
    sites.told("p", "9.9.9.9")
    sites.told("q", "8.8.8.8")
    assert sites.is_near("p", "", "10.1.2.3", "10.9.9.9")
    assert not sites.is_near("q", "", "10.1.2.3", "10.9.9.9")
    assert sites.is_near("r", "", "9.9.9.9", "10.9.9.9"), "seen at our own public address"


def test_where_to_dial_first_is_guessed_from_addresses() -> None:
    sites = Sites("")
    own = [Address("192.168.1.2", 1)]
    assert sites.seems_near("p", "", [Address("192.168.1.9", 1)], own)
    assert not sites.seems_near("p", "", [Address("192.168.7.9", 1)], own)
    assert not sites.seems_near("p", "", [Address("host.example", 1)], own)
    assert Sites("lab").seems_near("p", "lab", [], own)


def test_what_the_tracker_tells_is_bounded() -> None:
    sites = Sites("")
    for number in range(2 * TOLD_MAX):
        sites.told(str(number), "x")
    assert len(sites._told) == TOLD_MAX


def test_the_own_site_is_read_from_a_credential_that_has_expired_too() -> None:
    key, authority = PeerKey(b"k" * 32), PeerKey(b"a" * 32)
    assert site_of(seal(authority, Credential(1, key.public, "peer", "lab", 0, 1))) == "lab"
