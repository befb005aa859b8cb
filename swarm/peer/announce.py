"""Heartbeats: to the tracker, what this peer holds and where; to the DHT, the same as records; and papers kept fresh.

A tracker that does not answer costs nothing but its help: the beat goes on, and other trackers are looked for in the
DHT.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from swarm import messages
from swarm.errors import AetherError, NotAllowedError
from swarm.home import SwarmState
from swarm.limits import ANNOUNCE_INTERVAL_S, ANNOUNCE_MAX_VERSIONS, BOOTSTRAP_MAX
from swarm.messages import Announce, AnnounceAnswer, Contact, Neighbour
from swarm.peer.lacking import give_back
from swarm.peer.mesh import FETCHING
from swarm.peer.rotation import Rotation
from swarm.peer.wire import NOT_ORIGIN
from swarm.records import Credential, Grant, open_sealed

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

RETRY_S: Final = 5.0
RECORDS_INTERVAL_S: Final = 600.0
LEAVE_DEADLINE_S: Final = 1.0
HEADS_COMPARED: Final = 32

log = logging.getLogger("aetherfs.announce")


class Announcer:
    """The heartbeat of one node."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._interval_s = float(ANNOUNCE_INTERVAL_S)
        self._handed_out: dict[tuple[str, bytes], tuple[Neighbour, ...]] = {}
        self._wanted: dict[tuple[str, bytes], int] = {}
        self._woken = asyncio.Event()
        self.seeds: dict[str, Neighbour] = {}
        self.site = ""
        self.tracker_state = "not asked yet"
        self._was_answered = False
        self._records_at = 0.0
        self.rotation = Rotation(node)
        node.tracker.on_news(self.wake)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            wait_s = self._interval_s
            try:
                await self.rotation.tend()
                await self.beat()
                await self.rotation.heard()
            except NotAllowedError as error:
                self.tracker_state = str(error)
                # The tracker's store may have been restored from a backup of before we joined: our papers show it.
                await self._renew()
                wait_s = min(RETRY_S, wait_s)
            except AetherError as error:
                self.tracker_state = str(error)
                log.info("no tracker took the announce: %s", error)
                wait_s = min(RETRY_S, wait_s)
                if self._node.tracker.is_distrusted and await self.rotation.look():
                    continue
            if time.monotonic() - self._records_at > RECORDS_INTERVAL_S:
                await self.announce_records()
            self._woken.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except asyncio.TimeoutError:
                continue

    def wake(self) -> None:
        """Beat soon: what this peer holds has changed."""
        self._woken.set()

    async def beat(self, *, leaving: bool = False) -> AnnounceAnswer:
        """One announce. Raises what the tracker client raises."""
        announce = self._message(leaving=leaving)
        answer = await self._node.tracker.announce(announce)
        self._take(announce, answer)
        return answer

    async def neighbours(self, dataset: str, version: bytes) -> None:
        """Let the mesh know of peers that the tracker hands out for a version that is being fetched. Asks it now; a
        tracker that is silent has said before whom it knew.
        """
        self._node.meeting.want(version)
        if self._node.meeting.mesh.gets_on(version, time.monotonic(), members=FETCHING.target // 2):
            return
        self._wanted[dataset, version] = self._wanted.get((dataset, version), 0) + 1
        try:
            await self.beat()
        except AetherError as error:
            self.tracker_state = str(error)
            for neighbour in self._handed_out.get((dataset, version), ()):
                self._node.meeting.handed_out(neighbour, version)
        finally:
            self._wanted[dataset, version] -= 1
            if not self._wanted[dataset, version]:
                del self._wanted[dataset, version]

    async def announce_records(self) -> None:
        """Versions and tags to the DHT at once, blocks by its sweep."""
        self._records_at = time.monotonic()
        await self._node.dht.announce(self._node.version_keys)
        self._node.dht.set_sweep(self._node.block_keys)

    async def leave(self) -> None:
        """Tell the tracker that this peer goes, if it has spoken with it."""
        if not self._was_answered:
            return
        try:
            async with asyncio.timeout(LEAVE_DEADLINE_S):
                await self.beat(leaving=True)
        except (AetherError, asyncio.TimeoutError) as error:
            log.debug("the tracker was not told of our leaving: %s", error)

    def _message(self, *, leaving: bool) -> Announce:
        node = self._node
        held = {(h.dataset, h.version): (h.is_complete, h.origin != NOT_ORIGIN) for h in node.holdings}
        for wanted in self._wanted:
            held.setdefault(wanted, (False, False))
        versions = [messages.Holding(d, v, complete, origin) for (d, v), (complete, origin) in held.items()]
        authority = node.access.authority
        wall_now = time.time()
        return Announce(
            format=1,
            protocol=messages.OUR_VERSIONS,
            addresses=node.addresses(),
            versions=tuple(versions[-ANNOUNCE_MAX_VERSIONS:]),
            heads=tuple(self._some_datasets()),
            certificate_issued=open_sealed(
                node.papers.credential, Credential, authority=authority, wall_now=wall_now
            ).issued,
            grant_issued=open_sealed(node.papers.grant, Grant, authority=authority, wall_now=wall_now).issued,
            leaving=leaving,
            keeps=node.extension is not None,
            wall_time=int(wall_now),
        )

    def _some_datasets(self) -> list[str]:
        """Of the datasets known here, some at random: each beat compares others with the tracker."""
        known = list(self._node.ledger.heads())
        return self._node.rng.sample(known, min(HEADS_COMPARED, len(known)))

    def _take(self, announce: Announce, answer: AnnounceAnswer) -> None:
        node = self._node
        self._was_answered = True
        self._interval_s = float(answer.interval_s)
        self.site = node.sites.seen = answer.site
        self.tracker_state = "answers"
        self.seeds = {seed.peer_id: seed for seed in answer.seeds if seed.peer_id != node.key.peer_id}
        for seed in answer.seeds:
            node.meeting.handed_out(seed)
        self._handed_out = {(h.dataset, h.version): h.neighbours for h in answer.handouts}
        for handout in answer.handouts:
            for neighbour in handout.neighbours:
                node.meeting.handed_out(neighbour, handout.version)
        known = [*answer.seeds, *(n for handout in answer.handouts for n in handout.neighbours)]
        node.tasks.start(self._catch_up(announce.heads, answer))
        if answer.certificate or answer.grant:
            node.tasks.start(self._renew())
        self._remember(answer, known)

    async def _give_back(self, asked: Sequence[str], answer: AnnounceAnswer) -> None:
        """Entries that the tracker's log lacks, since its store was restored from an older backup."""
        node = self._node
        heads = {head.dataset: head.serial for head in answer.heads}
        for dataset in asked:
            if node.ledger.head(dataset) > heads.get(dataset, 0):
                await give_back(node.tracker, node.ledger, dataset, heads.get(dataset, 0))

    async def _catch_up(self, asked: Sequence[str], answer: AnnounceAnswer) -> None:
        """Entries that gossip has not brought: the tracker's log is ahead. Or it is behind what we know."""
        node = self._node
        await self._give_back(asked, answer)
        for head in answer.heads:
            before = node.ledger.head(head.dataset)
            if head.serial <= before:
                continue
            try:
                for raw, entry in await node.tracker.log(head.dataset, after=before):
                    node.access.learn(raw)
                    if node.ledger.record(entry, raw):
                        node.exchange.announce(raw)
            except AetherError as error:
                log.info("the log of %s was not read: %s", head.dataset, error)

    def _remember(self, answer: AnnounceAnswer, known: list[Neighbour]) -> None:
        """Keep trackers and some peers, to start from when no tracker is there."""
        node = self._node
        met = {contact.public: contact for contact in node.swarm.bootstrap}
        met |= {n.public: Contact(n.public, n.addresses) for n in known if n.public != node.key.public}
        state = SwarmState(
            format=1,
            secret=node.swarm.secret,
            trackers=answer.trackers or node.swarm.trackers,
            bootstrap=tuple(list(met.values())[-BOOTSTRAP_MAX:]),
            store_key=node.swarm.store_key,
        )
        if state != node.swarm:
            node.swarm = state
            node.home.remember(state)

    async def _renew(self) -> None:
        """The tracker says that papers are due: get them with all that is new about keys."""
        try:
            await self.rotation.renew()
        except AetherError as error:
            log.info("papers are not renewed yet: %s", error)
