"""An old record of every kind, shown again when another counts: none of them does anything.

One table. Each case makes the old record and the new one, shows the new and then the old, and says whether the old one
was taken, and whether it was when it was new.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from swarm import authority, log
from swarm.errors import AetherError
from swarm.identity import PeerKey
from swarm.limits import CERTIFICATE_LIFETIME_S, GRANT_LIFETIME_S, LOCATION_LIFETIME_S
from swarm.messages import OUR_VERSIONS, JoinRequest, TokenRequest, join_proof
from swarm.objects.memory import MemoryObjectStore
from swarm.peer.access import Access
from swarm.peer.ledger import Ledger
from swarm.peer.tracker_book import TrackerBook
from swarm.receipt import Receipt, seal_receipt
from swarm.records import Address, Credential, Grant, Location, Rule, open_location, open_sealed, seal, seal_location
from swarm.retention import KeepRule
from swarm.roster import OnlineKey, Roster, seal_roster
from swarm.snapshot import Snapshot, open_snapshot, seal_snapshot
from swarm.token import parse_token
from swarm.tracker import orders, sealed
from swarm.tracker.commits import check_commit
from swarm.tracker.keys import load_or_create
from swarm.tracker.listing import Listing, seal_listing
from swarm.tracker.members import Members
from swarm.tracker.membership import Member
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import Tokens
from swarm.trust import Trust
from tests.attacks.repository import ROADS, STORE_KEY, TOTALS, Repository, key_of, version_of

NOW = 1_900_000_000
CA, NEXT, ROOT, MEMBER, SEED = map(key_of, ("ca", "next", "root", "member", "seed"))
TRUST = Trust(CA.public)
HERE, THERE = (Address("192.0.2.1", 7070),), (Address("192.0.2.2", 7070),)


def is_taken(show: Callable[[], object]) -> bool:
    """Whether somebody who is shown it does anything with it."""
    with suppress(AetherError):
        return show() not in (None, False)
    return False


@dataclass(frozen=True)
class Case:
    """``before``: the record when it was new; ``again``: the same one later. Each says whether it was taken."""

    before: bool
    again: bool


def at_times(show: Callable[[int], object], early: int, late: int) -> Case:
    return Case(is_taken(lambda: show(early)), is_taken(lambda: show(late)))


def entry() -> Case:
    made = Repository()
    old, new = made.publish("stable", "one"), made.publish("stable", "two")
    access, ledger = Access(made.authority.trust), Ledger(None, lambda data: None)
    before = ledger.record(access.learn(old), old)
    ledger.record(access.learn(new), new)
    ledger.record(access.learn(old), old)
    return Case(before, ledger.entry_of_tag(ROADS, "stable") == old)


def snapshot() -> Case:
    data = seal_snapshot(CA, Snapshot(1, ROADS, 1, (), NOW, NOW + 3600))
    return at_times(lambda at: open_snapshot(data, authority=TRUST, wall_now=at), NOW, NOW + 3600)


def snapshot_of_a_peer_that_knows_a_later_one() -> Case:
    ledger = Ledger(None, lambda data: None)
    ledger.confirm(ROADS, 1, NOW)
    ledger.confirm(ROADS, 2, NOW + 1)
    with suppress(AetherError):
        ledger.confirm(ROADS, 1, NOW)
        return Case(True, True)
    return Case(True, ledger.confirmed_at(ROADS) == NOW)


def credential() -> Case:
    data = seal(CA, Credential(1, MEMBER.public, "peer", "", NOW, NOW + CERTIFICATE_LIFETIME_S))
    late = NOW + CERTIFICATE_LIFETIME_S
    return at_times(lambda at: open_sealed(data, Credential, authority=TRUST, wall_now=at), NOW, late)


def grant() -> Case:
    data = seal(CA, Grant(1, MEMBER.public, (Rule("read", "*"),), NOW, NOW + GRANT_LIFETIME_S))
    access = Access(TRUST)
    late = NOW + GRANT_LIFETIME_S
    return at_times(lambda at: access.caller(MEMBER.peer_id, data, at).may_read(ROADS), NOW, late)


def grant_that_another_shows() -> Case:
    data = seal(CA, Grant(1, MEMBER.public, (Rule("read", "*"),), NOW, NOW + GRANT_LIFETIME_S))
    access = Access(TRUST)
    return Case(*[access.caller(key.peer_id, data, NOW).may_read(ROADS) for key in (MEMBER, SEED)])


def location() -> Case:
    held = seal(CA, Credential(1, MEMBER.public, "peer", "", NOW, NOW + CERTIFICATE_LIFETIME_S))
    data = seal_location(MEMBER, held, Location(1, HERE, NOW, NOW + LOCATION_LIFETIME_S))
    late = NOW + LOCATION_LIFETIME_S
    return at_times(lambda at: open_location(data, authority=TRUST, wall_now=at), NOW, late)


def listing() -> Case:
    """A tracker has moved: where it was is not where it is."""
    old, new = (
        seal_listing(CA, Listing(2, MEMBER.public, where, (), NOW, at)) for where, at in ((THERE, NOW), (HERE, NOW + 9))
    )
    book = TrackerBook(TRUST)
    before = is_taken(lambda: book.learn(old))
    book.learn(new)
    return Case(before, is_taken(lambda: book.learn(old)))


def listing_from_the_future() -> Case:
    now, later = (seal_listing(CA, Listing(2, MEMBER.public, HERE, (), NOW, at)) for at in (NOW, NOW + 10**8))
    book = TrackerBook(TRUST)
    return Case(is_taken(lambda: book.learn(now, NOW)), is_taken(lambda: book.learn(later, NOW)))


def order_to_keep() -> Case:
    objects, ca = MemoryObjectStore(), authority.create(CA, NOW)

    def rule(serial: int, last: int) -> KeepRule:
        return KeepRule(1, ROADS, serial, last, None, (), NOW)

    orders.change(objects, ca, orders.KEEP, ROADS, KeepRule, lambda known, serial: rule(serial, 1))
    old = objects.get(f"{orders.KEEP}{ROADS}/{1:020}")
    orders.change(objects, ca, orders.KEEP, ROADS, KeepRule, lambda known, serial: rule(serial, 9))
    objects.put_if_absent(f"{orders.KEEP}{ROADS}/{1:020}", old)
    counts = orders.keep_rules(objects, ca.trust)[ROADS]
    return Case(sealed.opened(old, KeepRule, authority=ca.trust).last == 1, counts.last == 1)


def succession() -> Case:
    """In a swarm that has a root since: nobody walks along what a key of the CA says of the next any more."""
    link = authority.create(CA, NOW).successor(NEXT, NOW, NOW, NOW + 10)
    rooted = Trust(CA.public, links=[roster_of(1, CA)], pinned=ROOT.public)
    return Case(Trust(CA.public).learn([link]), rooted.learn([link]))


def roster_of(version: int, *keys: PeerKey) -> bytes:
    times = [(NOW + 100 * number, NOW + 100 * (number + 1)) for number in range(len(keys))]
    online = [OnlineKey(key.public, b"", *when, when[1] + 50, False) for key, when in zip(keys, times, strict=True)]
    return seal_roster(ROOT, Roster(1, ROOT.public, version, NOW, tuple(online)))


def roster() -> Case:
    old, new = roster_of(1, CA), roster_of(2, NEXT)
    trust = Trust(CA.public, pinned=ROOT.public)
    before = trust.learn([old])
    trust.learn([new])
    again = trust.learn([old]) or trust.find(CA.public) is not None
    return Case(before, again)


def roster_after_a_restart() -> Case:
    """The home keeps the last one: an older one that is told after the start is none."""
    old, new = roster_of(1, CA), roster_of(2, NEXT)
    trust = Trust(CA.public, links=[new], pinned=ROOT.public)
    return Case(trust.find(NEXT.public) is not None, trust.learn([old]))


def receipt() -> Case:
    made = Repository()
    stated = Receipt(1, ROADS, version_of("one"), MEMBER.public, 1, 10, 1, 300, NOW)
    assert stated.totals == TOTALS
    given = seal_receipt(SEED, stated)
    members = {
        SEED.peer_id: Member(2, SEED.public, "seed", "", (), (), 0, 0),
        MEMBER.peer_id: Member(2, MEMBER.public, "peer", "", ("*",), (), 0, 0),
    }

    def commit(wall: int) -> object:
        made.wall = wall
        data = log.seal_entry(MEMBER, made.entry(MEMBER, "publish", {"stable": version_of("one")}), made.grant(MEMBER))
        return check_commit(
            data,
            given,
            dataset=ROADS,
            caller=members[MEMBER.peer_id],
            member_of=members.get,
            authority=made.authority.trust,
            wall_now=wall,
        )

    return Case(is_taken(lambda: commit(NOW)), is_taken(lambda: commit(NOW + 2 * 86_400)))


def joining() -> Case:
    """A token that was used up, with the same words by another key; and the same words again, which admit the same."""
    objects = MemoryObjectStore()
    keys = load_or_create(objects, STORE_KEY, NOW)
    tokens = Tokens(objects, keys.authority)
    members = Members(objects, keys, tokens, Rights(objects, keys.authority))
    text, _ = tokens.create(TokenRequest(role="peer", uses=1, datasets=("*",)), ("192.0.2.1:7070",), NOW)
    token = parse_token(text)

    def join(key: PeerKey) -> object:
        proof = join_proof(key, token.id, token.fingerprint, NOW)
        return members.join(JoinRequest(OUR_VERSIONS, token.id, token.secret, key.public, NOW, proof), NOW)

    return Case(is_taken(lambda: join(MEMBER)), is_taken(lambda: join(SEED)))


CASES = [
    entry,
    snapshot,
    snapshot_of_a_peer_that_knows_a_later_one,
    credential,
    grant,
    grant_that_another_shows,
    location,
    listing,
    listing_from_the_future,
    order_to_keep,
    succession,
    roster,
    roster_after_a_restart,
    receipt,
    joining,
]


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_record_that_is_replayed_does_nothing(make: Callable[[], Case]) -> None:
    case = make()
    assert case.before, "it was good once, so this can fail"
    assert not case.again
