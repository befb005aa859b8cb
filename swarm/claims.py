"""Claims on versions, and what says that one goes: the objects by which writers and ``gc`` see each other.

    uploads/{session}                     a lease: a claim on a version, or on all versions of a dataset
    gc/{id}                               packs and indexes that are condemned: from then on nothing may rest on them
    gone/{scope}/{name}/{version}         a version that was removed, or is about to be

Whoever makes something live that was not writes its claim first and then looks at what is condemned; ``gc`` condemns
first and then reads all claims. The store is strongly consistent, so whoever comes second sees the other. What is
condemned stays condemned: see ARCHITECTURE.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import IntegrityError, NotFoundError, RemoteProtocolError, UsageError
from swarm.limits import MIB, RECORD_MAX_BYTES
from swarm.log import DatasetName, WallTime
from swarm.names import check_dataset
from swarm.objects import PAGE_KEYS, ObjectStore
from swarm.records import Key
from swarm.signature import SIGNATURE_BYTES

LEASES: Final = "uploads/"
CONDEMNED: Final = "gc/"
GONE: Final = "gone/"
# A pack whose id begins with as many characters of a session's is being written by it.
SESSION_CHARS: Final = 16
CONDEMNED_MAX: Final = 4096
CONDEMNED_MAX_BYTES: Final = MIB

Version = tuple[str, bytes]
ObjectId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Lease(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A claim until ``expires`` (wall seconds). Without a version it is one on all versions of the dataset."""

    format: Literal[1]
    dataset: DatasetName
    version: Annotated[bytes, msgspec.Meta(max_length=SIGNATURE_BYTES)]
    expires: WallTime


class Condemned(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Packs and indexes (ids) that go, at the earliest a grace after ``wall_time``, and the versions they go for."""

    format: Literal[1]
    wall_time: WallTime
    packs: Annotated[tuple[ObjectId, ...], msgspec.Meta(max_length=CONDEMNED_MAX)]
    indexes: Annotated[tuple[ObjectId, ...], msgspec.Meta(max_length=CONDEMNED_MAX)]
    versions: Annotated[tuple[tuple[DatasetName, Key], ...], msgspec.Meta(max_length=CONDEMNED_MAX)]


def claim(objects: ObjectStore, session: str, dataset: str, version: bytes, expires: float) -> None:
    """Write or renew a lease."""
    objects.put(LEASES + session, canonical.encode(Lease(1, dataset, version, int(expires))))


def withdraw(objects: ObjectStore, session: str) -> None:
    """The lease is no longer needed."""
    objects.delete(LEASES + session)


def leases(objects: ObjectStore) -> dict[str, Lease]:
    """All leases by session. What is malformed is none: nobody rests on it."""
    found = {key.removeprefix(LEASES): _lease(objects, key) for key in keys_below(objects, LEASES)}
    return {session: lease for session, lease in found.items() if lease is not None}


def _lease(objects: ObjectStore, key: str) -> Lease | None:
    try:
        lease = canonical.decode(objects.get(key), Lease, limit_bytes=RECORD_MAX_BYTES)
        check_dataset(lease.dataset)
    except (NotFoundError, RemoteProtocolError, UsageError):
        return None
    return lease if len(lease.version) in (0, SIGNATURE_BYTES) else None


def condemn(objects: ObjectStore, record_id: str, record: Condemned) -> None:
    objects.put(CONDEMNED + record_id, canonical.encode(record))


def condemned(objects: ObjectStore) -> dict[str, Condemned]:
    """All records by id. IntegrityError for a damaged one: what it condemns may be half gone already."""
    found: dict[str, Condemned] = {}
    for key in keys_below(objects, CONDEMNED):
        try:
            found[key.removeprefix(CONDEMNED)] = canonical.decode(
                objects.get(key), Condemned, limit_bytes=CONDEMNED_MAX_BYTES
            )
        except NotFoundError:
            continue  # It was carried out since it was listed.
        except RemoteProtocolError as error:
            raise IntegrityError(f"{key} in the object store is damaged ({error}): restore it from a backup") from error
    return found


def gone_key(version: Version) -> str:
    """Where it stands that a version is gone."""
    dataset, signature = version
    return f"{GONE}{dataset}/{signature.hex()}"


def is_gone(objects: ObjectStore, version: Version) -> bool:
    """Whether a version was removed, or is about to be. For who has written its claim before."""
    try:
        objects.get(gone_key(version))
    except NotFoundError:
        return False
    return True


def keys_below(objects: ObjectStore, prefix: str) -> Iterator[str]:
    """Every key that begins with a prefix."""
    keys = objects.list(prefix, limit=PAGE_KEYS)
    yield from keys
    while len(keys) == PAGE_KEYS:
        keys = objects.list(prefix, after=keys[-1], limit=PAGE_KEYS)
        yield from keys
