"""What people order and every tracker and seed obeys: keep rules, quotas and purges, sealed with the CA key.

    keep/{scope}/{name}/{serial:020}          the keep rule of a dataset; the one with the highest serial counts
    quotas/{scope}/{serial:020}               the quota of a scope
    purges/{scope}/{name}/{version}           a version that has to go everywhere, for good
    purged/{scope}/{name}/{version}/{peer}    a member that has said that it keeps nothing of it

A serial is written with put-if-absent, so two who change one rule at once do not lose each other's pins. Earlier ones
stay: they are the record of who ordered what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from swarm.authority import Authority
from swarm.claims import Version, keys_below
from swarm.errors import ConflictError, IntegrityError, RemoteProtocolError, UsageError
from swarm.limits import DATASET_MAX_BYTES, NAME_CHARS
from swarm.log import DatasetName, Serial, WallTime
from swarm.names import check_dataset
from swarm.objects import ObjectStore
from swarm.records import Key
from swarm.retention import KeepRule
from swarm.tracker import sealed
from swarm.trust import Trust

KEEP: Final = "keep/"
QUOTAS: Final = "quotas/"
PURGES: Final = "purges/"
PURGED: Final = "purged/"
ATTEMPTS: Final = 16


class Quota(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """How many bytes a scope's datasets may take in the object store; None: as many as there are."""

    format: Literal[1]
    scope: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS)]
    serial: Serial
    bytes: Annotated[int, msgspec.Meta(ge=0, le=DATASET_MAX_BYTES)] | None
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time


class Purge(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An order to remove a version everywhere: by whom, when and why."""

    format: Literal[1]
    dataset: DatasetName
    version: Key
    member: Key
    reason: Annotated[str, msgspec.Meta(max_length=256)]
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time


T = TypeVar("T", KeepRule, Quota)


def latest(objects: ObjectStore, prefix: str, kind: type[T], authority: Trust) -> dict[str, T]:
    """The record that counts for each name below ``prefix``, for ``""`` if that is a name itself. IntegrityError for
    one that no tracker wrote.
    """
    newest = {f"{key.rpartition('/')[0]}/": key for key in keys_below(objects, prefix)}
    return {
        name.removeprefix(prefix).rstrip("/"): sealed.unseal(objects.get(key), kind, authority=authority, key=key)
        for name, key in newest.items()
    }


def change(
    objects: ObjectStore,
    authority: Authority,
    prefix: str,
    name: str,
    kind: type[T],
    changed: Callable[[T | None, int], T],
) -> T:
    """Write the record of ``name`` that ``changed`` makes of the one that counts and the next serial; none where it
    says the same. The record that counts then.
    """
    for _ in range(ATTEMPTS):
        known = latest(objects, f"{prefix}{name}/", kind, authority.trust).get("")
        serial = (known.serial if known is not None else 0) + 1
        made = changed(known, serial)
        if known is not None and made == msgspec.structs.replace(known, serial=serial, wall_time=made.wall_time):
            return known
        if objects.put_if_absent(f"{prefix}{name}/{serial:020}", sealed.seal(authority.key, made)):
            return made
    raise ConflictError(f"others change {prefix}{name} all the time: repeat")


def keep_rules(objects: ObjectStore, authority: Trust) -> Mapping[str, KeepRule]:
    """The keep rule of every dataset that has one."""
    return latest(objects, KEEP, KeepRule, authority)


def quota(objects: ObjectStore, authority: Trust, scope: str) -> int | None:
    """The bytes that a scope may take, None for no limit."""
    found = latest(objects, f"{QUOTAS}{scope}/", Quota, authority).get("")
    return found.bytes if found is not None else None


def purge_key(version: Version) -> str:
    dataset, signature = version
    return f"{PURGES}{dataset}/{signature.hex()}"


def open_purge(data: bytes, authority: Trust) -> Purge:
    """The order, if a tracker sealed it, or RemoteProtocolError."""
    try:
        order = sealed.unseal(data, Purge, authority=authority, key="an order to purge")
        check_dataset(order.dataset)
    except (IntegrityError, UsageError) as error:
        raise RemoteProtocolError(f"an order to purge proves nothing: {error}") from error
    return order


def purge_orders(objects: ObjectStore) -> list[bytes]:
    """Every order to purge, as it was written."""
    return [objects.get(key) for key in keys_below(objects, PURGES)]


def purges(objects: ObjectStore, authority: Trust) -> dict[Version, Purge]:
    """Every order to purge. IntegrityError for one that no tracker wrote."""
    found = (open_purge(data, authority) for data in purge_orders(objects))
    return {(order.dataset, order.version): order for order in found}


def is_purged(objects: ObjectStore, version: Version) -> bool:
    """Whether somebody ordered that a version goes. For who has written its claim before."""
    return bool(objects.list(purge_key(version), limit=1))


def confirm(objects: ObjectStore, version: Version, peer_id: str) -> None:
    """A member keeps nothing of a version."""
    objects.put(f"{purge_key(version).replace(PURGES, PURGED, 1)}/{peer_id}", b"")


def confirmed(objects: ObjectStore, version: Version) -> list[str]:
    """The members that have confirmed: peer ids."""
    prefix = f"{purge_key(version).replace(PURGES, PURGED, 1)}/"
    return [key.removeprefix(prefix) for key in keys_below(objects, prefix)]
