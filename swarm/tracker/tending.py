"""What a tracker does all the time beside answering: it stays listed, its keys and certificates stay in force, rollouts
go on, the audit is written. All of it can wait for the object store; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import ssl
import time
from typing import Final

from swarm.authority import private_pem
from swarm.errors import AetherError, UsageError
from swarm.identity import PeerKey
from swarm.limits import BOOTSTRAP_MAX, CERTIFICATE_LIFETIME_S
from swarm.messages import Contact
from swarm.records import Credential, sealed_by
from swarm.tracker import registry
from swarm.tracker.certificates import ONCE, GivenCertificate, replace_certificate
from swarm.tracker.listing import REFRESH_S, Listing
from swarm.tracker.state import TrackerState
from swarm.tracker.tending_rollouts import tend_rollouts

TEND_S: Final = 1.0
# How often it is looked whether other peers are there to begin from than were written down.
LEAVE_PEERS_S: Final = 5.0
# How long what was done waits for company, to be written into the audit together.
AUDIT_S: Final = 5.0

log = logging.getLogger("aetherfs.tracker")
# In which members are answered, and people, and other trackers called.
Contexts = tuple[ssl.SSLContext, ssl.SSLContext, ssl.SSLContext]


class Tending:
    """``run`` goes on until it is cancelled; the rest are its parts, that others ask for at once."""

    def __init__(
        self, state: TrackerState, key: PeerKey, contexts: Contexts, certificate: GivenCertificate | None = None
    ) -> None:
        self._state = state
        self._key = key
        self._contexts = contexts
        self._certificate = certificate
        self.renewed_at = time.time()
        self._since = int(self.renewed_at)
        self._cleared_at = 0.0
        self.written_peers: frozenset[bytes] = frozenset()
        self._stolen = state.keys.authority.trust.stolen
        self._written_at = self._looked_at = self._audited_at = float("-inf")

    async def enlist(self) -> None:
        """Write down where this tracker is, read where the others are, and tell those who cannot know of it yet."""
        state, wall_now = self._state, time.time()
        node = next((each.addresses for each in state.bootstrap if each.public == self._key.public), ())
        listing = Listing(2, self._key.public, state.contact.addresses, node, self._since, int(wall_now))
        own = await state.work(registry.write, state.objects, state.keys.authority, listing)
        found = await state.work(registry.read, state.objects, state.keys.authority.trust, wall_now)
        alive = {each.listing.peer_id for each in found} | {state.contact.peer_id}
        for peer_id in state.listed.keys() - alive:
            state.delist(peer_id)
        state.pushes.listing = own.data
        state.pushes.here(state.enlist([*found, own]))

    async def run(self) -> None:
        """What has to be done from time to time. An object store that is away is asked again the next time."""
        enlisted_at = time.monotonic()
        while True:
            is_rotated = await self._pause()
            now = time.monotonic()
            self._state.presence.expire(now)
            await self.look_at_certificate()
            try:
                await self._leave_peers(now)
                await self._govern(now)
                if is_rotated or now - enlisted_at >= REFRESH_S:
                    enlisted_at = now
                    await self.tend_keys()
                    await self.enlist()
                    await self._clear()
                    await self.renew()
            except AetherError as error:
                log.warning("the object store does not answer: %s", error)

    async def _govern(self, now: float) -> None:
        """Let rollouts go on; write into the audit what was noted; finish a change of the policy that another has left
        half done.
        """
        state = self._state
        await tend_rollouts(state)
        if now - self._audited_at >= AUDIT_S:
            self._audited_at = now
            await state.write_audit(now)
            if await state.work(state.rights.needs_settling):
                await state.work(state.rights.settle, state.members.principals, time.time())

    async def _pause(self) -> bool:
        """Until the next round. Whether keys were rotated here, or another key of the CA is in force since."""
        wall_now = time.time()
        change_s = max(0.0, self._state.keys.next_change(wall_now) - wall_now)
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(min(TEND_S, change_s)):
                await self._state.keys_rotated.wait()
        is_rotated = self._state.keys_rotated.is_set() or change_s <= TEND_S
        self._state.keys_rotated.clear()
        return is_rotated

    async def _leave_peers(self, now: float) -> None:
        """Write down peers that are there for long, for a tracker that starts when everybody else is gone. Those are
        seldom others than before.
        """
        if now - self._looked_at < LEAVE_PEERS_S:
            return
        self._looked_at = now
        there = heapq.nsmallest(BOOTSTRAP_MAX, self._state.presence.latest(now), key=lambda peer: peer.since)
        peers = [Contact(peer.public, peer.addresses) for peer in there if peer.addresses]
        names = frozenset(peer.public for peer in peers)
        if not peers or (names == self.written_peers and now - self._written_at < registry.KEPT_S / 4):
            return
        self.written_peers, self._written_at = names, now
        state = self._state
        await state.work(registry.write_peers, state.objects, state.keys.authority, peers, time.time())

    async def _clear(self) -> None:
        """Once in a while, the listings of trackers that were killed."""
        wall_now = time.time()
        if wall_now - self._cleared_at >= registry.KEPT_S / 4:
            self._cleared_at = wall_now
            state = self._state
            await state.work(registry.remove_old, state.objects, state.keys.authority.trust, wall_now)
            await state.work(state.identifier.people.clear, wall_now)
            await state.work(state.audit.forget, wall_now)

    async def tend_keys(self) -> None:
        """Know and trust what other trackers have rotated; be certified under the key that is in force."""
        state, wall_now = self._state, time.time()
        trust = state.keys.authority.trust
        await state.work(state.keys.refresh, state.objects, wall_now)
        # Who asks for something may have let the keys be read before.
        if (stolen := trust.stolen) != self._stolen:
            state.catalogue.forget()
            await state.work(state.rights.forget_unproved)
            self._stolen = stolen
        await state.work(state.keys.tend, state.objects, wall_now)
        for context in self._contexts:
            context.load_verify_locations(cadata=trust.bundle(wall_now).decode())
        is_former = sealed_by(state.papers.credential, Credential, trust) != state.keys.authority.public
        # Its papers do not make it a member again where a store was restored from a backup that it is not in.
        if is_former or await state.work(state.members.member, self._key.peer_id) is None:
            self.renewed_at = 0.0

    async def look_at_certificate(self) -> None:
        """Show people what lies in the files of the certificate that was given. What does not fit changes nothing."""
        if self._certificate is None or not await asyncio.to_thread(self._certificate.is_changed):
            return
        try:
            pair = await asyncio.to_thread(self._certificate.read)
            await asyncio.to_thread(replace_certificate, self._contexts[1], *pair)
            self._state.certificate = pair[0]
            self._state.given_expires = self._certificate.expires()
            log.info("people are shown the certificate that is new in %r", self._certificate)
        except UsageError as error:
            log.warning("people are shown the certificate of before: %s", error)

    async def renew(self) -> None:
        """Have new papers when a third of the certificate's lifetime is gone."""
        wall_now = time.time()
        if wall_now - self.renewed_at < CERTIFICATE_LIFETIME_S / 3:
            return
        papers, _ = await self._state.work(self._state.members.admit_keeper, self._key.public, "tracker", wall_now)
        for context in (self._contexts[0], self._contexts[2]):
            await asyncio.to_thread(
                replace_certificate, context, papers.certificate, private_pem(self._key, ONCE), ONCE
            )
        self._state.pushes.connect_anew()
        self._state.papers = papers
        self.renewed_at = wall_now
