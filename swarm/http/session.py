"""Client sessions: calls to peers by their key, with limits that aiohttp leaves open."""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp

from swarm.http.line import counted_socket
from swarm.http.resolver import PeerResolver

CONNECT_TIMEOUT_S: Final = 5.0
READ_BUFFER_BYTES: Final = 256 * 1024


def peer_session(
    context: ssl.SSLContext,
    resolver: PeerResolver,
    *,
    per_peer: int,
    total: int = 0,
    stall_timeout_s: float | None = 30.0,
) -> aiohttp.ClientSession:
    """A session whose pool is keyed by identity: at most ``per_peer`` connections to one peer, ``total`` in all (0: no
    bound).

    There is no total timeout, since a run may rightly be slow; ``stall_timeout_s`` bounds the silence between two
    reads.
    """
    connector = aiohttp.TCPConnector(
        ssl=context,
        resolver=resolver,
        use_dns_cache=False,
        limit=total,
        limit_per_host=per_peer,
        keepalive_timeout=60,
        socket_factory=counted_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=READ_BUFFER_BYTES,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=stall_timeout_s),
    )
