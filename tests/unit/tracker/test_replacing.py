"""A stolen key is replaced: every record that lies in the store counts by its successor's seal, whatever its kind."""

from __future__ import annotations

import time

import pytest

import swarm.tracker.server
from swarm.errors import RemoteProtocolError
from swarm.identity import PeerKey
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker import custody, sealed
from swarm.tracker.keys import load_or_create
from swarm.tracker.members import Member
from swarm.tracker.orders import Purge, Quota
from swarm.tracker.replacing import planned, replace
from swarm.tracker.tokens import TokenRecord

WALL = time.time()
STORE_KEY, MEMBER = bytes(32), PeerKey(b"m" * 32)


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
    root = custody.root_here(objects, STORE_KEY)
    rosters = planned(objects, STORE_KEY, keys, int(WALL) + 1, 86_400)
    one, two = (custody.sealed_roster(root, roster) for roster in rosters)
    replace(objects, keys, (one, two), lambda: WALL + 1)
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
