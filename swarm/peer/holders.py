"""Who holds a version, asked of everybody who may know: the tracker, neighbours, the DHT."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from swarm.dht.keys import version_key
from swarm.errors import AetherError
from swarm.peer.channels import Channel
from swarm.peer.wire import Holding as HoldingMessage

if TYPE_CHECKING:
    from swarm.messages import Neighbour
    from swarm.peer.node import PeerNode

# Neighbours answer within a round trip; those whom the tracker or the DHT has just named are dialled first.
ANSWERS_S: Final = 1.0
QUIET_S: Final = 0.3


@dataclass(slots=True)
class Said:
    """What a neighbour says that it has: a bit per unique block."""

    blocks: int
    origin: int
    near: bool


class Watching:
    """Learns what neighbours have of a version, while ``watching`` lasts. A follower, as a download is one."""

    def __init__(self, dataset: str, version: bytes, entry: bytes, blocks: int) -> None:
        self.dataset = dataset
        self.version = version
        self.entry = entry
        self.said: dict[str, Said] = {}
        self.changed = asyncio.Event()
        self._everything = (1 << blocks) - 1

    def peer_holds(self, channel: Channel, message: HoldingMessage) -> None:
        blocks = self._everything if message.complete else int.from_bytes(message.bits, "little") & self._everything
        self.said[channel.peer_id] = Said(blocks, message.origin, channel.near)
        self.changed.set()

    def peer_has(self, channel: Channel, indices: tuple[int, ...]) -> None:
        said = self.said.get(channel.peer_id)
        if said is not None:
            for index in indices:
                said.blocks |= 1 << index & self._everything
            self.changed.set()

    def peer_ready(self, peer_id: str, run: int) -> None:
        """Nothing is asked for."""

    def peer_left(self, peer_id: str) -> None:
        self.said.pop(peer_id, None)
        self.changed.set()

    def has_all(self, said: Said) -> bool:
        return said.blocks == self._everything

    def holders(self) -> set[str]:
        """The neighbours that hold all of it, seeds and the producer apart."""
        return {peer for peer, said in self.said.items() if not said.origin and self.has_all(said)}


@dataclass(slots=True)
class Holders:
    """What each of them answered. ``problems`` are of those who did not."""

    tracker: tuple[Neighbour, ...] | None = None
    dht: list[str] | None = None
    said: dict[str, Said] = field(default_factory=dict)
    asked: int = 0
    seeds: tuple[str, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)


async def holders_of(node: PeerNode, watching: Watching) -> Holders:
    """Ask all at once. Who does not answer within some seconds is left out, and named."""
    found = Holders()
    node.exchange.follow(watching)
    try:
        await asyncio.gather(_ask_tracker(node, watching, found), _ask_dht(node, watching, found))
        await asyncio.gather(*(_meet(node, seed) for seed in list(node.announcer.seeds)[:4]))
        await _settled(watching.changed)
    finally:
        node.exchange.unfollow(watching)
    found.said, found.asked = dict(watching.said), len(node.channels.open)
    found.seeds = tuple(node.announcer.seeds)
    return found


async def _settled(changed: asyncio.Event) -> None:
    """Until nothing new has come for a moment."""
    deadline = time.monotonic() + ANSWERS_S
    while (left_s := min(QUIET_S, deadline - time.monotonic())) > 0:
        changed.clear()
        try:
            async with asyncio.timeout(left_s):
                await changed.wait()
        except TimeoutError:
            return


async def _ask_tracker(node: PeerNode, watching: Watching, found: Holders) -> None:
    try:
        found.tracker = await node.announcer.handed_out(watching.dataset, watching.version)
    except AetherError as error:
        found.problems["tracker"] = str(error)


async def _ask_dht(node: PeerNode, watching: Watching, found: Holders) -> None:
    try:
        providers = await node.dht.find_providers(
            lambda secret: version_key(secret, watching.dataset, watching.version)
        )
    except AetherError as error:
        found.problems["dht"] = str(error)
        return
    for provider in providers:
        node.meeting.learn(provider.peer_id, provider.addresses, watching.version)
    found.dht = [provider.peer_id for provider in providers if provider.peer_id != node.key.peer_id]


async def _meet(node: PeerNode, peer: str) -> None:
    try:
        await node.channels.connect(peer)
    except AetherError:
        return  # then it says nothing, which is told
