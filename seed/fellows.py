"""Other seeds of the swarm: each reads its own groups of blocks out of the store, and has those of others from them.

Whose a group is follows from rendezvous hashing among the seeds that the tracker tells of, as peers reckon it who ask
(``swarm.peer.shares``). Peers that wait long ask any seed, so seeds ask each other; who is asked by a seed asks nobody
further. A seed that does not answer is left alone for a while, and its groups are read by whoever is asked for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from swarm.encoding import Encoded, open_block
from swarm.errors import AetherError, RemoteProtocolError
from swarm.peer.shares import first_of
from swarm.peer.upload import SeedClient

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

# A seed that did not answer, or has not what is its own, is not asked for so long.
LEFT_ALONE_S: Final = 30.0
ANSWER_DEADLINE_S: Final = 10.0
# While the store is read it is asked so often which seeds there are: a rollout may begin when one has just come.
LOOK_EVERY_S: Final = 5.0
LOOK_DEADLINE_S: Final = 1.0

log = logging.getLogger("aetherfs.seed")

Wanted = tuple[str, bytes, bytes]


class Fellows:
    """The other seeds, as ``node`` knows them."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._left_alone: dict[str, float] = {}
        self._looking = asyncio.Lock()
        self._look_at = 0.0
        self._asked: dict[Wanted, asyncio.Task[Encoded | None]] = {}

    async def get(self, dataset: str, version: bytes, group: int, signature: bytes) -> Encoded | None:
        """A block of a group, verified, from the seed whose group it is. None if that is this one, or gives nothing."""
        await self._look()
        seed = self._whose(group)
        if seed is None:
            return None
        wanted = (dataset, version, signature)
        task = self._asked.get(wanted)
        if task is None:
            task = self._asked[wanted] = asyncio.create_task(self._ask(seed, *wanted))
            task.add_done_callback(lambda _: self._asked.pop(wanted))
        return await asyncio.shield(task)

    async def _look(self) -> None:
        async with self._looking:
            now = time.monotonic()
            if now < self._look_at:
                return
            self._look_at = now + LOOK_EVERY_S
            try:
                async with asyncio.timeout(LOOK_DEADLINE_S):
                    await self._node.announcer.beat()
            except (AetherError, asyncio.TimeoutError) as error:
                self._look_at = now + LEFT_ALONE_S
                log.info("no tracker says which seeds there are: %s", error)

    def _whose(self, group: int) -> str | None:
        own, now = self._node.key.peer_id, time.monotonic()
        others = [seed for seed in self._node.announcer.seeds if self._left_alone.get(seed, 0.0) <= now]
        seed = first_of([own, *others], group)
        return seed if seed != own else None

    async def _ask(self, seed: str, dataset: str, version: bytes, signature: bytes) -> Encoded | None:
        client = SeedClient(self._node.session, seed, self._node.papers.grant)
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                encoded = await client.block(dataset, version, signature, own=True)
            await asyncio.to_thread(open_block, encoded, signature)
        except (AetherError, asyncio.TimeoutError) as error:
            log.info("seed %s does not give block %s: %s", seed[:8], signature.hex()[:16], error)
            self._left_alone[seed] = time.monotonic() + LEFT_ALONE_S
            if isinstance(error, RemoteProtocolError):
                log.error("seed %s gave a wrong block", seed[:8])
            return None
        return encoded
