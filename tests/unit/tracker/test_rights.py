"""The policy and the recalled grants in the object store, as trackers write and read them."""

from __future__ import annotations

import time

import pytest

from swarm import authority, canonical
from swarm.errors import IntegrityError, RemoteProtocolError, UnreachableError
from swarm.identity import PeerKey
from swarm.limits import RECALLS_MAX, RECALLS_MAX_BYTES
from swarm.objects.memory import MemoryObjectStore
from swarm.principal import Principal
from swarm.records import Rule
from swarm.tracker import recalls, sealed
from swarm.tracker.policies import PREFIX, policy_key
from swarm.tracker.policy import DEFAULT, Policy, PolicyRule, added, without
from swarm.tracker.recalls import KEPT_S, NONE, SLACK_S, Recall, extended, open_recalls
from swarm.tracker.rights import Rights
from tests.away import LeavingStore

NOW = 1_800_000_000.0
CA = authority.create(PeerKey(bytes(32)), NOW)
READ_ALL = PolicyRule("members", "read", "*")
PEERS = [PeerKey(bytes([number]) * 32) for number in (1, 2, 3)]


def members() -> list[tuple[bytes, Principal]]:
    """One whose token named maps/*, one of own/*, one of everything."""
    named = (("maps/*",), ("own/*",), ("*",))
    return [
        (key.public, Principal("peer", key.peer_id, role="peer", token=token))
        for key, token in zip(PEERS, named, strict=True)
    ]


def change(
    rights: Rights, allow: tuple[PolicyRule, ...] = (), remove: tuple[PolicyRule, ...] = (), wall_now: float = NOW
) -> int:
    """From how many it has taken something."""
    _, count = rights.change(
        lambda policy: (added(without(policy.rules, remove), allow), policy.grant_lifetime_s),
        by="user:alice",
        what="a test",
        members=members,
        wall_now=wall_now,
    )
    return count


def test_a_change_is_a_version_and_recalls_those_from_whom_it_takes_something() -> None:
    objects = MemoryObjectStore()
    rights, other = Rights(objects, CA), Rights(objects, CA)
    assert rights.known().policy == DEFAULT
    assert change(rights, allow=(READ_ALL,)) == 0
    assert change(rights, remove=(READ_ALL,)) == 2, "the third may read everything by its token"
    known = other.known(max_age_s=0.0).policy
    assert (known.serial, known.rules, known.by) == (2, DEFAULT.rules, "user:alice")
    assert [one.serial for one in other.policies.history(None, 10)] == [2, 1, 0]
    assert [one.serial for one in other.policies.history(2, 1)] == [1]
    assert {one.public for one in other.recalls.recalls} == {PEERS[0].public, PEERS[1].public}
    assert other.recalls.policy == 2
    # A grant that follows the new policy is dated so that it counts.
    public, who = members()[0]
    assert other.granted(public, who)[1] == max(one.since for one in other.recalls.recalls)


def test_nothing_is_written_for_a_change_that_changes_nothing() -> None:
    objects = MemoryObjectStore()
    rights = Rights(objects, CA)
    change(rights, allow=(DEFAULT.rules[0],))
    assert objects.list("swarm/") == []


def test_who_is_killed_between_policy_and_list_is_followed_by_another() -> None:
    objects = MemoryObjectStore()
    rights, other = Rights(objects, CA), Rights(objects, CA)
    change(rights, allow=(READ_ALL,))
    rights.policies.change(lambda policy: (DEFAULT.rules, 3600), "user:alice", "a test", NOW)
    assert other.needs_settling()
    assert other.settle(members, NOW) == 2
    assert not other.needs_settling()
    assert other.settle(members, NOW) == 0


def test_who_writes_to_the_store_without_the_cas_key_changes_no_right() -> None:
    objects = MemoryObjectStore()
    rights = Rights(objects, CA)
    change(rights, allow=(READ_ALL,))
    change(rights, remove=(READ_ALL,))
    forged = Policy(1, 3, (PolicyRule("anyone", "admin", "*"),), 3600, "user:mallory", "", int(NOW))
    objects.put(policy_key(3), sealed.seal(PeerKey(b"\7" * 32), forged))
    for reader in (rights, Rights(objects, CA)):
        with pytest.raises(IntegrityError, match="damaged"):
            reader.policies.current(max_age_s=0.0)
    objects.delete(policy_key(3))
    # An earlier version, sealed well, in the place of a later one.
    newest = objects.get(policy_key(2))
    objects.put(policy_key(2), objects.get(policy_key(1)))
    with pytest.raises(IntegrityError, match="another version"):
        Rights(objects, CA).known()
    # The later one taken away, so that the earlier one would count again.
    objects.delete(policy_key(2))
    with pytest.raises(IntegrityError, match="there was a version 2"):
        Rights(objects, CA).known()
    objects.delete(policy_key(1))
    objects.put(policy_key(2), newest)
    with pytest.raises(IntegrityError, match="are missing"):
        Rights(objects, CA).known()


def test_what_an_admin_lets_count_after_a_loss_recalls_everything_before_it() -> None:
    objects = MemoryObjectStore()
    rights = Rights(objects, CA)
    change(rights, allow=(READ_ALL,))
    change(rights, remove=(READ_ALL,))
    objects.delete(policy_key(2))
    after = Rights(objects, CA)
    change(after, remove=(READ_ALL,), wall_now=NOW + 60)
    assert after.known(max_age_s=0.0).policy.rules == DEFAULT.rules
    assert after.recalls.all_before == int(NOW) + 60 + SLACK_S


def test_a_change_that_no_grant_could_hold_is_refused_whole() -> None:
    objects = MemoryObjectStore()
    with pytest.raises(Exception, match="a grant holds 64"):
        change(Rights(objects, CA), allow=tuple(PolicyRule("members", "read", f"s{number}/x") for number in range(65)))
    assert objects.list(PREFIX) == []


def test_a_list_keeps_what_may_still_count_and_forgets_the_rest() -> None:
    one, two, three = (key.public for key in PEERS)
    first = extended(NONE, 1, [one], [two], NOW)
    assert first.recalls == (Recall(one, int(NOW) + SLACK_S, False), Recall(two, int(NOW) + SLACK_S, True))
    second = extended(first, 1, [two, three], [], NOW + KEPT_S - 10)
    assert {recall.public: recall.is_removed for recall in second.recalls} == {one: False, two: True, three: False}
    later = extended(second, 1, [], [], NOW + KEPT_S + SLACK_S + 1)
    assert [recall.public for recall in later.recalls] == [three]


def test_of_too_many_to_be_named_all_are_meant() -> None:
    many = [number.to_bytes(32, "big") for number in range(RECALLS_MAX)]
    full = extended(NONE, 1, many, [], NOW)
    assert (len(full.recalls), full.all_before) == (RECALLS_MAX, 0)
    over = extended(full, 1, [], [b"x" * 32], NOW)
    assert over.recalls == (Recall(b"x" * 32, int(NOW) + SLACK_S, True),)
    assert over.all_before == int(NOW) + SLACK_S
    assert len(canonical.encode(full)) < RECALLS_MAX_BYTES


def test_a_list_that_no_tracker_sealed_or_that_contradicts_itself_is_refused() -> None:
    twice = recalls.Recalls(1, 1, 0, (Recall(bytes(32), 1, False), Recall(bytes(32), 1, True)), 0, int(NOW))
    for data in (sealed.seal(PeerKey(b"\7" * 32), NONE), sealed.seal(CA.key, twice), b"", b"garbage"):
        with pytest.raises(RemoteProtocolError):
            open_recalls(data, CA.trust)


def test_a_list_that_a_peer_has_told_is_known_after_a_restart_too() -> None:
    """Until a tracker writes one that follows it, it is nowhere else in a store that was restored."""
    before, objects = Rights(MemoryObjectStore(), CA), LeavingStore()
    removed, other = PEERS[0].public, PEERS[1].public
    before.recall(removed, NOW, is_removed=True)
    before.recall(other, NOW)
    rights = Rights(objects, CA)
    rights.learn(before.recalls_data)
    again = Rights(objects, CA)
    again.known()
    assert again.recalls == rights.recalls == before.recalls
    again.recall(PEERS[2].public, NOW)
    third = Rights(objects, CA)
    third.known()
    assert (third.recalls.serial, len(third.recalls.recalls)) == (3, 3)
    third.learn(before.recalls_data)
    assert third.recalls.serial == 3, "an older one is nothing new"

    objects.is_away = True
    before.recall(bytes(32), NOW)
    before.recall(bytes([1]) * 32, NOW)
    again.learn(before.recalls_data)
    assert again.recalls == before.recalls, "it counts while the store is away"


def test_a_list_that_was_learnt_and_lies_damaged_in_the_store_is_none() -> None:
    objects = MemoryObjectStore()
    objects.put(recalls.LEARNT, b"garbage")
    assert Rights(objects, CA).known().policy == DEFAULT


def test_grants_outlive_an_outage_by_as_long_as_the_policy_says_and_no_longer() -> None:
    """While the store is away, what another tracker takes away is not heard of here: so no grant is dated later."""
    objects = LeavingStore()
    rights = Rights(objects, CA)
    public, who = members()[0]
    rights.policies.change(lambda policy: (policy.rules, 3600), "user:alice", "a test", NOW)
    rights.known(max_age_s=0.0)
    rules, issued, lifetime_s = rights.granted(public, who)
    assert lifetime_s == 3600
    assert rules == (Rule("read", "maps/*"), Rule("publish", "maps/*"))
    objects.is_away = True
    rights._read_at = rights.policies._read_at = time.monotonic() - 1000
    assert rights.granted(public, who) == (rules, issued, lifetime_s)
    assert objects.asked >= 2
    with pytest.raises(UnreachableError):
        Rights(objects, CA).known()


def test_a_grant_of_the_very_second_of_a_change_is_one_of_before_it() -> None:
    rights = Rights(MemoryObjectStore(), CA)
    public, who = members()[2]
    change(rights, allow=(READ_ALL,))
    assert rights.not_before(rights.known().policy, public, 0) == int(NOW) + 1
    assert rights.granted(public, who)[1] == int(NOW) + 1
