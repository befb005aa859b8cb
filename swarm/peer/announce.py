"""Heartbeats: to the tracker, what this peer holds and where; to the DHT, the same as records; and papers kept fresh.

All peers announce to the same tracker, the oldest that answers them. Seeds and the peers beside trackers, which are
few, announce to every tracker, so that whichever comes next knows at once where blocks are kept. Trackers that do not
answer cost nothing but their help: the beat goes on, others are looked for in the DHT, and neighbours tell of new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from swarm import clock, messages
from swarm.errors import AetherError, IncompleteError, NotAllowedError
from swarm.home import SwarmState
from swarm.limits import ANNOUNCE_INTERVAL_S, ANNOUNCE_MAX_VERSIONS, BOOTSTRAP_MAX, TRACKERS_MAX
from swarm.messages import Announce, AnnounceAnswer, Contact, Neighbour, with_trackers
from swarm.peer.announced import block_keys, version_keys
from swarm.peer.lacking import give_back
from swarm.peer.rotation import Rotation
from swarm.peer.wire import NOT_ORIGIN
from swarm.records import Credential, Grant, open_sealed
from swarm.tracker.listing import Listing
from swarm.tracker.presence import is_loopback, not_loopback

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

RETRY_S: Final = 5.0
RECORDS_INTERVAL_S: Final = 600.0
LEAVE_DEADLINE_S: Final = 1.0
HEADS_COMPARED: Final = 32
LOOKED_UP_MAX: Final = 4
# How long a beat may go on that knows nothing of a tracker that was told of meanwhile.
NEWS_PATIENCE_S: Final = 1.0
# Over how long the beats are spread that the coming or going of a tracker brings about.
NEWS_SPREAD_S: Final = 4.0

log = logging.getLogger("aetherfs.announce")


class Announcer:
    """The heartbeat of one node."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._interval_s = float(ANNOUNCE_INTERVAL_S)
        self._handed_out: dict[tuple[str, bytes], tuple[Neighbour, ...]] = {}
        self._wanted: dict[tuple[str, bytes], int] = {}
        self._woken = asyncio.Event()
        self._news = asyncio.Event()
        self.seeds: dict[str, Neighbour] = {}
        # Those that a tracker named last, for when one that has just started knows none yet.
        self.last_seeds: tuple[str, ...] = ()
        self.site = ""
        self.tracker_state = "not asked yet"
        self.is_answered = False
        self._was_answered = False
        self._answered_at = time.monotonic()
        # This machine's clock minus the tracker's that answered last.
        self.clock_offset_s: float | None = None
        # Beats that are under way, each at one tracker or at all others, and whether none is.
        self._under_way = 0
        self._is_at_rest = asyncio.Event()
        self._is_at_rest.set()
        self._is_leaving = False
        self._records_at = 0.0
        self._announces = node.metrics.counter("aetherfs_announces_total", "Announces to trackers, by result.")
        self.rotation = Rotation(node)
        node.tracker.on_news(self.wake)
        self._looking: asyncio.Task[None] | None = None
        self._announced_to = ""
        node.tracker.calls.on_moved = self._tracker_moved

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            wait_s = self._interval_s
            try:
                await self._beat_or_news()
                await self._node.purging.confirm()
            except NotAllowedError as error:
                self.tracker_state, self.is_answered = str(error), False
                # The tracker's store may have been restored from a backup of before we joined: our papers show it.
                await self._renew()
                wait_s = min(RETRY_S, wait_s)
            except AetherError as error:
                self.tracker_state, self.is_answered = str(error), False
                log.info("no tracker took the announce: %s", error)
                wait_s = min(RETRY_S, wait_s)
                self._look_for_trackers()
                if self._node.tracker.is_distrusted and await self.rotation.look():
                    continue
            if time.monotonic() - self._records_at > RECORDS_INTERVAL_S:
                await self.announce_records()
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except asyncio.TimeoutError:
                continue

    async def _beat_or_news(self) -> None:
        """One beat. One that hangs is given up for the next when there is news of a tracker."""
        self._woken.clear()
        self._news.clear()
        beating = asyncio.create_task(self._renewed_beat())
        news = asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait([beating, news], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([beating], timeout=NEWS_PATIENCE_S)
            if beating.done():
                await beating
        finally:
            for task in (beating, news):
                task.cancel()
            await asyncio.gather(beating, news, return_exceptions=True)

    async def _renewed_beat(self) -> None:
        await self.rotation.tend()
        # A tracker refuses papers under a key that was replaced, and states so that there are newer ones.
        await self.rotation.heard()
        await self.beat()
        await self.rotation.heard()
        await self._node.recalling.heard()
        await self._node.admitted.heard()

    def tracker_listed(self, listing: Listing) -> None:
        """A tracker is there, by its own word. It is asked after those that were known: at once if none answers, else
        soon, since it may have come in place of one that nobody has missed yet.
        """
        node = self._node
        here = any(is_loopback(address.host) for address in node.addresses())
        addresses = listing.addresses if here else not_loopback(listing.addresses)
        if not addresses:
            return
        others = [contact for contact in node.swarm.trackers if contact.public != listing.public]
        trackers = (*others, Contact(listing.public, addresses))[-TRACKERS_MAX:]
        self._keep(trackers, node.swarm.bootstrap)
        if self.is_answered:
            self.wake_soon()
        else:
            self._news.set()
            self._woken.set()

    def met(self, found: Sequence[Contact]) -> None:
        """Trackers that somebody at this home was told of, and that have proved to be there: they are asked first."""
        self._keep(with_trackers(self._node.swarm.trackers, found), self._node.swarm.bootstrap)
        self._news.set()
        self._woken.set()

    def _tracker_moved(self) -> None:
        """Some call went on at another tracker: that one is to know of this peer before the next beat is due."""
        if self._node.tracker.calls.answered_last != self._announced_to:
            self.wake()

    def _look_for_trackers(self) -> None:
        """Meet the peers in whose processes trackers run, whom the DHT names: they say where those are."""
        if self._looking is None or self._looking.done():
            self._looking = self._node.tasks.start(self._meet_trackers())

    async def _meet_trackers(self) -> None:
        node = self._node
        peers = await node.finder.trackers()
        dials = (node.channels.connect(peer) for peer in node.rng.sample(peers, min(LOOKED_UP_MAX, len(peers))))
        for met in await asyncio.gather(*dials, return_exceptions=True):
            if isinstance(met, AetherError):
                log.debug("a tracker that the DHT names is not to be had: %s", met)

    def wake(self) -> None:
        """Beat soon: what this peer holds has changed."""
        self._woken.set()

    async def beat(self, *, leaving: bool = False) -> AnnounceAnswer:
        """One announce. Raises what the tracker client raises, and IncompleteError for a peer that leaves."""
        if self._is_leaving and not leaving:
            raise IncompleteError("this peer leaves: what it holds is announced no more")
        announce = self._message(leaving=leaving)
        self._begun()
        result = "failed"
        try:
            answer = await self._announced(announce, leaving=leaving)
            result = "ok"
        except NotAllowedError:
            result = "refused"
            raise
        finally:
            self._announces.add(result=result)
            self._ended()
        return answer

    def _begun(self) -> None:
        self._under_way += 1
        self._is_at_rest.clear()

    def _ended(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._is_at_rest.set()

    async def _announced(self, announce: Announce, *, leaving: bool) -> AnnounceAnswer:
        answer = await self._node.tracker.announce(announce)
        self._take(announce, answer)
        if self._node.extension is not None or self._node.tracker_address is not None:
            self._begun()
            to_others = self._node.tasks.start(self._node.tracker.announce_to_others(announce))
            to_others.add_done_callback(lambda _: self._ended())
            if leaving:
                await to_others
        return answer

    async def neighbours(self, dataset: str, version: bytes) -> None:
        """Let the mesh know of peers that the tracker hands out for a version that is being fetched. Asks it now; a
        tracker that is silent has said before whom it knew.
        """
        self._node.meeting.want(version)
        if self._node.meeting.mesh.gets_on(version, time.monotonic(), members=self._node.settings.neighbours_aim // 2):
            return
        self._wanted[dataset, version] = self._wanted.get((dataset, version), 0) + 1
        try:
            await self.beat()
        except AetherError as error:
            self.tracker_state, self.is_answered = str(error), False
            for neighbour in self._handed_out.get((dataset, version), ()):
                self._node.meeting.handed_out(neighbour, version)
        finally:
            self._wanted[dataset, version] -= 1
            if not self._wanted[dataset, version]:
                del self._wanted[dataset, version]

    async def handed_out(self, dataset: str, version: bytes) -> tuple[Neighbour, ...]:
        """Some of those whom a tracker knows to hold a version, asked now. Raises what ``beat`` raises."""
        self._wanted[dataset, version] = self._wanted.get((dataset, version), 0) + 1
        try:
            await self.beat()
        finally:
            self._wanted[dataset, version] -= 1
            if not self._wanted[dataset, version]:
                del self._wanted[dataset, version]
        return self._handed_out.get((dataset, version), ())

    async def announce_records(self) -> None:
        """Versions and tags to the DHT at once, blocks by its sweep."""
        self._records_at = time.monotonic()
        await self._node.dht.announce(partial(version_keys, self._node))
        if not self._node.settings.is_metered:
            self._node.dht.set_sweep(partial(block_keys, self._node))

    async def leave(self) -> None:
        """Tell the tracker that this peer goes, if it has spoken with it. Takes LEAVE_DEADLINE_S at most."""
        self._is_leaving = True
        deadline = asyncio.get_running_loop().time() + LEAVE_DEADLINE_S
        # A beat that a tracker hears of after the word of leaving would make us present again. One that hangs at a
        # tracker that is silent is not waited for: the others would never be told.
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(LEAVE_DEADLINE_S / 2):
                await self._is_at_rest.wait()
        if not self._was_answered:
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self.beat(leaving=True)
        except (AetherError, asyncio.TimeoutError) as error:
            log.debug("the tracker was not told of our leaving: %s", error)

    def wake_soon(self) -> None:
        """Beat within some seconds, not together with all others: a tracker has come, or the process of one may be
        gone.
        """
        asyncio.get_running_loop().call_later(self._node.rng.uniform(0, NEWS_SPREAD_S), self.wake)

    def lag_s(self, now: float) -> float:
        """For how long a tracker should have taken an announce that none has; ``now`` is monotonic."""
        return max(0.0, now - self._answered_at - self._interval_s)

    def _message(self, *, leaving: bool) -> Announce:
        node = self._node
        # Over a metered link nobody far is to come for blocks; near ones hear of us anyway.
        holdings = [] if node.settings.is_metered else list(node.holdings)
        held = {(h.dataset, h.version): (h.is_complete, h.origin != NOT_ORIGIN) for h in holdings}
        for wanted in self._wanted:
            held.setdefault(wanted, (False, False))
        versions = [messages.Holding(d, v, complete, origin) for (d, v), (complete, origin) in held.items()]
        authority = node.access.authority
        wall_now = clock.wall_now()
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
        self.is_answered = self._was_answered = True
        self._answered_at = time.monotonic()
        # A tracker states whole seconds: half of one is missing on the average.
        self.clock_offset_s = clock.machine_now() - answer.wall_time - 0.5
        self._announced_to = node.tracker.calls.answered_last
        self._interval_s = float(answer.interval_s)
        self.site = node.sites.seen = answer.site
        self.tracker_state = "answers"
        self.seeds = {seed.peer_id: seed for seed in answer.seeds if seed.peer_id != node.key.peer_id}
        self.last_seeds = tuple(self.seeds) or self.last_seeds
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
        self._keep(answer.trackers or node.swarm.trackers, tuple(list(met.values())[-BOOTSTRAP_MAX:]))

    def _keep(self, trackers: tuple[Contact, ...], bootstrap: tuple[Contact, ...]) -> None:
        node = self._node
        node.tracker.set_trackers(trackers)
        state = SwarmState(
            format=1,
            secret=node.swarm.secret,
            trackers=trackers,
            bootstrap=bootstrap,
            store_key=node.swarm.store_key,
        )
        if state != node.swarm:
            node.swarm = state
            node.home.remember(state)
            node.dht.set_seeds([str(address) for contact in bootstrap for address in contact.addresses])

    async def _renew(self) -> None:
        """The tracker says that papers are due: get them with all that is new about keys."""
        try:
            await self.rotation.renew()
        except AetherError as error:
            log.info("papers are not renewed yet: %s", error)
