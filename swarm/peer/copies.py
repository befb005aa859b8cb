"""Waiting until so many other peers hold a version that was published here. Seeds keep it anyway, and do not count."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from swarm.errors import AetherError
from swarm.identity import peer_id_of
from swarm.peer.holders import Watching
from swarm.peer.pull import Progress

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

# Neighbours tell by themselves; the tracker is asked about others.
ASK_EVERY_S: Final = 2.0
WITHIN_S: Final = 600
# Neighbours and those whom a tracker hands out: more can not be counted from here.
COPIES_MAX: Final = 30


async def wait_for_copies(
    node: PeerNode, dataset: str, version: bytes, entry: bytes, copies: int, within_s: float, progress: Progress
) -> int:
    """How many hold all of it, once these are enough or the time is over."""
    holding = node.holdings.get(dataset, version)
    watching = Watching(dataset, version, entry, len(holding.manifest.unique) if holding is not None else 0)
    named: set[str] = set()
    deadline = time.monotonic() + within_s
    node.exchange.follow(watching)
    try:
        while True:
            named |= await _named(node, dataset, version)
            found = len(named | watching.holders())
            progress({"event": "progress", "phase": "copies", "waiting_for": f"{copies} copies: there are {found}"})
            left_s = deadline - time.monotonic()
            if found >= copies or left_s <= 0:
                return found
            watching.changed.clear()
            try:
                async with asyncio.timeout(min(ASK_EVERY_S, left_s)):
                    await watching.changed.wait()
            except TimeoutError:
                continue
    finally:
        node.exchange.unfollow(watching)


async def _named(node: PeerNode, dataset: str, version: bytes) -> set[str]:
    try:
        handed_out = await node.announcer.handed_out(dataset, version)
    except AetherError:
        return set()  # it is asked again, and neighbours tell meanwhile
    return {peer_id_of(n.public) for n in handed_out if n.complete and not n.origin} - {node.key.peer_id}
