"""The swarm's root in the object store: made with the swarm, and there until it is taken offline.

    swarm/root                    the root: its public key, and its private one until it is taken away; sealed with the
                                  store key
    swarm/roster/{version:08}     a roster, sealed by the root (``swarm.roster``); the highest version counts
    swarm/online/{peer id}        the private part of an online key, sealed with the store key

While the root is here, trackers appoint the next online key by themselves. Afterwards only whoever has the root's file
does: for a term, or at once when a key was stolen. What a copy of the store or an older version of an object holds, no
command takes away: they are sealed with the store key, so whoever takes the root offline changes that or removes them.
"""

from __future__ import annotations

import os
from typing import Annotated, Final, Literal

import msgspec

from swarm import authority, canonical
from swarm.errors import ConflictError, FullError, NotAllowedError, NotFoundError
from swarm.identity import PeerKey, peer_id_of
from swarm.limits import CERTIFICATE_LIFETIME_S, ONLINE_TERM_S, RECORD_MAX_BYTES, ROSTER_MAX_BYTES
from swarm.objects import ObjectStore
from swarm.roster import Key, OnlineKey, Roster, appointed, open_roster, seal_roster
from swarm.tracker.boxes import close_box, open_box

ROOT_KEY: Final = "swarm/root"
ROSTERS: Final = "swarm/roster/"
ONLINE: Final = "swarm/online/"


class KeptRoot(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The root as it lies in the store, inside its seal. ``seed`` is empty once it is offline."""

    format: Literal[1]
    public: Key
    seed: Annotated[bytes, msgspec.Meta(max_length=32)]


class KeptOnline(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An online key as it lies in the store, inside its seal."""

    format: Literal[1]
    seed: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


def make_root(objects: ObjectStore, store_key: bytes) -> None:
    """Give the swarm that is about to be made a root, unless it has one."""
    if not has_root(objects):
        key = PeerKey(os.urandom(32))
        objects.put_if_absent(ROOT_KEY, close_box(store_key, ROOT_KEY, KeptRoot(1, key.public, key.seed)))


def has_root(objects: ObjectStore) -> bool:
    return ROOT_KEY in objects.list(ROOT_KEY, limit=1)


def kept_root(objects: ObjectStore, store_key: bytes) -> KeptRoot:
    """The root as it lies here. NotFoundError for a swarm without one."""
    try:
        data = open_box(objects, store_key, ROOT_KEY)
    except NotFoundError as error:
        raise NotFoundError("this swarm was made without a root: `aetherfs root create` gives it one") from error
    return canonical.decode(data, KeptRoot, limit_bytes=RECORD_MAX_BYTES)


def create_root(objects: ObjectStore, store_key: bytes, ca: authority.Authority, wall_now: float) -> None:
    """Put the CA's keys of a swarm that has no root under one."""
    make_root(objects, store_key)
    root = root_here(objects, store_key)
    objects.put_if_absent(roster_key(2), adopting_roster(root, ca, wall_now))


def root_here(objects: ObjectStore, store_key: bytes) -> PeerKey:
    """The root's private key. NotAllowedError once it is offline."""
    kept = kept_root(objects, store_key)
    if not kept.seed:
        raise NotAllowedError(
            "the swarm's root is offline: use its file, with `aetherfs root sign FILE` or `aetherfs root replace FILE`"
        )
    return PeerKey(kept.seed)


def take_away(objects: ObjectStore, store_key: bytes) -> None:
    """Leave nothing of the root here but its public key."""
    kept = kept_root(objects, store_key)
    objects.put(ROOT_KEY, close_box(store_key, ROOT_KEY, KeptRoot(1, kept.public, b"")))


def first_roster(root: PeerKey, ca: authority.Authority, wall_now: float) -> bytes:
    """The roster of a swarm that is new: its one CA key, from ever; with that key's seal beside the root's."""
    until = int(wall_now) + ONLINE_TERM_S
    key = OnlineKey(ca.public, ca.certificate, 0, until, until + CERTIFICATE_LIFETIME_S, False)
    return seal_roster(root, appointed(None, [key], root.public, wall_now), ca.key)


def adopting_roster(root: PeerKey, ca: authority.Authority, wall_now: float) -> bytes:
    """The first roster of a swarm that had none: all keys that its CA has had, vouched for by the one in force."""
    until = int(wall_now) + ONLINE_TERM_S
    ends = [(a.until or until, a.retired or until + CERTIFICATE_LIFETIME_S) for a in ca.trust.anchors]
    keys = [
        OnlineKey(anchor.public, anchor.root, anchor.in_force, end, retired, False)
        for anchor, (end, retired) in zip(ca.trust.anchors, ends, strict=True)
    ]
    # Its version is the second, so that members hear of it.
    return seal_roster(root, Roster(1, root.public, 2, int(wall_now), tuple(keys)), ca.key)


def made_keys(
    objects: ObjectStore, store_key: bytes, wall_now: float, in_force: int, ends: int, retire_s: int
) -> list[OnlineKey]:
    """Keys that follow one another from ``in_force`` to ``ends``, each for a term; their seeds go to the store."""
    made: list[OnlineKey] = []
    while in_force < ends:
        key, until = PeerKey(os.urandom(32)), min(in_force + ONLINE_TERM_S, ends)
        name = ONLINE + key.peer_id
        objects.put(name, close_box(store_key, name, KeptOnline(1, key.seed)))
        certificate = authority.create(key, wall_now).certificate
        made.append(OnlineKey(key.public, certificate, in_force, until, until + retire_s, False))
        in_force = until
    return made


def online_key(objects: ObjectStore, store_key: bytes, public: bytes) -> PeerKey | None:
    """The private part of an online key, if it lies here."""
    name = ONLINE + peer_id_of(public)
    try:
        data = open_box(objects, store_key, name)
    except NotFoundError:
        return None
    return PeerKey(canonical.decode(data, KeptOnline, limit_bytes=RECORD_MAX_BYTES).seed)


def sealed_roster(root: PeerKey, roster: Roster) -> bytes:
    """The roster under the root's seal. FullError for one that is too long for members."""
    data = seal_roster(root, roster)
    if len(data) > ROSTER_MAX_BYTES:
        raise FullError("a roster has no room for so many keys: sign for a shorter time, or make a new swarm")
    return data


def write_roster(objects: ObjectStore, data: bytes) -> None:
    """Let everybody read the next roster. ConflictError when another was first. The same one again is no matter."""
    key = roster_key(open_roster(data).roster.version)
    if not objects.put_if_absent(key, data) and objects.get(key) != data:
        raise ConflictError("another tracker has appointed keys at the same time: look at it, then repeat")


def forget_others(objects: ObjectStore, roster: Roster) -> None:
    """Keep no private part of a key but of those that the roster lets seal."""
    usable = {ONLINE + peer_id_of(key.public) for key in roster.usable}
    for name in objects.list(ONLINE):
        if name not in usable:
            objects.delete(name)


def roster_key(version: int) -> str:
    """Where a roster lies."""
    return f"{ROSTERS}{version:08}"
