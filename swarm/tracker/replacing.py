"""Replacing a stolen online key: what it sealed and lies in the object store is sealed by its successor too.

In this order, so that it may be broken off anywhere and repeated: a successor is appointed; all trackers come to know
of it until it is in force (``wait``); entries and records get its seal; the roster calls the former keys stolen;
what was sealed in between gets the seal as well. The store is the record: what only a thief has is vouched for by
nobody. Nor is a member who is known by its papers alone (``membership``): while this goes on papers make nobody a
member, so the new key seals none of a thief's. What a thief has got into the store through a tracker is there, under a
publisher of its own: look at ``entries_since`` and roll it back.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from swarm import canonical, log
from swarm.claims import keys_below
from swarm.errors import ConflictError, NotFoundError, RemoteProtocolError
from swarm.identity import PeerKey, is_signed, peer_id_of
from swarm.limits import CERTIFICATE_LIFETIME_S, MIB
from swarm.log import Entry
from swarm.objects import ObjectStore
from swarm.roster import Roster, open_roster, replacing
from swarm.tracker import custody, sealed
from swarm.tracker.entries import DATASETS
from swarm.tracker.keys import SwarmKeys
from swarm.tracker.members import LEARNT, REPLACING

# Where trackers keep records under the CA's seal; and what lies there besides. Listings and peers to begin from are
# written anew by themselves; pages of the audit name one another by their hash, so they stay as they are. What peers
# have told may be a thief's.
RECORDS: Final = ("swarm/", "keep/", "quotas/", "purges/")
NO_RECORDS: Final = (
    "swarm/online/",
    "swarm/roster/",
    "swarm/trackers/",
    "swarm/removed/",
    "swarm/changed/",
    "swarm/audit/",
    "swarm/learnt/",
    "swarm/certificates/",
    REPLACING,
)
RECORD_READ_MAX_BYTES: Final = 4 * MIB
THREADS: Final = 16


def planned(objects: ObjectStore, store_key: bytes, keys: SwarmKeys, begins: int, for_s: int) -> tuple[Roster, Roster]:
    """The rosters by which no key counts that is there now. New ones count from ``begins`` on, for ``for_s``."""
    ends = begins + for_s
    made = custody.made_keys(objects, store_key, begins, begins, ends, CERTIFICATE_LIFETIME_S)
    return replacing(roster_of(keys), made, begins)


def replace(objects: ObjectStore, keys: SwarmKeys, signed: tuple[bytes, bytes], wait: Callable[[], float]) -> Roster:
    """Carry out what was planned and sealed by the root. ``wait`` ends when all trackers know the new key and it is in
    force, and tells the time then. The roster that counts.
    """
    with_new, without_old = signed
    final = open_roster(without_old).roster
    stolen = {key.public for key in final.keys if key.stolen}
    mark = REPLACING + peer_id_of(final.keys[-1].public)
    objects.put(mark, b"")
    try:
        custody.write_roster(objects, with_new)
    except ConflictError:
        objects.delete(mark)
        raise
    wall_now = wait()
    keys.refresh(objects, wall_now)
    new = keys.authority.key
    _vouch_for_all(objects, new, stolen)
    custody.write_roster(objects, without_old)
    custody.forget_others(objects, final)
    _vouch_for_all(objects, new, stolen)
    # In this order: see ``Members``. A replacement that was broken off and planned anew has left a mark as well.
    for key in [*keys_below(objects, LEARNT), *keys_below(objects, REPLACING)]:
        objects.delete(key)
    keys.refresh(objects, wall_now)
    return roster_of(keys)


def entries_since(objects: ObjectStore, since: float) -> list[Entry]:
    """The entries of all logs that say to be no older, for somebody to look at."""
    found = [log.parse_entry(objects.get(key))[1] for key in keys_below(objects, DATASETS) if "/log/" in key]
    return [entry for entry in found if entry.wall_time >= since]


def vouch(objects: ObjectStore, new: PeerKey, stolen: set[bytes], key: str) -> None:
    """Give one object the new key's seal, if it bears only that of one that was stolen."""
    is_entry = key.startswith(DATASETS)
    try:
        data = objects.get(key)
        made = _vouched(data, new, stolen) if is_entry else _resealed(data, new, stolen)
    except (NotFoundError, RemoteProtocolError):
        return  # It has gone, or is nothing that trackers seal.
    if made is not None and objects.get(key) == data:
        objects.put(key, made)


def _vouched(data: bytes, new: PeerKey, stolen: set[bytes]) -> bytes | None:
    seals = {each.public for each in log.parse_entry(data)[0].endorsements[1:]}
    return log.vouch(new, data) if seals and seals <= stolen else None


def _resealed(data: bytes, new: PeerKey, stolen: set[bytes]) -> bytes | None:
    body, seal = canonical.decode(data, tuple[bytes, bytes], limit_bytes=RECORD_READ_MAX_BYTES, what="a record")
    for context in sorted(sealed.CONTEXTS):
        if any(is_signed(public, context, body, seal) for public in stolen):
            return canonical.encode((body, new.sign(context, body)))
    return None


def _vouch_for_all(objects: ObjectStore, new: PeerKey, stolen: set[bytes]) -> None:
    """Every entry and every record. What a tracker changes in the same moment it seals with the new key itself."""
    logs = (key for key in keys_below(objects, DATASETS) if "/log/" in key)
    records = (key for prefix in RECORDS for key in keys_below(objects, prefix) if not key.startswith(NO_RECORDS))
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda key: vouch(objects, new, stolen, key), [*logs, *records]):
            pass


def roster_of(keys: SwarmKeys) -> Roster:
    """The roster that counts. ConflictError in a swarm without a root."""
    roster = keys.authority.trust.roster
    if roster is None:
        raise ConflictError("this swarm was made without a root: `aetherfs root create` gives it one")
    return roster
