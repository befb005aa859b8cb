"""``host:port`` texts to numeric addresses. A name that does not resolve, or not in time, is no address."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import Final

from swarm.dht.transport import Peer

RESOLVE_TIMEOUT_S: Final = 5.0
PER_NAME_MAX: Final = 8

log = logging.getLogger("aetherfs.dht")


async def resolve(text: str) -> list[Peer]:
    """The numeric addresses of ``host:port`` or ``[v6]:port``."""
    host, _, port_text = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port_text.isascii() or not port_text.isdigit() or not 0 < int(port_text) < 65536:
        log.warning("%r is not the address of a DHT node: expected host:port", text[:200])
        return []
    port = int(port_text)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return await _look_up(host, port)
    return [(host, port)]


async def _look_up(host: str, port: int) -> list[Peer]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            infos = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, asyncio.TimeoutError) as error:
        log.info("the name %s does not resolve: %s", host, error)
        return []
    return list(dict.fromkeys((str(info[4][0]), port) for info in infos))[:PER_NAME_MAX]
