"""Making an old version live again: a tag, a rollback or a pin. The claim first, then the look, then the deed.

``gc`` condemns and then reads all claims, so whoever comes second sees the other: either this is refused, or the
version is kept. Blocking.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from swarm import claims
from swarm.claims import Version
from swarm.errors import AetherError, ConflictError, PurgedError, UnreachableError
from swarm.limits import CLOCK_SKEW_S
from swarm.objects import ObjectStore
from swarm.tracker.orders import PURGES, is_purged, purge_key

# Longer than a tracker that still runs takes for a write to the store, whatever the network does.
CLAIM_S: Final = 3600
# So late a tag says that it points to what another tracker was told to purge. Peers hear of it at once.
LOOK_S: Final = 10.0


@contextmanager
def claimed(objects: ObjectStore, versions: Iterable[Version], wall_now: float) -> Iterator[None]:
    """Hold claims on versions meanwhile. ConflictError for one that was removed, or is about to be."""
    held: list[str] = []
    try:
        for version in versions:
            held.append(secrets.token_hex(16))
            claims.claim(objects, held[-1], *version, wall_now + CLAIM_S)
            check_not_purged(objects, version)
            if claims.is_gone(objects, version):
                dataset, signature = version
                raise ConflictError(
                    f"version {signature.hex()[:16]} of {dataset} is removed, as its keep rule does not cover it: "
                    "publish it again, or choose a later one of `aetherfs history`"
                )
        yield
    finally:
        for session in held:
            # One that stays expires.
            with suppress(AetherError):
                claims.withdraw(objects, session)


class KnownPurges:
    """What was ordered to go, as of LOOK_S ago at most: for lookups of tags, which must not cost a request each."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._keys: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def add(self, version: Version) -> None:
        """It was ordered here."""
        self._keys |= {purge_key(version)}

    def check(self, version: Version) -> None:
        """As ``check_not_purged``. While the store is away, by what is known."""
        now = time.monotonic()
        if now > self._read_at + LOOK_S:
            self._read_at = now
            with suppress(UnreachableError):
                self._keys = frozenset(claims.keys_below(self._objects, PURGES))
        if purge_key(version) in self._keys:
            raise purged(version)


def claimed_until(objects: ObjectStore, version: Version, wall_now: float) -> int | None:
    """Until when somebody may still make a version live who looked before it was ordered to go; None if nobody.

    For who has written the order.
    """
    found = claims.leases(objects).values()
    naming = [lease.expires for lease in found if (lease.dataset, lease.version) == version]
    return max((expires for expires in naming if expires + CLOCK_SKEW_S > wall_now), default=None)


def check_not_purged(objects: ObjectStore, version: Version) -> None:
    """PurgedError for a version that has to go, for good."""
    if is_purged(objects, version):
        raise purged(version)


def purged(version: Version) -> PurgedError:
    """What is said of a version that was purged to who would bring it back."""
    dataset, signature = version
    return PurgedError(
        f"version {signature.hex()[:16]} of {dataset} was purged by order: it cannot come back; "
        f"see `aetherfs purge --status {dataset}@{signature.hex()}`"
    )
