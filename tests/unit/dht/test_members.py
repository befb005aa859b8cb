"""Who is a member, how long an answer may take, and who is silent."""

from __future__ import annotations

import pytest

from swarm import authority
from swarm.dht.keys import node_id
from swarm.dht.members import FIRST_TIMEOUT_S, MAX_TIMEOUT_S, MIN_TIMEOUT_S, SILENT_FIRST_S, Members, RoundTrip
from swarm.identity import PeerKey
from swarm.limits import CERTIFICATE_LIFETIME_S, DHT_SILENT_MAX
from swarm.trust import Trust
from tests.unit.dht.samples import CA, NOW, SECRET, credential_of, key_of

ONE = node_id(SECRET, key_of(1).public)


def test_who_is_removed_is_a_member_no_more() -> None:
    trust = Trust(CA.public)
    members = Members(trust)
    one, two = key_of(1).public, key_of(2).public
    for number, public in ((1, one), (2, two)):
        assert members.admit(node_id(SECRET, public), public, credential_of(number), NOW) is not None
    trust.removed = frozenset([one])
    for shown in (b"", credential_of(1)):
        assert members.admit(node_id(SECRET, one), one, shown, NOW) is None
    assert members.admit(node_id(SECRET, two), two, b"", NOW) is not None


def test_a_member_shows_its_credential_once() -> None:
    members = Members(CA.trust)
    public = key_of(1).public
    assert members.admit(ONE, public, b"", NOW) is None
    assert members.admit(ONE, public, credential_of(1), NOW) is not None
    assert members.admit(ONE, public, b"", NOW) is not None
    assert members.admit(ONE, public, b"", NOW + CERTIFICATE_LIFETIME_S + 1) is None, "it has expired"


def test_a_fresh_credential_takes_the_place_of_one_that_expires() -> None:
    members = Members(CA.trust)
    public = key_of(1).public
    members.admit(ONE, public, credential_of(1), NOW)
    later = NOW + CERTIFICATE_LIFETIME_S - 10
    renewed = CA.admit(public, "peer", "", (), later).credential
    assert members.admit(ONE, public, renewed, later) is not None
    assert members.admit(ONE, public, b"", later + 60) is not None


@pytest.mark.parametrize(
    "credential",
    [
        credential_of(2),
        credential_of(1, authority.create(PeerKey(b"x" * 32), NOW)),
        credential_of(1)[:-1] + b"x",
        b"garbage",
        CA.admit(key_of(1).public, "peer", "", (), NOW).grant,
    ],
    ids=["another member's", "another authority's", "forged", "garbage", "a grant"],
)
def test_nobody_is_a_member_by_what_the_authority_did_not_seal_for_it(credential: bytes) -> None:
    members = Members(CA.trust)
    assert members.admit(ONE, key_of(1).public, credential, NOW) is None
    assert members.get(ONE) is None
    assert len(members) == 0


def test_timeouts_follow_what_a_node_takes() -> None:
    trip = RoundTrip()
    assert trip.timeout_s == FIRST_TIMEOUT_S
    trip.measure(0.2)
    assert trip.timeout_s == pytest.approx(0.6)  # RFC 6298, 2.2: SRTT + 4 * RTT / 2
    for _ in range(100):
        trip.measure(0.001)
    assert trip.timeout_s == MIN_TIMEOUT_S
    for _ in range(100):
        trip.measure(30.0)
    assert trip.timeout_s == MAX_TIMEOUT_S


def test_an_unmeasured_node_is_late_by_what_all_take_but_has_time() -> None:
    members = Members(CA.trust)
    assert members.timeouts_s(b"unknown", 2) == (FIRST_TIMEOUT_S, 2 * FIRST_TIMEOUT_S)
    member = members.admit(ONE, key_of(1).public, credential_of(1), NOW)
    assert member is not None
    for _ in range(50):
        members.answered(ONE, member, 0.001, 0.0)
    assert members.timeouts_s(ONE, 2) == (MIN_TIMEOUT_S, 2 * MIN_TIMEOUT_S)
    first, second = members.timeouts_s(b"far away", 2)
    assert first == MIN_TIMEOUT_S
    assert second == 2 * FIRST_TIMEOUT_S


def test_silence_lasts_longer_each_time_and_ends_with_an_answer() -> None:
    members = Members(CA.trust)
    member = members.admit(ONE, key_of(1).public, credential_of(1), NOW)
    assert member is not None
    assert not members.is_silent(ONE, 0.0)
    assert members.silent(ONE, 0.0) == 1
    assert members.is_silent(ONE, SILENT_FIRST_S - 1)
    assert not members.is_silent(ONE, SILENT_FIRST_S + 1)
    assert members.silent(ONE, 100.0) == 2
    assert members.is_silent(ONE, 100.0 + SILENT_FIRST_S + 1)
    members.answered(ONE, member, 0.01, 0.0)
    assert not members.is_silent(ONE, 100.0)


def test_what_is_remembered_is_bounded() -> None:
    members = Members(CA.trust, limit=3)
    for number in range(DHT_SILENT_MAX + 10):
        members.silent(number.to_bytes(20, "big"), 0.0)
    assert len(members._silent) == DHT_SILENT_MAX
    for number in range(1, 6):
        members.admit(node_id(SECRET, key_of(number).public), key_of(number).public, credential_of(number), NOW)
    assert len(members) == 3
    assert members.get(ONE) is None, "the one not heard of for longest went"
