"""A stolen key is replaced: every record that lies in the store counts by its successor's seal, whatever its kind."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pkgutil import walk_packages

import msgspec
import pytest

import swarm.tracker
from swarm.authority import Authority, Membership
from swarm.errors import IntegrityError, NotAllowedError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.messages import RenewRequest, renew_proof
from swarm.objects.memory import MemoryObjectStore
from swarm.records import Rule
from swarm.tracker import custody, sealed
from swarm.tracker.keys import SwarmKeys, load_or_create
from swarm.tracker.members import MEMBERS, Members
from swarm.tracker.membership import Member
from swarm.tracker.orders import Purge, Quota
from swarm.tracker.recalls import Recall, Recalls
from swarm.tracker.replacing import planned, replace
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import TokenRecord, Tokens
from swarm.trust import Trust

WALL = time.time()
STORE_KEY, MEMBER = bytes(32), PeerKey(b"m" * 32)


def replaced(objects: MemoryObjectStore, keys: SwarmKeys, meanwhile: Callable[[], object] = int) -> None:
    """By the root, which lies in the store still. ``meanwhile``: when both the new key and the old one count."""
    root = custody.root_here(objects, STORE_KEY)
    rosters = planned(objects, STORE_KEY, keys, int(WALL) + 1, 86_400)
    one, two = (custody.sealed_roster(root, roster) for roster in rosters)

    def wait() -> float:
        meanwhile()
        return WALL + 1

    replace(objects, keys, (one, two), wait)


def members_over(objects: MemoryObjectStore) -> Members:
    """As a tracker that has just started knows them."""
    keys = load_or_create(objects, STORE_KEY, WALL + 1)
    return Members(objects, keys, Tokens(objects, keys.authority), Rights(objects, keys.authority))


def asked_with(key: PeerKey, papers: Membership, members: Members) -> RenewRequest:
    proof = renew_proof(key, members._keys.authority.fingerprint, int(WALL))
    return RenewRequest((1, 9), key.public, int(WALL), proof, papers.credential, papers.grant)


def test_records_of_every_kind_are_sealed_anew_and_nothing_else_is_touched() -> None:
    objects = MemoryObjectStore()
    keys = load_or_create(objects, STORE_KEY, WALL)
    old = keys.authority.key
    records = {
        "swarm/members/m": Member(2, MEMBER.public, "peer", "", (), (), 0, int(WALL)),
        "swarm/tokens/t/token": TokenRecord(2, bytes(16), bytes(32), "peer", "", ("*",), 1, int(WALL), int(WALL) + 9),
        "quotas/maps/1": Quota(1, "maps", 1, 5, int(WALL)),
        "purges/maps/roads/v": Purge(1, "maps/roads", bytes(32), MEMBER.public, "", int(WALL)),
    }
    for key, record in records.items():
        objects.put(key, sealed.seal(old, record))
    others = {
        "swarm/tokens/t/spent/1": MEMBER.public,
        "swarm/members/forged": sealed.seal(MEMBER, records["swarm/members/m"]),
        "keep/garbage": b"\x92garbage",
    }
    for key, data in others.items():
        objects.put(key, data)
    replaced(objects, keys)
    trust = keys.authority.trust
    assert trust.stolen == {old.public}
    for key, record in records.items():
        assert sealed.opened(objects.get(key), type(record), authority=trust) == record  # type: ignore[type-var]
        with pytest.raises(RemoteProtocolError, match="stolen"):
            sealed.opened(sealed.seal(old, record), type(record), authority=trust)  # type: ignore[type-var]
    assert {key: objects.get(key) for key in others} == others


def test_all_kinds_that_anybody_seals_are_in_the_table() -> None:
    for module in walk_packages(swarm.tracker.__path__, "swarm.tracker."):
        import_module(module.name)
    import_module("swarm.retention")
    kinds, found = [msgspec.Struct], set[type]()
    while kinds:
        found.add(kind := kinds.pop())
        kinds += kind.__subclasses__()
    former = {"tracker-_member1", "tracker-_token1"}  # Sealed as what has followed them.
    sealed_here = {sealed.context_of(kind) for kind in found if hasattr(kind, "sealed_at")}
    assert sealed_here - former == sealed.CONTEXTS
    with pytest.raises(AssertionError, match="table"):
        sealed.seal(MEMBER, Recall(MEMBER.public, int(WALL), True))


def test_a_process_that_has_loaded_no_other_module_seals_every_kind_anew() -> None:
    old, new = PeerKey(b"o" * 32), PeerKey(b"n" * 32)
    script = """if True:
        import sys
        from swarm.identity import PeerKey
        from swarm.objects.memory import MemoryObjectStore
        from swarm.tracker.replacing import vouch
        objects = MemoryObjectStore()
        objects.put("quotas/maps/1", sys.stdin.buffer.read())
        vouch(objects, PeerKey(b"n" * 32), {PeerKey(b"o" * 32).public}, "quotas/maps/1")
        sys.stdout.buffer.write(objects.get("quotas/maps/1"))"""
    quota = Quota(1, "maps", 1, 5, int(WALL))
    run = subprocess.run([sys.executable, "-c", script], input=sealed.seal(old, quota), capture_output=True, check=True)
    assert sealed.opened(run.stdout, Quota, authority=Trust(new.public)) == quota


def test_what_a_thief_told_of_recalled_grants_is_forgotten_and_what_trackers_wrote_is_not() -> None:
    objects = MemoryObjectStore()
    keys = load_or_create(objects, STORE_KEY, WALL)
    old, removed = keys.authority.key, PeerKey(b"r" * 32)
    rights = Rights(objects, keys.authority)
    rights.recall(removed.public, WALL, is_removed=True)
    forged = Recalls(1, 1000, 10**9, (Recall(MEMBER.public, int(WALL), True),), 0, int(WALL))
    rights.learn(sealed.seal(old, forged))
    rights.forget_unproved()
    assert rights.is_removed(MEMBER.public), "the key still counts"
    with pytest.raises(IntegrityError):
        rights.known()

    replaced(objects, keys)
    started = Rights(objects, keys.authority)
    rights.forget_unproved()
    for each in (rights, started):
        assert each.known().policy.serial == 0
        assert [each.is_removed(key.public) for key in (MEMBER, removed)] == [False, True]
    rights.recall(PeerKey(b"o" * 32).public, WALL)
    assert rights.recalls.serial == 2
    assert not rights.is_removed(MEMBER.public)


def test_papers_that_a_thief_made_are_no_membership_after_the_replacement_however_they_were_renewed() -> None:
    objects = MemoryObjectStore()
    members = members_over(objects)
    authority, thief, late, kept = members._keys.authority, PeerKey(b"t" * 32), PeerKey(b"l" * 32), PeerKey(b"k" * 32)
    stolen = Authority(authority.key, authority.certificate)
    made = stolen.admit(thief.public, "peer", "berlin", (Rule("read", "*"),), WALL)
    members.admit_keeper(kept.public, "seed", WALL)
    # It is taken for somebody who joined after the backup that the store was restored from.
    renewed, member = members.renew(asked_with(thief, made, members), WALL)
    assert member.is_by_papers
    assert thief.peer_id in members.all_ids()
    began = members_over(objects)

    def meanwhile() -> None:
        """Trackers that were there before, and have heard of the new key or have not; and one that has just started."""
        for each in (members, began, members_over(objects)):
            for papers in (made, renewed):
                with pytest.raises(NotAllowedError, match="not a member"):
                    each.renew(asked_with(thief, papers, each), WALL + 1)

    replaced(objects, load_or_create(objects, STORE_KEY, WALL), meanwhile)
    # ``began`` has not heard of the replacement yet.
    assert stolen.public not in began._keys.authority.trust.stolen
    for each in (began, members, members_over(objects)):
        for papers in (made, renewed):
            with pytest.raises(NotAllowedError, match="not a member"):
                each.renew(asked_with(thief, papers, each), WALL + 1)
        assert each.member(thief.peer_id) is None
        assert [one.public for one in each.page("", 9)[0]] == [kept.public]

    # The way back of who was lost with a store goes on, by papers under the new key.
    new = members._keys.authority.admit(late.public, "peer", "", (Rule("read", "maps/*"),), WALL + 1)
    assert members.renew(asked_with(late, new, members), WALL + 1)[1].datasets == ("maps/*",)


def test_papers_alone_make_neither_a_tracker_nor_rights_by_the_site_and_are_no_record() -> None:
    objects = MemoryObjectStore()
    members, thief = members_over(objects), PeerKey(b"t" * 32)
    stolen = Authority(members._keys.authority.key, members._keys.authority.certificate)
    tracker = stolen.admit(thief.public, "tracker", "", (), WALL)
    with pytest.raises(NotAllowedError, match="not a member"):
        members.renew(asked_with(thief, tracker, members), WALL)
    peer = stolen.admit(thief.public, "peer", "berlin", (Rule("read", "*"),), WALL)
    _, member = members.renew(asked_with(thief, peer, members), WALL)
    assert (member.site, member.principal.labels) == ("berlin", ())
    # Nor is the one put into the place of the other.
    objects.put(MEMBERS + thief.peer_id, objects.get(f"swarm/learnt/members/{thief.peer_id}"))
    objects.delete(f"swarm/learnt/members/{thief.peer_id}")
    assert members_over(objects).member(thief.peer_id) is None


def test_who_was_known_by_its_papers_is_recorded_by_who_may_do_so() -> None:
    objects = MemoryObjectStore()
    members, peer, seed = members_over(objects), PeerKey(b"p" * 32), PeerKey(b"s" * 32)
    authority = members._keys.authority
    for key in (peer, seed):
        papers = authority.admit(key.public, "peer", "berlin", (Rule("read", "maps/*"),), WALL)
        members.renew(asked_with(key, papers, members), WALL)
    assert not members.change(peer.peer_id, None, ("floor=2",), WALL).is_by_papers
    members.admit_keeper(seed.public, "seed", WALL)
    replaced(objects, load_or_create(objects, STORE_KEY, WALL))
    found = {one.public: one for one in members_over(objects).page("", 9)[0]}
    assert {public: one.role for public, one in found.items()} == {peer.public: "peer", seed.public: "seed"}
    assert found[peer.public].principal.labels == ("site=berlin", "floor=2")
