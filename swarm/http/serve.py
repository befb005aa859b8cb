"""Listeners: an aiohttp application on a TLS (or loopback) port, with the deadlines that aiohttp does not set
itself.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from swarm.http.browsers import harden, own_pages_only
from swarm.http.congestion import suit_many_flows
from swarm.http.doors import BACKLOG, Doors, Streams
from swarm.http.framing import QuietLogger, unambiguous
from swarm.http.line import counted
from swarm.http.patience import USUAL, Deadlines
from swarm.http.problem import problems
from swarm.http.request_ids import identified, say_id
from swarm.http.visits import Visit, Visits
from swarm.identity import peer_id_from_server_name
from swarm.limits import CONNECTIONS_MAX, JSON_BODY_MAX_BYTES, KEEPALIVE_S
from swarm.listening import cannot_listen

SHUTDOWN_S: Final = 2.0
LEAST_CONNECTIONS: Final = 16

log = logging.getLogger("aetherfs.http")


def make_app(*, body_max_bytes: int = JSON_BODY_MAX_BYTES) -> web.Application:
    """An application whose refusals are problem documents, whose bodies are bounded, which takes clear requests only
    and which other sites' pages cannot use.
    """
    app = web.Application(
        middlewares=[identified, problems, unambiguous, own_pages_only], client_max_size=body_max_bytes
    )
    app.on_response_prepare.append(harden)
    app.on_response_prepare.append(say_id)
    return app


class Listener:
    """A running listener. ``port`` is the bound one."""

    def __init__(self, runner: web.AppRunner, server: asyncio.Server, doors: Doors, visits: Visits) -> None:
        self._runner = runner
        self._server = server
        self._doors = doors
        self.visits = visits
        self.host, self.port = server.sockets[0].getsockname()[:2]

    async def close(self) -> None:
        """Stop accepting, give requests in flight a moment, then close every connection."""
        self._server.close()
        await self._doors.close()
        await self._runner.cleanup()
        await self.visits.close()

    def __repr__(self) -> str:
        return f"<Listener {self.host}:{self.port} {len(self.visits)} connections>"


async def start_listener(
    app: web.Application,
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    *,
    streams: Mapping[str, Streams] | None = None,
    most: int = CONNECTIONS_MAX,
    deadlines: Deadlines | None = None,
    bound: socket.socket | None = None,
) -> Listener:
    """Listen on host:port (0 picks a free one), or by a socket that is ``bound`` there, which is then the listener's.
    ``context`` None is for loopback only. Raises ConflictError if taken.

    ``streams`` are handed connections that offer their protocols, before their handshake. At most ``most`` connections
    are open, half as many of one address; fewer where the system allows few open files.
    """
    visits = Visits(_as_files_allow(most), deadlines or USUAL)
    app.middlewares.insert(0, visits.middleware)
    # aiohttp would unpack bodies by itself, whatever they grow to: ours are what they are.
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
        auto_decompress=False,
        logger=QuietLogger(log, {}),
    )
    await runner.setup()
    loop = asyncio.get_running_loop()
    try:
        if bound is not None:
            server = await loop.create_server(asyncio.Protocol, sock=bound, backlog=BACKLOG, start_serving=False)
        else:
            server = await loop.create_server(asyncio.Protocol, host, port, backlog=BACKLOG, start_serving=False)
    except OSError as error:
        await runner.cleanup()
        raise cannot_listen(host, port, error) from error
    suit_many_flows(server.sockets)

    async def others(connection: socket.socket, visit: Visit) -> None:
        if runner.server is None:
            raise ConnectionAbortedError("the listener is closing")
        protocol = visit.serve_with(runner.server())
        await loop.connect_accepted_socket(
            lambda: protocol,
            counted(connection) if context is not None else connection,
            ssl=context,
            ssl_handshake_timeout=visit.left_s if context is not None else None,
        )

    doors = Doors([bound.dup() for bound in server.sockets], visits, others, streams or {})
    return Listener(runner, server, doors, visits)


def _as_files_allow(most: int) -> int:
    """Connections are open files: with a quarter of those that this process may have, three listeners leave some."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if files == resource.RLIM_INFINITY else max(LEAST_CONNECTIONS, min(most, files // 4))


def caller_of(request: web.BaseRequest) -> str | None:
    """The peer id that the client's verified certificate proves, or None without one."""
    return peer_in(request.get_extra_info("peercert"))


def issuer_of(request: web.BaseRequest) -> str:
    """The name of the root that the client's verified certificate is under, empty without one."""
    certificate: Mapping[str, Any] = request.get_extra_info("peercert") or {}
    return next(
        (str(value) for part in certificate.get("issuer", ()) for name, value in part if name == "commonName"), ""
    )


def peer_in(certificate: Mapping[str, Any] | None) -> str | None:
    """The peer id in a verified certificate."""
    for kind, name in (certificate or {}).get("subjectAltName", ()):
        if kind == "DNS":
            peer_id = peer_id_from_server_name(name)
            if peer_id is not None:
                return peer_id
    return None
