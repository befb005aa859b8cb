"""Members that papers alone show: looked up seldom, and at once where it is decided for long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarm.errors import NotAllowedError, NotFoundError
from swarm.identity import PeerKey
from swarm.objects.counted import CountedStore
from swarm.objects.memory import MemoryObjectStore
from swarm.tracker.keys import load_or_create
from swarm.tracker.members import PAPERS_CACHE_S, REPLACING, Members
from swarm.tracker.membership import BY_PAPERS, Member
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import Tokens

NOW = 1_800_000_000
MEMBER = Member(BY_PAPERS, PeerKey(b"\1" * 32).public, "peer", "paris", ("maps/*",), (), NOW, NOW)


def known() -> tuple[CountedStore, Members]:
    """The members of a tracker that has looked this one up."""
    objects = CountedStore(MemoryObjectStore())
    keys = load_or_create(objects, bytes(32), NOW)
    rights = Rights(objects, keys.authority)
    members = Members(objects, keys, Tokens(objects, keys.authority), rights)
    members._write(MEMBER)
    members._cached.clear()
    assert members.member(MEMBER.peer_id) == MEMBER
    return objects, members


def requests(objects: CountedStore) -> int:
    spent = objects.meter.spent
    return spent.get + spent.list + spent.put + spent.delete


def aged(members: Members, seconds: float) -> None:
    cached = members._cached[MEMBER.peer_id]
    members._cached[MEMBER.peer_id] = replace(cached, read_at=cached.read_at - seconds)


def test_who_is_known_by_papers_costs_no_request_a_call() -> None:
    objects, members = known()
    before = requests(objects)
    assert all(members.member(MEMBER.peer_id) == MEMBER for _ in range(50))
    assert requests(objects) == before
    aged(members, PAPERS_CACHE_S)
    assert members.member(MEMBER.peer_id) == MEMBER
    assert requests(objects) > before


def test_from_when_a_stolen_key_is_replaced_papers_get_nothing_that_lasts() -> None:
    objects, members = known()
    assert members.renew_known(MEMBER, NOW)
    objects.put(REPLACING + "key", b"")
    assert members.member(MEMBER.peer_id) == MEMBER, "for some seconds"
    with pytest.raises(NotAllowedError):
        members.renew_known(MEMBER, NOW)
    assert members.member(MEMBER.peer_id) is None, "what was looked up meanwhile counts"
    _, members = known()
    members._objects.put(REPLACING + "key", b"")
    with pytest.raises(NotFoundError):
        members.change(MEMBER.peer_id, ("other/*",), None, NOW)
