"""One upload session: whose it is, what it has brought, and what that counts for."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field

from seed.claim import LEASE_S, Claim
from seed.shelf import Shelf
from swarm.errors import AetherError
from swarm.objects.meter import Account

log = logging.getLogger("aetherfs.seed")


@dataclass(slots=True)
class Session:
    """A publish in flight. ``shelf`` has what this publisher brought for this dataset, now or before; ``proved`` are
    blocks that it brought and that lie in packs already.
    """

    id: str
    dataset: str
    publisher: bytes
    shelf: Shelf
    claim: Claim
    last_used: float
    proved: set[bytes] = field(default_factory=set)
    # What it asks of the object store.
    account: Account = field(default_factory=Account)
    # Encoded bytes that the scope's quota leaves room for, and that were brought: in sum, and of each block.
    room_bytes: int | None = None
    brought_bytes: int = 0
    counted: dict[bytes, int] = field(default_factory=dict)

    def count(self, signature: bytes, size_bytes: int) -> None:
        """Take note of a block that is new here. One that is sent again, or by two requests at once, counts once."""
        before = self.counted.get(signature, 0)
        self.counted[signature] = max(before, size_bytes)
        self.brought_bytes += self.counted[signature] - before


async def keep_alive(session: Session) -> None:
    """Keep a session and its lease while a directory is read, however long that takes."""
    while True:
        await asyncio.sleep(LEASE_S / 4)
        session.last_used = time.monotonic()
        try:
            await session.claim.renew()
        except AetherError as error:
            log.warning("the claim of a publish to %s is not renewed yet: %s", session.dataset, error)
