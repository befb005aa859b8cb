"""The roster: which keys the root lets seal, for whom, from when to when; and what a member makes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swarm import authority, log
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.keyring import generation_of
from swarm.limits import CERTIFICATE_LIFETIME_S, ONLINE_KEYS_MAX, ONLINE_TERM_S, ROSTER_MAX_BYTES
from swarm.records import Credential, Grant, Rule, open_sealed, seal
from swarm.roster import (
    OnlineKey,
    Roster,
    appointed,
    check_roster,
    is_roster,
    open_roster,
    replaced,
    root_fingerprint,
    root_in,
    seal_roster,
)
from swarm.tracker.custody import adopting_roster, first_roster
from swarm.trust import Trust
from tests.unit.log_samples import FIRST, OTHER, PUBLISHER

NOW = 1_900_000_000
ROOT, FIRST_KEY, SECOND, THIRD, STRANGER = (PeerKey(bytes([n]) * 32) for n in range(11, 16))


def online(key: PeerKey, in_force: int, until: int, **changes: object) -> OnlineKey:
    return OnlineKey(key.public, b"", in_force, until, until + 50, bool(changes.get("stolen", False)))


def roster(version: int, *keys: OnlineKey) -> Roster:
    return Roster(1, ROOT.public, version, NOW, keys)


BORN = roster(1, online(FIRST_KEY, 0, NOW + 100))


def test_a_member_that_pins_the_root_takes_the_latest_roster_and_nothing_else() -> None:
    later = appointed(BORN, [online(SECOND, NOW + 60, NOW + 200)], ROOT.public, NOW, 50)
    trust = Trust(FIRST_KEY.public, pinned=ROOT.public)
    assert trust.learn([seal_roster(ROOT, later), seal_roster(ROOT, BORN, FIRST_KEY)])
    assert [a.public for a in trust.anchors] == [FIRST_KEY.public, SECOND.public]
    assert (trust.in_force(NOW + 59).public, trust.in_force(NOW + 60).public) == (FIRST_KEY.public, SECOND.public)
    assert trust.anchors[0].until == NOW + 60
    assert not trust.learn([seal_roster(ROOT, BORN)])
    strange = Roster(1, STRANGER.public, 99, NOW, BORN.keys)
    assert not trust.learn([seal_roster(STRANGER, strange, FIRST_KEY)])
    assert trust.copy().links == trust.links
    assert generation_of(trust.links) == 1


def test_a_member_that_pins_nothing_is_told_the_root_by_a_key_that_it_knows() -> None:
    vouched, not_vouched = seal_roster(ROOT, BORN, FIRST_KEY), seal_roster(ROOT, BORN)
    for data, takes in ((vouched, True), (not_vouched, False), (seal_roster(ROOT, BORN, STRANGER), False)):
        trust = Trust(FIRST_KEY.public)
        assert (trust.learn([data]), trust.swarm_root) == (takes, ROOT.public if takes else b"")
    later = seal_roster(ROOT, appointed(BORN, [online(SECOND, NOW, NOW + 9)], ROOT.public, NOW))
    trust = Trust(FIRST_KEY.public, links=[later, vouched])
    assert trust.newest.public == SECOND.public
    assert trust.links == (vouched, later), "who knows only the first key can be told of both"


def test_what_is_sealed_after_the_term_counts_for_nothing() -> None:
    trust = Trust(FIRST_KEY.public, links=[seal_roster(ROOT, BORN)], pinned=ROOT.public)
    late = NOW + 100 + 3600
    papers = seal(FIRST_KEY, Credential(1, OTHER.public, "peer", "", late, late + 100))
    with pytest.raises(RemoteProtocolError, match="not the swarm's any more"):
        open_sealed(papers, Credential, authority=trust, wall_now=late)


def test_an_old_swarm_is_put_under_a_root_with_all_keys_that_it_has_had() -> None:
    ca = authority.create(FIRST_KEY, NOW)
    ca.succeed(SECOND, link := ca.successor(SECOND, NOW, NOW + 60, NOW + 90))
    ca.advance(NOW + 60)
    data = adopting_roster(ROOT, ca, NOW + 61)
    away = Trust(FIRST_KEY.public)
    assert away.learn([data, link]), "a member that was away walks to the key that vouches"
    assert (away.swarm_root, generation_of(away.links)) == (ROOT.public, 2)
    assert [(a.in_force, a.until) for a in away.anchors] == [(0, NOW + 60), (NOW + 60, NOW + 61 + ONLINE_TERM_S)]
    assert not away.learn([ca.successor(THIRD, NOW + 62, NOW + 62, NOW + 70)]), "and no further"
    ca.obey(data, [])
    assert ca.fingerprint == root_fingerprint(ROOT.public)
    assert len(ca.fingerprints) == 3, "tokens of before are good as well"


def test_a_stolen_key_counts_only_where_another_vouches() -> None:
    ca = authority.create(FIRST_KEY, NOW)
    first = open_roster(first_roster(ROOT, ca, NOW)).roster
    both = appointed(first, [online(SECOND, NOW + 10, NOW + 99)], ROOT.public, NOW)
    after = replaced(both, {FIRST_KEY.public}, NOW + 20)
    trust = Trust(FIRST_KEY.public, links=[seal_roster(ROOT, after)], pinned=ROOT.public)
    assert trust.stolen == {FIRST_KEY.public}
    assert trust.in_force(0).public == SECOND.public
    assert [anchor.public for anchor in trust.counting(NOW)] == [SECOND.public]
    grant = seal(FIRST_KEY, Grant(1, PUBLISHER.public, (Rule("publish", "*"),), FIRST.wall_time, FIRST.wall_time + 9))
    entry = log.endorse(FIRST_KEY, log.seal_entry(PUBLISHER, FIRST, grant))
    for data in (entry, log.vouch(STRANGER, entry)):
        with pytest.raises(RemoteProtocolError):
            log.verify_entry(data, authority=trust)
    vouched = log.vouch(SECOND, entry)
    assert log.verify_entry(vouched, authority=trust) == FIRST
    assert log.vouch(SECOND, vouched) == vouched
    assert log.entry_hash(vouched) == log.entry_hash(entry)
    assert log.committed(vouched) == entry
    with pytest.raises(RemoteProtocolError, match="stolen"):
        log.verify_publisher(log.seal_entry(PUBLISHER, FIRST, grant), authority=trust)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: roster(1, online(ROOT, 0, 5)),
        lambda: roster(1, online(FIRST_KEY, 0, 5), online(FIRST_KEY, 5, 9)),
        lambda: roster(1, online(FIRST_KEY, 5, 9), online(SECOND, 0, 5)),
        lambda: roster(1, online(FIRST_KEY, 5, 5)),
        lambda: roster(1, online(FIRST_KEY, 0, 5, stolen=True)),
    ],
)
def test_a_roster_that_contradicts_itself_is_none(bad: Callable[[], Roster]) -> None:
    with pytest.raises(RemoteProtocolError):
        check_roster(bad())


def test_only_the_root_seals_a_roster() -> None:
    with pytest.raises(LocalProtocolError):
        seal_roster(STRANGER, BORN)
    data = bytearray(seal_roster(ROOT, BORN))
    assert is_roster(bytes(data))
    assert root_in([b"link", bytes(data)]) == ROOT.public
    data[-70] ^= 1
    with pytest.raises(RemoteProtocolError):
        open_roster(bytes(data))


def test_the_keys_of_sixteen_years_fit() -> None:
    """Each with a certificate where somebody may need it: those of the last year, and three more that are to come."""
    kept, wall = BORN, NOW
    certificate = authority.create(SECOND, NOW).certificate
    for number in range(ONLINE_KEYS_MAX - 1):
        key = PeerKey(bytes([100 + number]) * 32)
        begins = wall + ONLINE_TERM_S
        made = OnlineKey(
            key.public,
            certificate,
            begins,
            begins + ONLINE_TERM_S,
            begins + ONLINE_TERM_S + CERTIFICATE_LIFETIME_S,
            False,
        )
        kept = appointed(kept, [made], ROOT.public, wall)
        wall = begins
    assert len(kept.keys) == ONLINE_KEYS_MAX
    assert len(seal_roster(ROOT, kept)) <= ROSTER_MAX_BYTES
