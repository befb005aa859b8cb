"""Meeting others: the shell around the mesh. It reports what channels show, and performs what the mesh decides.

Addresses come from the tracker, from records in the DHT, from DHT nodes that answered from there, and from neighbours:
each passes on what a member has signed of itself, with the authority's word that it is a member. Nothing else is
dialled, and whoever answers must have the member's key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from swarm import clock
from swarm.errors import AetherError, RemoteProtocolError
from swarm.identity import public_of
from swarm.limits import LOCATION_LIFETIME_S
from swarm.messages import Neighbour
from swarm.peer.access import Access, Remembered
from swarm.peer.channels import Channel, Channels
from swarm.peer.mesh import Mesh
from swarm.peer.sites import Sites
from swarm.peer.steps import ANY, Ask, Decision, Dial, Drop, Look, Ping
from swarm.peer.tasks import Tasks
from swarm.peer.traffic import Traffic
from swarm.peer.wire import Here, Neighbours, WhoElse
from swarm.records import Address, Credential, Location, open_location

TICK_S: Final = 1.0
# Facts that come together are acted upon together.
GATHER_S: Final = 0.02
# A version that nobody follows any more is aimed at for this long.
WANTED_S: Final = 2.5
OPENED_REMEMBERED: Final = 512

log = logging.getLogger("aetherfs.mesh")


class Meeting:
    """The neighbour set of one peer at work. ``addresses`` are our own, ``location`` is what others may pass on of us,
    ``look`` asks tracker and DHT.
    """

    def __init__(
        self,
        mesh: Mesh,
        channels: Channels,
        access: Access,
        sites: Sites,
        traffic: Traffic,
        tasks: Tasks,
        addresses: Callable[[], tuple[Address, ...]],
        location: Callable[[], bytes],
        look: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self.mesh = mesh
        self._channels = channels
        self._access = access
        self._sites = sites
        self._traffic = traffic
        self._tasks = tasks
        self._addresses = addresses
        self._location = location
        self._look = look
        self._woken = asyncio.Event()
        self._wanted: dict[bytes, float] = {}
        self._received: dict[str, int] = {}
        self._opened: Remembered[bytes, tuple[Credential, Location]] = Remembered(OPENED_REMEMBERED)
        self._told_at = time.monotonic()

    # ---- facts --------------------------------------------------------------------------------------------------

    def want(self, version: bytes, *, until: float | None = None) -> None:
        """Look for neighbours that hold or fetch a version: for a moment, or until ``want_no_more``."""
        now = time.monotonic()
        self._wanted[version] = max(until or now + WANTED_S, self._wanted.get(version, 0.0))
        self.mesh.fetching(version, now)
        self._woken.set()

    def want_no_more(self, version: bytes) -> None:
        """Nobody follows it any more; another may in a moment."""
        if version in self._wanted:
            self._wanted[version] = time.monotonic() + WANTED_S

    def learn(self, peer: str, addresses: tuple[Address, ...], version: bytes = ANY, *, keeper: bool = False) -> None:
        """The DHT says where a peer is, or the tracker: by a record of the peer's own."""
        self._channels.learn(peer, addresses)
        self._named(peer, addresses, version, keeper=keeper)

    def handed_out(self, neighbour: Neighbour, version: bytes = ANY) -> None:
        """The tracker names a neighbour. An origin is spared: without a version it is for need only."""
        self._sites.told(neighbour.peer_id, neighbour.site)
        self.learn(neighbour.peer_id, neighbour.addresses, version, keeper=neighbour.origin)

    def heard_nearby(self, data: bytes) -> str:
        """A member says on our own link where it is: who. RemoteProtocolError for what proves nothing."""
        credential, location = self._open(data)
        peer = credential.peer_id
        if self._channels.is_banned(peer):
            return peer
        self._channels.learn(peer, location.addresses, said_at=location.issued)
        self.mesh.named(peer, time.monotonic(), near=credential.site == self._sites.own)
        self._woken.set()
        return peer

    def opened(self, channel: Channel) -> None:
        self.mesh.opened(
            channel.peer_id,
            time.monotonic(),
            near=channel.near,
            dialled=channel.dialled,
            keeper=channel.role != "peer",
        )
        channel.send(Here(self._location()))
        self._woken.set()

    def closed(self, channel: Channel) -> None:
        if self._channels.is_banned(channel.peer_id):
            self.mesh.banned(channel.peer_id)
        self.mesh.closed(channel.peer_id, time.monotonic())
        self._woken.set()

    def received(self, channel: Channel, message: Here | WhoElse | Neighbours) -> None:
        """Act on a message of neighbour exchange."""
        match message:
            case Here():
                self._here(channel, message.location)
            case WhoElse():
                if message.version == ANY or message.version in channel.interests:
                    names = self.mesh.names_for(channel.peer_id, message.version, time.monotonic())
                    self._tell(channel, message.version, names)
            case Neighbours():
                self._told(channel, message)

    # ---- neighbour exchange -------------------------------------------------------------------------------------

    def _here(self, channel: Channel, location: bytes) -> None:
        if not channel.may_tell(time.monotonic()):
            return
        try:
            credential, _ = self._open(location)
        except RemoteProtocolError as error:
            log.info("where %s is cannot be passed on: %s", channel.peer_id[:8], error)
            return
        if credential.public != public_of(channel.peer_id):
            raise RemoteProtocolError("a peer says of another where it is")
        channel.location = location

    def _tell(self, channel: Channel, version: bytes, names: tuple[str, ...]) -> None:
        known = [self._channels.open[name].location for name in names if name in self._channels.open]
        locations = tuple(location for location in known if location)
        if locations:
            channel.send(Neighbours(version, locations))

    def _told(self, channel: Channel, message: Neighbours) -> None:
        if not channel.may_tell(time.monotonic()):
            return
        for data in message.locations:
            try:
                credential, location = self._open(data)
            except RemoteProtocolError as error:
                log.debug("a location from %s is not taken: %s", channel.peer_id[:8], error)
                continue
            peer = credential.peer_id
            self._channels.learn(peer, location.addresses, said_at=location.issued)
            near = self._sites.seems_near(peer, credential.site, location.addresses, self._addresses())
            if not self._channels.is_banned(peer):
                now = time.monotonic()
                self.mesh.named(peer, now, version=message.version, near=near, teller=channel.peer_id)
        self._woken.set()

    def _open(self, data: bytes) -> tuple[Credential, Location]:
        """Who is where, checked once: several neighbours tell the same."""
        wall_now = clock.wall_now()
        known = self._opened.get(data)
        if known is None or known[1].expires <= wall_now or known[0].expires <= wall_now:
            known = open_location(data, authority=self._access.authority, wall_now=wall_now)
            self._opened.put(data, known)
        return known

    def _named(self, peer: str, addresses: tuple[Address, ...], version: bytes, *, keeper: bool) -> None:
        if addresses and not self._channels.is_banned(peer):
            self.mesh.pardoned(peer)
            near = self._sites.seems_near(peer, "", addresses, self._addresses())
            self.mesh.named(peer, time.monotonic(), version=version, near=near, keeper=keeper)
            self._woken.set()

    # ---- performing ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the neighbour set until cancelled."""
        while True:
            now = time.monotonic()
            self._note(now)
            for decision in self.mesh.tick(now):
                self._perform(decision)
            try:
                async with asyncio.timeout(TICK_S):
                    await self._woken.wait()
                await asyncio.sleep(GATHER_S)
            except asyncio.TimeoutError:
                pass
            self._woken.clear()

    def _note(self, now: float) -> None:
        """What is seen by looking: who gave us bytes, and what is wanted no more."""
        for peer in self._channels.open:
            received = self._traffic.received[peer]
            if received > self._received.get(peer, 0):
                self.mesh.useful(peer, now)
                self._received[peer] = received
        for peer in self._received.keys() - self._channels.open.keys():
            del self._received[peer]
        for version in [version for version, until in self._wanted.items() if until <= now]:
            del self._wanted[version]
            self.mesh.fetched(version)
        wall_now = clock.wall_now()
        for channel in list(self._channels.open.values()):
            grant = channel.caller.grant
            if grant is not None and grant.expires <= wall_now:
                self._tasks.start(self._channels.part(channel))  # it may come again with a fresh one
        if now - self._told_at > LOCATION_LIFETIME_S / 4:
            self._told_at = now
            for channel in self._channels.open.values():
                channel.send(Here(self._location()))

    def _perform(self, decision: Decision) -> None:
        match decision:
            case Dial(peer):
                self._tasks.start(self._dial(peer))
            case Drop(peer, names):
                channel = self._channels.open.get(peer)
                if channel is not None:
                    self._tell(channel, ANY, names)
                    self._tasks.start(self._channels.part(channel))
            case Ask(peer, version):
                channel = self._channels.open.get(peer)
                if channel is not None:
                    channel.send(WhoElse(version))
            case Ping(peer):
                channel = self._channels.open.get(peer)
                if channel is not None:
                    channel.ping()
            case Look(version):
                self._tasks.start(self._looked(version))

    async def _dial(self, peer: str) -> None:
        try:
            await self._channels.connect(peer)
        except AetherError as error:
            log.debug("peer %s is not to be had: %s", peer[:8], error)
            self.mesh.failed(peer, time.monotonic())
            self._woken.set()

    async def _looked(self, version: bytes) -> None:
        try:
            await self._look(version)
        except AetherError as error:
            log.debug("nobody was found: %s", error)
