"""Making an old version live again: a tag, a rollback or a pin. The claim first, then the look, then the deed.

``gc`` condemns and then reads all claims, so whoever comes second sees the other: either this is refused, or the
version is kept. Blocking.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from swarm import claims
from swarm.claims import Version
from swarm.errors import AetherError, ConflictError, NotAllowedError
from swarm.objects import ObjectStore
from swarm.tracker.orders import is_purged

# Longer than a tracker that still runs takes for a write to the store, whatever the network does.
CLAIM_S: Final = 3600


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


def check_not_purged(objects: ObjectStore, version: Version) -> None:
    """NotAllowedError for a version that has to go, for good."""
    if is_purged(objects, version):
        raise NotAllowedError(
            f"version {version[1].hex()[:16]} of {version[0]} was purged by order: it cannot come back; "
            f"see `aetherfs purge --status {version[0]}@{version[1].hex()}`"
        )
