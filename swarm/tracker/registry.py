"""Which trackers there are: each writes down where it is, and reads of the others.

    swarm/trackers/{peer id}     addresses and time, sealed by the CA; written again every minute, ignored after five

All trackers tell the same list in the same order, so that members come together at one of them while it lives.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from swarm.authority import Authority
from swarm.errors import IntegrityError, NotFoundError
from swarm.identity import peer_id_of
from swarm.limits import TRACKERS_MAX
from swarm.log import WallTime
from swarm.messages import Contact
from swarm.objects import ObjectStore
from swarm.records import Addresses, Key
from swarm.tracker import sealed

PREFIX: Final = "swarm/trackers/"
REFRESH_S: Final = 60.0
FRESH_S: Final = 300.0


class TrackerRecord(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One tracker, as of ``wall_time``."""

    format: Literal[1]
    public: Key
    addresses: Addresses
    wall_time: WallTime


def write(objects: ObjectStore, authority: Authority, contact: Contact, wall_now: float) -> None:
    """Say that this tracker is there."""
    record = TrackerRecord(1, contact.public, contact.addresses, int(wall_now))
    objects.put(PREFIX + contact.peer_id, sealed.seal(authority.key, record))


def withdraw(objects: ObjectStore, contact: Contact) -> None:
    """Say that this tracker stops."""
    objects.delete(PREFIX + contact.peer_id)


def read(objects: ObjectStore, authority: Authority, wall_now: float) -> tuple[Contact, ...]:
    """The trackers heard of lately, in the order of their ids. What is damaged or half gone is passed over."""
    found: list[Contact] = []
    for key in objects.list(PREFIX, limit=4 * TRACKERS_MAX):
        try:
            record = sealed.unseal(objects.get(key), TrackerRecord, authority=authority.trust, key=key)
        except (NotFoundError, IntegrityError):
            continue
        is_fresh = abs(record.wall_time - wall_now) <= FRESH_S
        if is_fresh and key == PREFIX + peer_id_of(record.public):
            found.append(Contact(record.public, record.addresses))
    return tuple(found[:TRACKERS_MAX])
