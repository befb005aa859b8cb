"""A listener that closes leaves no connection open, whatever far ends do."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from swarm.http.tls import unverified_context
from swarm.identity import server_name_of
from tests.integration.tracker_rig import running_tracker


def test_who_says_nothing_to_our_goodbye_is_not_waited_for(tmp_path: Path) -> None:
    """Over TLS both ends say goodbye; asyncio waits half a minute for the other's, and what a loop that ends leaves
    open is found when it is collected.
    """

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            name = server_name_of(rig.key.peer_id)

            def ask() -> socket.socket:
                raw = socket.create_connection(("127.0.0.1", rig.tracker.port))
                silent = unverified_context().wrap_socket(raw, server_hostname=name)
                silent.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
                assert silent.recv(12) == b"HTTP/1.1 200"
                return silent

            far_end = await asyncio.to_thread(ask)
            [connection] = [each.get_extra_info("socket") for each in rig.tracker.listener.visits._open]
            assert connection.fileno() > 0
        assert connection.fileno() == -1
        far_end.close()

    asyncio.run(main())
