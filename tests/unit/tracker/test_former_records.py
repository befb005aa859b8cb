"""Memberships and tokens that a tracker wrote before there was a policy: they are what they were."""

from __future__ import annotations

from typing import Any

from swarm import canonical
from swarm.identity import PeerKey
from swarm.messages import TokenRequest
from swarm.objects.memory import MemoryObjectStore
from swarm.token import parse_token
from swarm.tracker.keys import load_or_create
from swarm.tracker.members import MEMBERS, Members
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import PREFIX, Tokens

NOW = 1_800_000_000
MEMBER, SEED = PeerKey(b"\1" * 32), PeerKey(b"\2" * 32)


def sealed(ca: PeerKey, context: str, record: tuple[Any, ...]) -> bytes:
    """As it was sealed then."""
    body = canonical.encode(record)
    return canonical.encode((body, ca.sign(context, body)))


def test_members_and_tokens_of_before_keep_their_rights() -> None:
    objects = MemoryObjectStore()
    keys = load_or_create(objects, bytes(32), NOW)
    ca, authority = keys.authority.key, keys.authority
    tokens = Tokens(objects, authority)
    members = Members(objects, keys, tokens, Rights(objects, authority))
    both = (("read", "maps/*"), ("publish", "maps/*"))
    for key, role, rules in ((MEMBER, "peer", both), (SEED, "seed", (("read", "*"),))):
        record = (1, key.public, role, "paris", rules, NOW, NOW)
        objects.put(MEMBERS + key.peer_id, sealed(ca, "tracker-member", record))
    member, seed = members.member(MEMBER.peer_id), members.member(SEED.peer_id)
    assert member is not None
    assert seed is not None
    assert (member.datasets, member.principal.labels) == (("maps/*",), ("site=paris",))
    assert seed.datasets == ()
    text, made = tokens.create(TokenRequest(labels=("kind=shop",)), ("127.0.0.1:1",), NOW)
    token = parse_token(text)
    former = (1, made.id, made.secret_hash, "peer", "", ("own/*",), 1, NOW, NOW + 60)
    objects.put(f"{PREFIX}{token.id.hex()}/token", sealed(ca, "tracker-tokenrecord", former))
    spent = tokens.spend(token.id, token.secret, MEMBER.public, NOW)
    assert (spent.datasets, spent.labels, spent.expires) == (("own/*",), (), NOW + 60)
