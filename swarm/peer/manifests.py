"""Fetching a manifest: the root by the version's signature, then the segments that are not here yet.

Segments are ordinary blocks and are kept in the node's block store, so that the next version fetches only those that
changed, and a pull that was killed does not fetch them again. Any neighbour that holds the version is asked; a bad
answer drops it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Mapping, Sequence

from swarm.encoding import encode_block, open_block
from swarm.errors import AetherError, IncompleteError, RemoteProtocolError
from swarm.limits import ROOT_MAX_BYTES, RUN_MAX_BLOCKS
from swarm.manifest import Manifest, assemble, parse_root
from swarm.peer.channels import Channel
from swarm.peer.download import Parts
from swarm.peer.trace import MANIFEST_BLOCK, Recorder
from swarm.peer.wire import BLOCK, RunRequest
from swarm.peer.wire import Holding as HoldingMessage
from swarm.store import Store

log = logging.getLogger("aetherfs.manifest")
_runs = itertools.count(1 << 62)


class ManifestFetch:
    """One manifest being fetched. A follower of its version until it is there."""

    def __init__(
        self, parts: Parts, store: Store, dataset: str, version: bytes, entry: bytes, trace: Recorder | None = None
    ) -> None:
        self.dataset = dataset
        self.version = version
        self.entry = entry
        self.wire_bytes = 0
        self._trace = trace or Recorder(time.monotonic(), 0.0)
        self._parts = parts
        self._store = store
        self._holders: dict[str, int] = {}
        self._changed = asyncio.Event()
        # The storing of what came, beside which it is used already.
        self._keeping: list[asyncio.Task[None]] = []

    def peer_holds(self, channel: Channel, message: HoldingMessage) -> None:
        self._holders[channel.peer_id] = message.origin
        self._trace.joined(channel.peer_id, message.origin, channel.near, time.monotonic())
        self._changed.set()

    def peer_has(self, channel: Channel, indices: tuple[int, ...]) -> None:
        """Blocks are the download's business."""

    def peer_ready(self, peer_id: str, run: int) -> None:
        """Nobody stands by for a manifest."""

    def peer_left(self, peer_id: str) -> None:
        self._holders.pop(peer_id, None)

    def waiting_for(self) -> str:
        """In words, what keeps it from being there."""
        if not self._holders:
            return "a neighbour that holds this version"
        return f"its manifest, asked of {len(self._holders)} neighbours"

    async def run(self, timeout_s: float) -> Manifest:
        """The manifest. IncompleteError when no neighbour gives it in time, RemoteProtocolError when it is a
        hostile one.
        """
        deadline = time.monotonic() + timeout_s
        self._parts.exchange.follow(self)
        try:
            root_bytes = (await self._blocks([self.version], deadline))[self.version]
            if len(root_bytes) > ROOT_MAX_BYTES:
                raise RemoteProtocolError(f"the manifest of {self.dataset} is longer than it may be")
            root = parse_root(root_bytes)
            signatures = list(dict.fromkeys(ref.signature for ref in root.segment_refs))
            segments = await self._blocks(signatures, deadline)
            manifest = await asyncio.to_thread(assemble, root_bytes, segments)
        finally:
            self._parts.exchange.unfollow(self)
            for result in await asyncio.gather(*self._keeping, return_exceptions=True):
                if isinstance(result, Exception):
                    log.info("a segment was not kept: %s", result)
        return manifest

    async def _blocks(self, signatures: Sequence[bytes], deadline: float) -> dict[bytes, bytes]:
        """Plain bytes of these blocks, from the store or from neighbours."""
        found = await asyncio.to_thread(self._kept, signatures)
        failures: dict[str, int] = {}
        while missing := [signature for signature in signatures if signature not in found]:
            # Those that others fetch from too come last, and those that failed after them.
            holders = sorted(self._holders, key=lambda peer: (failures.get(peer, 0), self._holders[peer]))
            if not holders:
                await self._wait(deadline)
                continue
            peer = holders[0]
            before = len(found)
            await self._ask(peer, missing[:RUN_MAX_BLOCKS], found)
            if len(found) == before:
                failures[peer] = failures.get(peer, 0) + 1
                if min(failures.get(other, 0) for other in self._holders or [peer]) > 0:
                    await self._wait(min(deadline, time.monotonic() + 0.5), final=deadline)
        return found

    async def _wait(self, until: float, final: float | None = None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._changed.wait()
        except asyncio.TimeoutError:
            if time.monotonic() >= (until if final is None else final):
                raise IncompleteError(
                    f"nobody who can be reached gives the manifest of {self.dataset}@{self.version.hex()[:12]}; "
                    "see `aetherfs status`, and repeat the command when a holder is up"
                ) from None

    async def _ask(self, peer: str, signatures: Sequence[bytes], found: dict[bytes, bytes]) -> None:
        request = RunRequest(1, next(_runs), self.dataset, self.version, self.entry, False, tuple(signatures))
        came: dict[bytes, bytes] = {}
        traced = self._trace.run(peer, time.monotonic())
        try:
            answers = iter(signatures)
            async for status, payload in self._parts.fetcher.run(peer, request):
                signature = next(answers)
                if status == BLOCK:
                    self.wire_bytes += len(payload)
                    now = time.monotonic()
                    traced.received(MANIFEST_BLOCK, len(payload), now, now, now)
                    found[signature] = came[signature] = bytes(open_block(payload, signature))
        except RemoteProtocolError as error:
            self._holders.pop(peer, None)
            self._parts.channels.ban(peer, str(error))
        except AetherError as error:
            log.info("the manifest did not come from %s: %s", peer[:8], error)
        finally:
            self._trace.ended(traced, time.monotonic(), "whole" if came else "broken")
        self._keeping.append(asyncio.create_task(asyncio.to_thread(self._keep, came)))

    def _kept(self, signatures: Sequence[bytes]) -> dict[bytes, bytes]:
        """Plain bytes of those that are here."""
        kept = ((signature, self._store.get(signature)) for signature in signatures)
        return {signature: bytes(open_block(encoded, signature)) for signature, encoded in kept if encoded is not None}

    def _keep(self, came: Mapping[bytes, bytes]) -> None:
        for signature, plain in came.items():
            self._store.put(signature, encode_block(plain))
