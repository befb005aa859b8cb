"""The CA's keys, one after another: known from either end, each for what it sealed in its time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from swarm import authority, canonical, log
from swarm.authority import Authority
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey
from swarm.limits import CERTIFICATE_LIFETIME_S, SUCCESSION_SLACK_S, SUCCESSIONS_MAX
from swarm.log import Entry, Move
from swarm.peer.access import Access
from swarm.records import Address, Credential, Grant, Rule, open_sealed, seal
from swarm.retention import KeepRule
from swarm.token import TOKEN_ID_BYTES
from swarm.tracker import sealed
from swarm.tracker.listing import Listing
from swarm.tracker.membership import Member
from swarm.tracker.orders import Purge, Quota
from swarm.tracker.policy import Policy
from swarm.tracker.recalls import Recall, Recalls
from swarm.tracker.registry import MetPeer, MetPeers
from swarm.tracker.tokens import TokenRecord
from swarm.trust import SealedSuccession, Succession, Trust, open_succession, seal_succession

NOW = 1_900_000_000
HOUR, MONTH = 3600, 30 * 86_400
OLD, NEW, NEWER, STRANGER, MEMBER = (PeerKey(bytes([n]) * 32) for n in range(1, 6))


def succeeded(*keys: PeerKey) -> Authority:
    """A CA whose keys follow one another by the hour, each retired a month after that."""
    made = authority.create(keys[0], NOW)
    for number, key in enumerate(keys[1:], 1):
        in_force = NOW + number * HOUR
        made.succeed(key, made.successor(key, NOW, in_force, in_force + MONTH))
    return made


def entry_at(wall: int, ca: PeerKey, grantor: PeerKey) -> bytes:
    entry = Entry(1, "library/roads", 1, b"", wall, "rm", (Move("v1", None),), "", None, MEMBER.public)
    grant = seal(grantor, Grant(1, MEMBER.public, (Rule("publish", "*"),), wall - 10, wall + 10))
    return log.endorse(ca, log.seal_entry(MEMBER, entry, grant))


@pytest.mark.parametrize("start", [OLD, NEW, NEWER])
def test_all_keys_are_known_from_any_one_of_them(start: PeerKey) -> None:
    ca = succeeded(OLD, NEW, NEWER)
    trust = Trust(start.public, b"", ca.trust.links)
    assert [anchor.public for anchor in trust.anchors] == [OLD.public, NEW.public, NEWER.public]
    assert trust.links == ca.trust.links
    assert trust.anchors[1:] == ca.trust.anchors[1:]
    assert not trust.learn(ca.trust.links), "nothing is new"


def test_the_order_in_which_links_are_told_does_not_matter() -> None:
    links = succeeded(OLD, NEW, NEWER).trust.links
    assert Trust(NEW.public, b"", links[::-1]).links == links


def test_the_key_in_force_changes_at_its_time_and_not_before() -> None:
    ca = succeeded(OLD, NEW)
    assert not ca.advance(NOW + HOUR - 1)
    assert (ca.key, ca.public) == (ca.key, OLD.public)
    assert ca.advance(NOW + HOUR)
    assert ca.public == NEW.public
    assert ca.fingerprint == authority.fingerprint_of(ca.certificate) == ca.fingerprints[1]
    assert not ca.advance(NOW + HOUR)


def test_papers_under_a_former_key_count_until_it_is_retired() -> None:
    trust = succeeded(OLD, NEW).trust
    papers = seal(OLD, Credential(1, MEMBER.public, "peer", "", NOW, NOW + 2 * MONTH))
    retired = NOW + HOUR + MONTH
    assert open_sealed(papers, Credential, authority=trust, wall_now=retired - 1)
    with pytest.raises(RemoteProtocolError, match="retired"):
        open_sealed(papers, Credential, authority=trust, wall_now=retired)


def test_a_former_key_seals_nothing_new() -> None:
    trust = succeeded(OLD, NEW).trust
    last = NOW + HOUR + SUCCESSION_SLACK_S
    late = seal(OLD, Credential(1, MEMBER.public, "peer", "", last + 1, last + MONTH))
    with pytest.raises(RemoteProtocolError, match="not the swarm's any more"):
        open_sealed(late, Credential, authority=trust, wall_now=last + 2)
    assert log.verify_entry(entry_at(last, OLD, OLD), authority=trust).serial == 1
    with pytest.raises(RemoteProtocolError, match="not the swarm's any more"):
        log.verify_endorsed(entry_at(last + 1, OLD, OLD), authority=trust)


def test_what_the_log_holds_keeps_its_worth() -> None:
    """Sealed by the former key, long before; the new one seals an entry under a grant of the former."""
    trust = Trust(NEWER.public, b"", succeeded(OLD, NEW, NEWER).trust.links)
    assert log.verify_entry(entry_at(NOW, OLD, OLD), authority=trust).serial == 1
    assert log.verify_entry(entry_at(NOW + HOUR, NEW, OLD), authority=trust).serial == 1
    with pytest.raises(RemoteProtocolError, match="not signed"):
        log.verify_entry(entry_at(NOW, STRANGER, OLD), authority=trust)


def test_nobody_but_the_keys_themselves_makes_a_succession() -> None:
    ca = succeeded(OLD)
    link = open_succession(ca.successor(NEW, NOW, NOW, NOW + MONTH))
    body = canonical.encode(link)
    for by_former, by_new in ((STRANGER, NEW), (OLD, STRANGER)):
        forged = SealedSuccession(body, by_former.sign("succession", body), by_new.sign("succession", body))
        with pytest.raises(RemoteProtocolError, match="not signed"):
            Trust(OLD.public).learn([canonical.encode(forged)])


def test_a_stranger_who_vouches_for_us_gains_nothing() -> None:
    """It names our key as its successor, and we did not seal that; or it follows a key that we do not know."""
    stranger = authority.create(STRANGER, NOW)
    trust = Trust(OLD.public)
    assert not trust.learn([stranger.successor(NEW, NOW, NOW, NOW + MONTH)])
    assert [anchor.public for anchor in trust.anchors] == [OLD.public]


def test_a_key_has_one_successor() -> None:
    ca = succeeded(OLD)
    one, two = (ca.successor(key, NOW, NOW, NOW + MONTH) for key in (NEW, NEWER))
    trust = Trust(OLD.public, b"", [one])
    assert not trust.learn([two])
    assert trust.newest.public == NEW.public


def test_a_key_that_comes_back_makes_no_circle() -> None:
    ca = succeeded(OLD, NEW)
    back = seal_succession(NEW, OLD, Succession(1, NEW.public, b"", OLD.public, b"", NOW, NOW))
    assert not Trust(OLD.public, b"", ca.trust.links).learn([back])


def test_successions_are_bounded() -> None:
    keys = [PeerKey(bytes([n]) * 32) for n in range(1, SUCCESSIONS_MAX + 3)]
    links = []
    for number, (former, new) in enumerate(pairwise(keys)):
        body = Succession(1, former.public, b"", new.public, b"", NOW + number, NOW + number)
        links.append(seal_succession(former, new, body))
    with pytest.raises(RemoteProtocolError, match="limit"):
        Trust(keys[0].public).learn(links)
    trust = Trust(keys[0].public, b"", links[:SUCCESSIONS_MAX])
    assert not trust.learn(links[SUCCESSIONS_MAX:])
    assert len(trust.anchors) == SUCCESSIONS_MAX + 1


def test_the_keys_whose_papers_count_begin_with_the_one_in_force() -> None:
    trust = succeeded(OLD, NEW).trust
    publics = [[a.public for a in trust.counting(wall)] for wall in (NOW, NOW + HOUR, NOW + HOUR + MONTH)]
    assert publics == [[OLD.public, NEW.public], [NEW.public, OLD.public], [NEW.public]]
    assert CERTIFICATE_LIFETIME_S <= MONTH, "no certificate outlives that by default"


def test_a_grant_that_was_believed_is_not_when_its_key_is_retired() -> None:
    ca = succeeded(OLD, NEW)
    access = Access(ca.trust)
    rules = (Rule("read", "*"),)
    of_old = seal(OLD, Grant(1, MEMBER.public, rules, NOW, NOW + 3 * MONTH))
    of_new = seal(NEW, Grant(1, MEMBER.public, rules, NOW, NOW + 3 * MONTH))
    for wall_now, is_believed in ((NOW, True), (NOW + HOUR + MONTH - 1, True), (NOW + HOUR + MONTH, False)):
        assert access.caller(MEMBER.peer_id, of_old, wall_now).may_read("maps/roads") == is_believed
        assert access.caller(MEMBER.peer_id, of_new, wall_now).may_read("maps/roads")


def test_what_a_thief_recalled_counts_again_when_its_key_is_known_to_be_stolen() -> None:
    trust = succeeded(OLD, NEW).trust
    access = Access(trust)
    grant = Grant(1, MEMBER.public, (), NOW, NOW + MONTH)
    forged = Recalls(1, 99, 0, (Recall(MEMBER.public, NOW + MONTH, False),), 0, NOW)
    access.recall(sealed.seal(OLD, forged))
    assert access.is_recalled(grant)
    trust.anchors = (replace(trust.anchors[0], is_stolen=True), *trust.anchors[1:])
    access.forget()
    assert not access.is_recalled(grant)


def listing_at(wall: int) -> Listing:
    return Listing(2, MEMBER.public, (Address("192.0.2.1", 7070),), (), NOW, wall)


def records_at(wall: int) -> list[msgspec.Struct]:
    """One of each kind that trackers leave in the object store."""
    return [
        listing_at(wall),
        Purge(1, "library/roads", bytes(32), MEMBER.public, "", wall),
        Quota(1, "library", 1, None, wall),
        KeepRule(1, "library/roads", 1, None, None, (), wall),
        Member(2, MEMBER.public, "peer", "", (), (), NOW, wall),
        TokenRecord(2, bytes(TOKEN_ID_BYTES), bytes(32), "peer", "", ("*",), 1, wall, wall + MONTH),
        Policy(1, 1, (), 3600, "", "", wall),
        Recalls(1, 1, 1, (), 0, wall),
        MetPeers(1, (MetPeer(MEMBER.public, (), NOW), MetPeer(MEMBER.public, (), wall))),
    ]


@pytest.mark.parametrize("number", range(len(records_at(NOW))))
def test_what_trackers_keep_is_sealed_by_a_former_key_in_its_time_only(number: int) -> None:
    trust = succeeded(OLD, NEW).trust
    last = NOW + HOUR + SUCCESSION_SLACK_S
    before, after = records_at(last)[number], records_at(last + 1)[number]
    assert sealed.opened(sealed.seal(OLD, before), type(before), authority=trust) == before  # type: ignore[type-var]
    assert sealed.opened(sealed.seal(NEW, after), type(after), authority=trust) == after  # type: ignore[type-var]
    with pytest.raises(RemoteProtocolError, match="not the swarm's any more"):
        sealed.opened(sealed.seal(OLD, after), type(after), authority=trust)  # type: ignore[type-var]
