"""The claim of one publish on what it writes and on what it rests on, in the object store.

While it goes on a lease covers all versions of its dataset, which it most likely reuses, and the packs that it writes,
whose ids begin as its own. Before the seed gives its word a claim names the version, and then is looked, in that
order, whether all that the version rests on stays; what does not is laid into packs anew. That claim stays until the
log names the version, or as long as a receipt is good.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from seed import settle
from seed.backfill import PackStore
from swarm import claims
from swarm.claims import SESSION_CHARS
from swarm.errors import IncompleteError
from swarm.limits import CLOCK_SKEW_S, RECEIPT_LIFETIME_S
from swarm.tracker.revivals import check_not_purged

LEASE_S: Final = 7200
# Looks that find something condemned again, which takes another gc each time.
LOOKS_MAX: Final = 8

Lay = Callable[[Sequence[bytes]], Awaitable[None]]


class Claim:
    """Of one session. ``writer`` is what the ids of the packs begin with that it writes."""

    def __init__(self, packs: PackStore, dataset: str, writer: str) -> None:
        self._packs = packs
        self._dataset = dataset
        self._lease, self._word = (writer + secrets.token_hex(16 - SESSION_CHARS // 2) for _ in range(2))
        self._renew_at = 0.0

    async def renew(self) -> None:
        """Write the lease, if half of its time is over."""
        if time.monotonic() >= self._renew_at:
            # At once, so that others who bring at the same time do not write it too.
            before, self._renew_at = self._renew_at, time.monotonic() + LEASE_S / 2
            expires = time.time() + LEASE_S
            try:
                await asyncio.to_thread(claims.claim, self._packs.objects, self._lease, self._dataset, b"", expires)
            except BaseException:
                self._renew_at = before  # It is still due.
                raise

    async def settle(self, version: bytes, blocks: Sequence[bytes], lay: Lay) -> None:
        """Return once the version stands, and stays.

        ``lay`` brings blocks into new packs, and writes an index of the version with them; what it raises, as when a
        block is nowhere any more, ends it. NotAllowedError for a version that was purged, IncompleteError when others
        remove what it lays, again and again.
        """
        objects, known = self._packs.objects, self._packs.known
        for _ in range(LOOKS_MAX):
            expires = time.time() + RECEIPT_LIFETIME_S + CLOCK_SKEW_S
            await asyncio.to_thread(claims.claim, objects, self._word, self._dataset, version, expires)
            await asyncio.to_thread(check_not_purged, objects, (self._dataset, version))
            standing = await asyncio.to_thread(settle.look, objects)
            await self._packs.refresh()
            homeless = await asyncio.to_thread(standing.homeless, known, blocks)
            if not homeless and standing.names(known, (self._dataset, version)):
                await asyncio.to_thread(settle.back_again, objects, (self._dataset, version))
                return
            await lay(homeless)
        raise IncompleteError("gc removes what this publish rests on, again and again: publish again later")

    async def end(self) -> None:
        """Nothing more is written. What was settled stays claimed."""
        await asyncio.to_thread(claims.withdraw, self._packs.objects, self._lease)

    async def done(self) -> None:
        """The log names what was settled."""
        await asyncio.to_thread(claims.withdraw, self._packs.objects, self._word)


@dataclass(frozen=True, slots=True)
class Settled:
    """A session that has ended, whose claim stands until the log names what it kept."""

    id: str
    dataset: str
    publisher: bytes
    claim: Claim
