"""Grants that count no more before they expire, and members that were removed: one list, sealed by the CA.

    swarm/recalls/{serial:020}      written with put-if-absent; the highest serial counts
    swarm/learnt/recalls            the newest that a peer has told and the store had not

The second is apart because a thief of the online key can tell one: it counts by its own seal alone, and nobody vouches
for it when that key is replaced.

Peers check grants offline, so they have to hear of what was taken back: the list is passed on from peer to peer, and
trackers state its serial with every answer. It names keys and times and no datasets: nobody learns from it what others
may read. A grant states as ``issued`` when the policy was known that it follows; one that is older than its key's entry
is none. An entry goes when every paper that it concerns has expired.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from swarm.authority import Authority
from swarm.errors import ConflictError, NotFoundError, RemoteProtocolError
from swarm.limits import CERTIFICATE_LIFETIME_S, CLOCK_SKEW_S, PAGE_MAX, RECALLS_MAX, RECALLS_MAX_BYTES
from swarm.log import WallTime
from swarm.objects import ObjectStore
from swarm.records import Key
from swarm.tracker import sealed
from swarm.trust import Trust

PREFIX: Final = "swarm/recalls/"
LEARNT: Final = "swarm/learnt/recalls"
# By how much the clocks of trackers may differ: the grants of one that is ahead are dated forward.
SLACK_S: Final = 30
KEPT_S: Final = CERTIFICATE_LIFETIME_S + 2 * CLOCK_SKEW_S
LISTS_KEPT: Final = 4
ATTEMPTS: Final = 16


class Recall(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Grants of this key that are issued before ``since`` count no more; ``is_removed``: none does, nor its other
    papers.
    """

    public: Key
    since: WallTime
    is_removed: bool


class Recalls(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The list. ``policy``: the serial of the policy up to which it is complete. ``all_before``: grants of anybody that
    are issued before it count no more, for when too many would have to be named.
    """

    format: Literal[1]
    serial: Annotated[int, msgspec.Meta(ge=0)]
    policy: Annotated[int, msgspec.Meta(ge=0)]
    recalls: Annotated[tuple[Recall, ...], msgspec.Meta(max_length=RECALLS_MAX)]
    all_before: WallTime
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time


NONE: Final = Recalls(1, 0, 0, (), 0, 0)


def open_recalls(data: bytes, authority: Trust) -> Recalls:
    """The list, or RemoteProtocolError for bytes that no tracker sealed."""
    found = sealed.opened(data, Recalls, authority=authority, limit_bytes=RECALLS_MAX_BYTES)
    if len({recall.public for recall in found.recalls}) != len(found.recalls):
        raise RemoteProtocolError("a list of recalled grants names a key twice")
    return found


def extended(
    known: Recalls,
    policy: int,
    recalled: Iterable[bytes],
    removed: Iterable[bytes],
    wall_now: float,
    *,
    everything: bool = False,
) -> Recalls:
    """The next list: these keys added, or ``everything``; what has expired left out."""
    since = int(wall_now) + SLACK_S
    entries = {one.public: one for one in known.recalls if one.since + KEPT_S > wall_now}
    for public in recalled:
        if public not in entries or not entries[public].is_removed:
            entries[public] = Recall(public, since, False)
    entries |= {public: Recall(public, since, True) for public in removed}
    all_before = since if everything else known.all_before
    if len(entries) > RECALLS_MAX:
        all_before = since
        gone = sorted((one for one in entries.values() if one.is_removed), key=lambda one: one.since)
        entries = {one.public: one for one in gone[-RECALLS_MAX:]}
    return Recalls(1, known.serial + 1, policy, tuple(entries.values()), all_before, int(wall_now))


def read(objects: ObjectStore, authority: Trust, known: Recalls = NONE) -> tuple[Recalls, bytes]:
    """The list that counts and its bytes; ``known`` and nothing when there is no newer one."""
    newest, after = "", recalls_key(known.serial) if known.serial else ""
    while keys := objects.list(PREFIX, after=newest or after, limit=PAGE_MAX):
        newest = keys[-1]
    if not newest:
        return known, b""
    data = objects.get(newest)
    return sealed.unseal(data, Recalls, authority=authority, key=newest, limit_bytes=RECALLS_MAX_BYTES), data


def read_learnt(objects: ObjectStore, authority: Trust) -> tuple[Recalls, bytes]:
    """The list that a peer has told last and its bytes; ``NONE`` and nothing where there is none that counts."""
    try:
        data = objects.get(LEARNT)
        return open_recalls(data, authority), data
    except (NotFoundError, RemoteProtocolError):
        return NONE, b""


def write_learnt(objects: ObjectStore, data: bytes) -> None:
    """Keep a list that a peer has told, for trackers that start."""
    objects.put(LEARNT, data)


def recall(
    objects: ObjectStore,
    authority: Authority,
    known: Recalls,
    *,
    policy: int | None = None,
    recalled: Iterable[bytes] = (),
    removed: Iterable[bytes] = (),
    everything: bool = False,
    wall_now: float,
) -> tuple[Recalls, bytes]:
    """Add keys to the list: what counts then, and its bytes. ``policy``: it is complete up to this one then.

    ``known`` may be newer than what lies in the store, if that was restored from a backup.
    """
    recalled, removed = tuple(recalled), tuple(removed)
    for _ in range(ATTEMPTS):
        known, _ = read(objects, authority.trust, known)
        upto = known.policy if policy is None else policy
        made = extended(known, upto, recalled, removed, wall_now, everything=everything)
        data = sealed.seal(authority.key, made)
        if objects.put_if_absent(recalls_key(made.serial), data):
            _forget(objects, made.serial)
            return made, data
    raise ConflictError("others recall grants all the time: repeat")


def _forget(objects: ObjectStore, serial: int) -> None:
    """Remove lists that others have followed for long; a few stay for who is just reading."""
    if serial > LISTS_KEPT:
        try:
            objects.delete(recalls_key(serial - LISTS_KEPT))
        except NotFoundError:
            return


def recalls_key(serial: int) -> str:
    return f"{PREFIX}{serial:020}"
