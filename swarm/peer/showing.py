"""What is shown of manifests over channels: a root or a segment, if it is short, while no stream is at hand.

A first read needs the root, then segments, then blocks, and a stream takes two round trips before it carries its first
word; the channel is open. Who shows asks what a run's server asks: the grant, the version's place in the dataset. Who
has a budget for what it gives shows nothing, as only streams keep to it. What comes is verified by who asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from swarm import clock
from swarm.encoding import Encoded
from swarm.errors import AetherError
from swarm.limits import SHOWN_MAX_BYTES
from swarm.peer.access import Access
from swarm.peer.channels import Channel
from swarm.peer.holdings import Holding, Holdings
from swarm.peer.serve import RunServer
from swarm.peer.wire import Show, Shown

# Who has not answered by then is asked by a stream, as who does not show.
ANSWER_S: Final = 1.5
SINCE: Final = 7

log = logging.getLogger("aetherfs.showing")


@dataclass(slots=True)
class _Awaited:
    """What somebody is asked for, and how many wait for it."""

    coming: asyncio.Future[Encoded]
    asking: int = 0


class Showing:
    """Both ends, of one peer."""

    def __init__(self, access: Access, holdings: Holdings, runs: RunServer) -> None:
        self._access = access
        self._holdings = holdings
        self._runs = runs
        self._awaited: dict[tuple[str, bytes], _Awaited] = {}

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def ask(
        self, channel: Channel, dataset: str, version: bytes, entry: bytes, signatures: Sequence[bytes]
    ) -> dict[bytes, Encoded]:
        """What the far end shows of these, by signature, encoded and not verified."""
        coming = {signature: self._await(channel.peer_id, signature) for signature in signatures}
        channel.send(Show(dataset, version, entry, tuple(signatures)))
        try:
            await asyncio.wait(coming.values(), timeout=ANSWER_S)
            done = {signature: future.result() for signature, future in coming.items() if future.done()}
            return {signature: encoded for signature, encoded in done.items() if encoded}
        finally:
            for signature, future in coming.items():
                self._waits_no_more(channel.peer_id, signature, future)

    def _await(self, peer: str, signature: bytes) -> asyncio.Future[Encoded]:
        """What comes, for all who wait for the same."""
        awaited = self._awaited.get((peer, signature))
        if awaited is None:
            awaited = self._awaited[peer, signature] = _Awaited(asyncio.get_running_loop().create_future())
        awaited.asking += 1
        return awaited.coming

    def _waits_no_more(self, peer: str, signature: bytes, coming: asyncio.Future[Encoded]) -> None:
        """The last that waited is gone: an answer is nothing to anybody."""
        awaited = self._awaited.get((peer, signature))
        if awaited is not None and awaited.coming is coming:
            awaited.asking -= 1
            if not awaited.asking:
                self._settle(peer, signature, b"")

    def came(self, channel: Channel, message: Shown) -> None:
        """An answer; one that nobody waits for any more is nothing."""
        self._settle(channel.peer_id, message.signature, message.encoded)

    def left(self, peer: str) -> None:
        """A channel is closed: nothing comes from there."""
        for other, signature in list(self._awaited):
            if other == peer:
                self._settle(peer, signature, b"")

    def _settle(self, peer: str, signature: bytes, encoded: Encoded) -> None:
        awaited = self._awaited.pop((peer, signature), None)
        if awaited is not None:
            awaited.coming.set_result(encoded)

    # ---- giving -----------------------------------------------------------------------------------------------------

    async def show(self, channel: Channel, message: Show) -> None:
        """Answer each signature, with nothing for what is not here, not short, or not for this peer."""
        holding = await self._holding(channel, message)
        for signature in message.signatures:
            encoded = holding.shown(signature, SHOWN_MAX_BYTES) if holding is not None else None
            channel.send(Shown(signature, bytes(encoded or b"")))
            self._runs.count_shown(channel.peer_id, len(encoded or b""))

    async def _holding(self, channel: Channel, message: Show) -> Holding | None:
        if not channel.shown.take(time.monotonic()) or not self._runs.shows(channel.peer_id):
            return None
        grant = channel.caller.grant
        if grant is None or grant.expires <= clock.wall_now() or not channel.caller.may_read(message.dataset):
            return None
        if not self._access.shows(message.dataset, message.version, message.entry):
            return None
        try:
            return await self._holdings.find(message.dataset, message.version)
        except AetherError as error:
            log.info("a version cannot be looked for now: %s", error)
            return None
