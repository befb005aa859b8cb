"""Enrolment over the object store alone: a home with the swarm secret makes itself a member, with nobody to ask.

Several that start at once over an empty store make one swarm: its keys are written with put-if-absent.
"""

from __future__ import annotations

from swarm import canonical
from swarm.identity import PeerKey
from swarm.keyring import NO_KEYS
from swarm.limits import BOOTSTRAP_MAX
from swarm.messages import OUR_VERSIONS, Contact, JoinAnswer
from swarm.objects import ObjectStore
from swarm.records import Role
from swarm.tracker import registry
from swarm.tracker.keys import load_or_create
from swarm.tracker.members import Members
from swarm.tracker.rights import Rights
from swarm.tracker.tokens import Tokens
from swarm.trust import Trust


def enrol_by_store(
    objects: ObjectStore, store_key: bytes, key: PeerKey, role: Role, wall_now: float
) -> tuple[JoinAnswer, bool]:
    """What a tracker would answer a joiner with, and whether the swarm was made by this. Repeated, it gives fresh
    papers. NotAllowedError for another swarm's store key, and for a key that was removed.
    """
    keys = load_or_create(objects, store_key, wall_now)
    members = Members(objects, keys, Tokens(objects, keys.authority), Rights(objects, keys.authority))
    papers, member = members.admit_keeper(key.public, role, wall_now)
    listed = registry.read(objects, keys.authority.trust, wall_now)
    keyring = keys.keyring(wall_now)
    answer = JoinAnswer(
        protocol=OUR_VERSIONS[1],
        certificate=papers.certificate,
        ca=keys.authority.certificate,
        credential=papers.credential,
        grant=papers.grant,
        secret=keys.secret,
        bootstrap=peers_to_begin_from(objects, keys.authority.trust, listed, wall_now),
        trackers=tuple(each.listing.contact for each in listed),
        wall_time=int(wall_now),
        store_key=store_key if member.role == "tracker" else b"",
        keys=canonical.encode(keyring) if keyring != NO_KEYS else b"",
    )
    return answer, keys.is_new


def peers_to_begin_from(
    objects: ObjectStore, authority: Trust, listed: tuple[registry.Listed, ...], wall_now: float
) -> tuple[Contact, ...]:
    """The peers in trackers' processes, and those that trackers have written down."""
    nodes = [Contact(each.listing.public, each.listing.node) for each in listed if each.listing.node]
    met = registry.read_peers(objects, authority, wall_now)
    return tuple({contact.public: contact for contact in [*nodes, *met]}.values())[:BOOTSTRAP_MAX]
