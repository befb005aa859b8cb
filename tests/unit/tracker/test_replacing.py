"""A stolen key is replaced: every record that lies in the store counts by its successor's seal, whatever its kind."""

from __future__ import annotations

import time

import pytest

import swarm.tracker.server
from swarm.errors import IntegrityError, RemoteProtocolError
from swarm.identity import PeerKey
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker import custody, sealed
from swarm.tracker.keys import SwarmKeys, load_or_create
from swarm.tracker.members import Member
from swarm.tracker.orders import Purge, Quota
from swarm.tracker.recalls import Recall, Recalls
from swarm.tracker.replacing import planned, replace
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import TokenRecord

WALL = time.time()
STORE_KEY, MEMBER = bytes(32), PeerKey(b"m" * 32)


def replaced(objects: MemoryObjectStore, keys: SwarmKeys) -> None:
    """By the root, which lies in the store still."""
    root = custody.root_here(objects, STORE_KEY)
    rosters = planned(objects, STORE_KEY, keys, int(WALL) + 1, 86_400)
    one, two = (custody.sealed_roster(root, roster) for roster in rosters)
    replace(objects, keys, (one, two), lambda: WALL + 1)


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


def test_all_kinds_that_a_tracker_seals_are_known() -> None:
    assert swarm.tracker.server
    assert {"tracker-member", "tracker-tokenrecord", "tracker-keeprule", "tracker-quota", "tracker-purge"} <= set(
        sealed.contexts()
    )


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
