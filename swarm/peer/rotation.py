"""How a running peer follows the swarm's keys as they are rotated: successors of the CA, and secrets of the DHT.

Trackers state with each answer how new their keys are; who knows older ones asks for its papers anew and is told. Who
was away for so long that it trusts no tracker any more looks at one without trust: what it needs to know there is
sealed by the key that it does trust. Nothing is restarted.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from swarm import clock
from swarm.errors import AetherError
from swarm.home import Papers
from swarm.identity import peer_id_of
from swarm.joining import look_for_links
from swarm.keyring import Keyring, decode_keyring
from swarm.peer.reproving import begin_reproving
from swarm.peer.time_floor import know_time
from swarm.records import Credential, Grant, open_sealed, sealed_by
from swarm.trust import Trust

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

log = logging.getLogger("aetherfs.rotation")


class Rotation:
    """Of one node. ``tend`` before each beat, ``heard`` after it."""

    def __init__(self, node: PeerNode) -> None:
        self._node = node
        self._epoch = -1
        self._has_asked_time = False
        self._one_at_a_time = asyncio.Lock()

    async def tend(self) -> None:
        """Do what is due by the clock: papers that do not count for long any more, a secret that is now in force."""
        await self._be_in_networks()
        node, wall_now = self._node, clock.wall_now()
        trust = node.access.authority
        if not self._papers_count(wall_now) or (clock.is_wrong() and not self._has_asked_time):
            # New papers bear the time of a tracker.
            await self.renew()
            self._has_asked_time = True
            return
        if sealed_by(node.papers.credential, Credential, trust) != trust.in_force(wall_now).public:
            try:
                await self.renew()
            except AetherError as error:
                log.info("papers under the CA's new key are still to come: %s", error)

    async def be_current(self) -> bool:
        """Before a command, and when one was refused: papers that count, where a tracker can be asked. Whether there
        are new ones.
        """
        tracker, before = self._node.tracker, self._node.keyring
        try:
            if tracker.is_distrusted:
                await self.look()
            is_current = self._node.keyring == before and tracker.keys_told <= before.generation
            if is_current and self._papers_count(clock.wall_now()):
                return False
            await self.renew()
        except AetherError as error:
            log.info("papers are not renewed: %s", error)
            return False
        return True

    def _papers_count(self, wall_now: float) -> bool:
        papers, trust = self._node.papers, self._node.access.authority
        try:
            open_sealed(papers.credential, Credential, authority=trust, wall_now=wall_now)
            open_sealed(papers.grant, Grant, authority=trust, wall_now=wall_now)
        except AetherError:
            return False
        return True

    async def heard(self) -> None:
        """Ask for papers and keys if a tracker has stated that it knows of newer ones."""
        if self._node.tracker.keys_told > self._node.keyring.generation:
            await self.renew()

    async def renew(self) -> None:
        """Fresh papers, and whatever is new about keys. A signature of ours is enough, also when papers have expired.
        Raises what the tracker client raises.
        """
        async with self._one_at_a_time:
            node = self._node
            answer = await node.tracker.renew(node.papers.credential, node.papers.grant)
            await self._take(decode_keyring(answer.keys))
            roots = node.access.authority.bundle(clock.wall_now())
            papers = Papers(answer.certificate, roots, answer.credential, answer.grant)
            node.home.renew(papers)
            node.reload_papers()
            know_time(node)

    async def look(self) -> bool:
        """Learn of successors of the CA where no answer can be trusted yet. Whether there were any."""
        node = self._node
        links = await look_for_links(node.tracker.trackers, node.access.authority)
        if not links:
            return False
        await self._take(Keyring(1, links, node.keyring.secrets))
        return True

    async def _take(self, told: Keyring) -> None:
        """Make a keyring that is newer than ours, or has older links, our own."""
        node = self._node
        stolen = node.access.authority.stolen
        node.access.authority.learn(told.links)
        grown = node.access.authority.links != node.keyring.links
        secrets = told.secrets if _epoch_of(told) >= _epoch_of(node.keyring) else node.keyring.secrets
        keyring = Keyring(1, node.access.authority.links, secrets)
        if keyring == node.keyring:
            return
        node.keyring = keyring
        node.home.learn(keyring)
        if grown:
            log.warning("%s", _new_keys(node.access.authority))
            node.trust_roots()
            node.exchange.keys_learnt()
        if node.access.authority.stolen != stolen:
            begin_reproving(node)
        await self._be_in_networks()

    async def _be_in_networks(self) -> None:
        """Be in the DHT under the secrets that count, and say there what we have when another is in force."""
        node = self._node
        is_new = await node.dht.use(node.secrets())
        before, self._epoch = self._epoch, node.dht.epochs[0]
        if is_new or before not in (-1, self._epoch):
            log.info("the DHT's epoch is %d; this peer is in %s", self._epoch, node.dht.epochs)
            node.tasks.start(node.announcer.announce_records())


def _epoch_of(keyring: Keyring) -> int:
    return max((secret.epoch for secret in keyring.secrets), default=0)


def _new_keys(trust: Trust) -> str:
    """For the log: which key of the CA seals now, and the newest, which may be for later."""
    sealing, newest = trust.in_force(clock.wall_now()), trust.newest
    told = f"the swarm's CA has a new key: {peer_id_of(sealing.public)[:12]} seals now"
    since = datetime.fromtimestamp(newest.in_force, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return told if newest is sealing else f"{told}, {peer_id_of(newest.public)[:12]} from {since} on"
