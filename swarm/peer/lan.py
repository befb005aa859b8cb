"""Finding peers of the same link by multicast: the sockets and clocks around ``beacons``.

One socket for each address that this peer is reached at, on that address's interface. Packets go no further than the
link (TTL 1; link-local scope in v6), and only what was sent to the group is received. What a beacon names goes to the
meeting as any other hint does: whoever is dialled must have the member's key.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, cast

import asyncio_dgram

from swarm import clock
from swarm.dht.transport import Peer, Transport
from swarm.dialable import Dialable
from swarm.errors import RemoteProtocolError
from swarm.keyring import SwarmSecret
from swarm.peer.beacons import Beacons, open_beacon, seal_beacon
from swarm.peer.budget import Budget
from swarm.records import Address

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode

# Of the block for use within an organisation's own networks (RFC 2365), and of link-local scope (RFC 4291).
GROUP_V4: Final = "239.255.70.74"
GROUP_V6: Final = "ff02::4165:7468"
PORT: Final = 7074
INTERFACES_MAX: Final = 4
# Datagrams that are opened in a second, whoever sent them, and members that are looked at.
OPENED_PER_S: Final = 500.0
MEMBERS_PER_S: Final = 50.0
# Linux: receive only what this socket itself has joined (ip(7)).
IP_MULTICAST_ALL: Final = 49

log = logging.getLogger("aetherfs.lan")


class Lan:
    """``found`` is given a located record and tells whose it is; RemoteProtocolError if it proves nothing."""

    def __init__(
        self,
        own: str,
        location: Callable[[], bytes],
        keys: Callable[[], Sequence[SwarmSecret]],
        found: Callable[[bytes], str],
        rng: Random,
    ) -> None:
        self._own = own
        self._location = location
        self._keys = keys
        self._found = found
        self._beacons = Beacons(rng, time.monotonic())
        self._opened = Budget(OPENED_PER_S, OPENED_PER_S)
        self._looked_at = Budget(MEMBERS_PER_S, MEMBERS_PER_S)
        self._links: list[tuple[Transport, str]] = []
        self._woken = asyncio.Event()
        self._saying: asyncio.Task[None] | None = None
        self.why_not = ""

    async def start(self, addresses: Iterable[Address]) -> None:
        """Join the group on the interfaces of these addresses. Where that cannot be, ``why_not`` says why."""
        hosts = list(dict.fromkeys(address.host for address in addresses))[:INTERFACES_MAX]
        for host in hosts:
            try:
                joined, group = _joined(host)
            except (OSError, ValueError) as error:
                self.why_not = f"no multicast at {host}: {error}"
                log.warning("peers of this link are not looked for: %s", self.why_not)
                continue
            stream = cast("asyncio_dgram.DatagramServer", await asyncio_dgram.from_socket(joined))
            may_send = Dialable(also=(ipaddress.ip_network(group),))
            self._links.append((Transport(stream, self._received, may_send), group))
        if self._links:
            self._saying = asyncio.create_task(self._say())

    def hears(self, peer: str) -> bool:
        """Whether a beacon of this peer came lately."""
        return peer in self._beacons.peers

    def status(self) -> dict[str, object]:
        """Whether it is at work, and how many are heard."""
        return {"state": self.why_not or "on", "heard": len(self._beacons.peers)}

    def _received(self, datagram: bytes, sender: Peer) -> None:
        now = time.monotonic()
        if not self._opened.take(now):
            return
        try:
            beacon = open_beacon(datagram, self._keys(), clock.wall_now())
            if not self._looked_at.take(now):
                return
            peer = self._found(beacon.location)
        except RemoteProtocolError as error:
            log.debug("a beacon from %s is not believed: %s", sender[0], error)
            return
        if peer != self._own and self._beacons.heard(peer, now, asks=beacon.asks):
            self._woken.set()

    async def _say(self) -> None:
        while True:
            is_due, asks = self._beacons.due(time.monotonic())
            if is_due:
                self._send(asks=asks)
            wait_s = self._beacons.next_at - time.monotonic()
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(max(0.01, wait_s)):
                    await self._woken.wait()
            self._woken.clear()

    def _send(self, *, asks: bool) -> None:
        try:
            datagram = seal_beacon(
                self._keys()[0], self._location(), secrets.token_bytes(24), clock.wall_now(), asks=asks
            )
        except ValueError as error:
            self.why_not = str(error)
            return
        for transport, group in self._links:
            transport.send(datagram, (group, PORT))

    async def close(self) -> None:
        if self._saying is not None:
            self._saying.cancel()
            await asyncio.gather(self._saying, return_exceptions=True)
        for transport, _ in self._links:
            await transport.close()


async def start_lan(node: PeerNode) -> None:
    """Let a peer find others of its link without anybody's help, if it is to."""
    if not node.settings.lan_discovery:
        return
    rng = Random(node.rng.getrandbits(64))
    lan = Lan(node.key.peer_id, node.location, node.secrets, node.meeting.heard_nearby, rng)
    node.lan, node.sites.hears = lan, lan.hears
    node.at_close(lan.close)
    await lan.start(node.addresses())


def _joined(host: str) -> tuple[socket.socket, str]:
    """A socket that has joined the group on the interface of an address, and the group. OSError, ValueError."""
    address = ipaddress.ip_address(host)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform != "linux" and hasattr(socket, "SO_REUSEPORT"):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET:
            _join_v4(made, host)
            return made, GROUP_V4
        _join_v6(made, host)
        return made, GROUP_V6
    except BaseException:
        made.close()
        raise


def _join_v4(made: socket.socket, host: str) -> None:
    interface = socket.inet_aton(host)
    made.bind((GROUP_V4, PORT))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP_V4) + interface)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    if sys.platform == "linux":
        made.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)


def _join_v6(made: socket.socket, host: str) -> None:
    number = _interface_of(host)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind((GROUP_V6, PORT, 0, number))
    membership = socket.inet_pton(socket.AF_INET6, GROUP_V6) + struct.pack("@I", number)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, number)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 1)


def _interface_of(host: str) -> int:
    """The number of the interface with this v6 address, as Linux lists them. ValueError for none."""
    wanted = ipaddress.IPv6Address(host).packed.hex()
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            found, number, *_ = line.split()
            if found == wanted:
                return int(number, 16)
    raise ValueError(f"no interface is known to have {host}")
