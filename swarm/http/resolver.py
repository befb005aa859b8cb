"""A resolver that knows peers, not hosts: the TLS name of a peer leads to the addresses that the peer signed."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from swarm import clock
from swarm.dialable import NOT_HERE, Dialable, numeric
from swarm.identity import peer_id_from_server_name
from swarm.records import Address

KNOWN_MAX: Final = 16_384

log = logging.getLogger("aetherfs.resolver")


class PeerResolver(AbstractResolver):
    """Maps ``<peer id>.peer.aetherfs`` to (host, port) pairs that may be dialled; other names are not resolved at all.

    Each dial asks anew, so whatever a name leads to at that moment is judged.
    """

    def __init__(self, dialable: Dialable = NOT_HERE) -> None:
        self.dialable = dialable
        self._known: dict[str, tuple[float, tuple[Address, ...]]] = {}

    def learn(self, peer_id: str, addresses: tuple[Address, ...], said_at: float | None = None) -> None:
        """Set the addresses of a peer. Whoever calls this has seen a record that may say so: now, or one that was made
        at ``said_at`` (wall seconds) and counts for nothing beside a younger one.
        """
        known = self._known.pop(peer_id, None)
        wall_now = clock.wall_now()
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
        refused: list[str] = []
        for address in addresses:
            for result in await _resolve_address(host, address):
                where = numeric(result["host"])
                why = self.dialable.why_not(where) if where is not None else "it is no address"
                if why:
                    refused.append(f"{address} is not dialled, as {why} (setting dial_also)")
                else:
                    found.append(result)
        if refused:
            log.info("of peer %s: %s", host[:8], "; ".join(refused))
        if not found:
            raise OSError("; ".join(refused) or f"no address is known for {host}")
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
