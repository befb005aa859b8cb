"""A resolver that knows peers, not hosts: the TLS name of a peer leads to the addresses that the peer signed."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from swarm.identity import peer_id_from_server_name
from swarm.records import Address

KNOWN_MAX: Final = 16_384


class PeerResolver(AbstractResolver):
    """Maps ``<peer id>.peer.aetherfs`` to (host, port) pairs; other names are not resolved at all."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}

    def learn(self, peer_id: str, addresses: tuple[Address, ...], said_at: float | None = None) -> None:
        """Set the addresses of a peer. Whoever calls this has seen a record that may say so: now, or one that was made
        at ``said_at`` (wall seconds) and counts for nothing beside a younger one.
        """
        known = self._known.pop(peer_id, None)
        wall_now = time.time()
        if addresses and (known is None or said_at is None or said_at > known[0]):
            known = (wall_now if said_at is None else min(said_at, wall_now), addresses)
        if known is not None:
            self._known[peer_id] = known
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]

    def forget(self, peer_id: str) -> None:
        self._known.pop(peer_id, None)

    def addresses_of(self, peer_id: str) -> tuple[Address, ...]:
        return self._known[peer_id][1] if peer_id in self._known else ()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """aiohttp's hook. Raises OSError for a name that is not a known peer."""
        peer_id = peer_id_from_server_name(host)
        addresses = self.addresses_of(peer_id) if peer_id is not None else ()
        found: list[ResolveResult] = []
        for address in addresses:
            found += await _resolve_address(host, address)
        if not found:
            raise OSError(f"no address is known for {host}")
        return found

    async def close(self) -> None:
        """Nothing is held."""


async def _resolve_address(name: str, address: Address) -> list[ResolveResult]:
    try:
        numeric = ipaddress.ip_address(address.host)
    except ValueError:
        return await _look_up(name, address)
    family = socket.AF_INET6 if numeric.version == 6 else socket.AF_INET
    return [_result(name, address.host, address.port, family)]


async def _look_up(name: str, address: Address) -> list[ResolveResult]:
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [_result(name, str(info[4][0]), address.port, info[0]) for info in infos]


def _result(name: str, host: str, port: int, family: int) -> ResolveResult:
    return ResolveResult(
        hostname=name, host=host, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )
