"""What members cost the object store while nothing happens, and how soon a removal elsewhere is heard of."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from swarm.identity import PeerKey, peer_id_of
from swarm.objects.memory import MemoryObjectStore
from swarm.records import Grant, open_sealed
from swarm.tracker import members, policies, rights
from swarm.tracker.keys import load_or_create
from swarm.tracker.member_changes import CHANGED, Changes
from swarm.tracker.members import (
    MARKS_CACHE_S,
    MEMBER_CACHE_S,
    MEMBER_KEPT_S,
    MEMBERS,
    REMOVED,
    REMOVED_CACHE_S,
    Members,
)
from swarm.tracker.membership import RECORDED, Member
from swarm.tracker.recalls import PREFIX as RECALLS
from swarm.tracker.rights import Rights
from swarm.tracker.sealed import seal
from swarm.tracker.tokens import Tokens

NOW = 1_800_000_000
PEER = PeerKey(b"p" * 32)
OTHER = PeerKey(b"o" * 32)


class Clock:
    """In place of the module ``time``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return NOW + self.now


class Asked(MemoryObjectStore):
    """A store that counts what is listed, and holds one list up if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: Counter[str] = Counter()
        self.gets: Counter[str] = Counter()
        self.held: threading.Event | None = None
        self.is_asked = threading.Event()

    def get(self, key: str) -> bytes:
        self.gets[key.rpartition("/")[0]] += 1
        return super().get(key)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        self.lists[prefix] += 1
        if self.held is not None and prefix == RECALLS:
            self.is_asked.set()
            assert self.held.wait(20)
        return super().list(prefix, after=after, limit=limit)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (members, policies, rights):
        monkeypatch.setattr(module, "time", clock)
    return clock


def over(objects: Asked) -> Members:
    """As a tracker that has just started."""
    keys = load_or_create(objects, bytes(32), NOW)
    return Members(objects, keys, Tokens(objects, keys.authority), Rights(objects, keys.authority))


def with_members(*public: bytes) -> Asked:
    objects = Asked()
    keys = load_or_create(objects, bytes(32), NOW)
    for each in public:
        member = Member(RECORDED, each, "peer", "", (), (), NOW, NOW)
        objects.put(MEMBERS + peer_id_of(each), seal(keys.authority.key, member))
    return objects


def with_a_member() -> Asked:
    return with_members(PEER.public)


def test_a_quiet_hour_costs_a_list_in_ten_seconds_and_one_in_a_minute(clock: Clock) -> None:
    objects = with_a_member()
    tracker = over(objects)
    objects.lists.clear()
    for _ in range(3600):
        clock.now += 1
        assert tracker.member(PEER.peer_id) is not None
        tracker._rights.known()
    assert objects.lists[RECALLS] <= 3600 / REMOVED_CACHE_S + 1
    assert objects.lists[REMOVED] <= 3600 / MARKS_CACHE_S + 1


def test_a_removal_at_another_tracker_is_heard_of_with_the_next_look(clock: Clock) -> None:
    objects = with_a_member()
    one, other = over(objects), over(objects)
    assert other.member(PEER.peer_id) is not None
    one.remove(PEER.peer_id)
    clock.now += REMOVED_CACHE_S
    assert other.member(PEER.peer_id) is None
    # Where the list of recalls was lost with a restored store, the marks are found within a minute.
    for key in objects.list(RECALLS):
        objects.delete(key)
    third = over(objects)
    assert third.member(PEER.peer_id) is None


def test_one_looks_for_all_who_come_meanwhile(clock: Clock) -> None:
    objects = with_a_member()
    tracker = over(objects)
    assert tracker.member(PEER.peer_id) is not None
    clock.now += REMOVED_CACHE_S
    objects.lists.clear()
    objects.held = threading.Event()
    first = threading.Thread(target=tracker.member, args=(PEER.peer_id,))
    first.start()
    try:
        assert objects.is_asked.wait(20)
        assert all(tracker.member(PEER.peer_id) is not None for _ in range(8)), "nobody waits for a look under way"
    finally:
        objects.held.set()
        first.join()
    assert objects.lists[RECALLS] == 1


# ---- changed memberships --------------------------------------------------------------------------------------------


def labels(tracker: Members) -> tuple[str, ...]:
    found = tracker.member(PEER.peer_id)
    assert found is not None
    return found.labels


def test_what_many_members_cost_does_not_grow_with_them(clock: Clock) -> None:
    """An hour of a hundred members that each come every ten seconds: one look in half a minute, each read in ten."""
    keys = [PeerKey(bytes([number]) * 32).public for number in range(100)]
    peers = [peer_id_of(public) for public in keys]
    objects = with_members(*keys)
    tracker = over(objects)
    objects.gets.clear()
    for _ in range(360):
        clock.now += 10
        assert all(tracker.member(peer) is not None for peer in peers)
    assert objects.gets[MEMBERS.rstrip("/")] <= len(peers) * (3600 / MEMBER_KEPT_S + 1)
    assert objects.gets[CHANGED.rpartition("/")[0]] <= 3600 / MEMBER_CACHE_S + 1


def test_a_change_at_another_tracker_is_seen_with_the_next_look(clock: Clock) -> None:
    """Also the second of two changes of which each tracker made one."""
    objects = with_members(PEER.public, OTHER.public)
    one, other, third = over(objects), over(objects), over(objects)
    assert labels(one) == labels(other) == labels(third) == ()
    one.change(PEER.peer_id, None, ("first=1",), NOW)
    assert labels(one) == ("first=1",)
    other.change(OTHER.peer_id, None, ("other=1",), NOW)
    clock.now += MEMBER_CACHE_S
    assert labels(other) == labels(third) == ("first=1",)
    found = one.member(OTHER.peer_id)
    assert found is not None and found.labels == ("other=1",)


def test_whose_grants_were_recalled_is_given_none_by_a_membership_that_was_read_before(clock: Clock) -> None:
    """It would be dated later than the recall, and count for as long as grants live."""
    objects = with_a_member()
    one, other = over(objects), over(objects)
    one.change(PEER.peer_id, ("maps/*",), None, clock.time())
    clock.now += MEMBER_KEPT_S
    assert other.member(PEER.peer_id) is not None
    one.change(PEER.peer_id, ("maps/roads",), None, clock.time())
    clock.now += REMOVED_CACHE_S
    stale = other.member(PEER.peer_id)
    assert stale is not None and stale.datasets == ("maps/*",)
    papers = other.renew_known(stale, clock.time())
    grant = open_sealed(papers.grant, Grant, authority=other._keys.authority.trust, wall_now=clock.time())
    assert grant.allows("read", "maps/roads") and not grant.allows("read", "maps/rivers")
    assert other.member(PEER.peer_id) == one.member(PEER.peer_id)


def test_a_recall_that_is_heard_of_while_a_grant_is_made_counts_for_it(clock: Clock) -> None:
    """The look that dates the grant is the first to find it."""
    objects = with_a_member()
    one, other = over(objects), over(objects)
    one.change(PEER.peer_id, ("maps/*",), None, clock.time())
    clock.now += MEMBER_KEPT_S
    stale = other.member(PEER.peer_id)
    assert stale is not None
    one.change(PEER.peer_id, ("maps/roads",), None, clock.time())
    clock.now += rights.MAX_AGE_S
    papers = other.renew_known(stale, clock.time())
    grant = open_sealed(papers.grant, Grant, authority=other._keys.authority.trust, wall_now=clock.time())
    assert grant.allows("read", "maps/roads") and not grant.allows("read", "maps/rivers")


def test_a_membership_that_was_read_while_it_changed_is_read_again(clock: Clock) -> None:
    """It came from the store as it was, and was kept after the look that found the change."""
    objects = with_a_member()
    one, other = over(objects), over(objects)
    former = objects.get

    def slow(key: str) -> bytes:
        found = former(key)
        if key == MEMBERS + PEER.peer_id:
            objects.get = former  # type: ignore[method-assign]
            one.change(PEER.peer_id, None, ("first=1",), NOW)
            clock.now += MEMBER_CACHE_S
            assert labels(other) == ("first=1",)
        return found

    objects.get = slow  # type: ignore[method-assign]
    assert labels(other) == ()
    assert labels(other) == ("first=1",)


def test_who_was_killed_before_it_told_of_a_change_keeps_it_from_others_for_ten_minutes(clock: Clock) -> None:
    objects = with_a_member()
    one, other = over(objects), over(objects)
    assert labels(other) == ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Changes, "note", killed)
        with pytest.raises(OSError, match="killed"):
            one.change(PEER.peer_id, None, ("first=1",), NOW)
    clock.now += MEMBER_KEPT_S
    assert labels(other) == ("first=1",)


def test_a_change_that_was_broken_off_recalls_what_it_took_when_it_is_repeated(clock: Clock) -> None:
    objects = with_a_member()
    one, other = over(objects), over(objects)
    one.change(PEER.peer_id, ("maps/*",), None, clock.time())
    for owner, step in ((Rights, "recall"), (Changes, "note")):
        clock.now += MEMBER_KEPT_S
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, step, killed)
            with pytest.raises(OSError, match="killed"):
                one.change(PEER.peer_id, ("maps/roads",), None, clock.time())
        one.change(PEER.peer_id, ("maps/roads",), None, clock.time())
        other._rights.known(max_age_s=0.0)
        assert other._rights.recalled_at(PEER.public) > clock.time()
        one.change(PEER.peer_id, ("maps/*",), None, clock.time())


def killed(*_: object) -> None:
    raise OSError("killed")
