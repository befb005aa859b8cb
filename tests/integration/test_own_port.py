"""A peer on free ports: nobody takes the port that it has chosen before it listens there, over tcp or over udp."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from swarm.http.serve import start_listener
from tests.integration.swarm_rig import Swarm


def test_whoever_wants_its_port_while_it_starts_comes_too_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sockets once were closed again after a number was found, and opened one after the other."""
    wanted: list[int] = []

    async def wanting(*arguments: Any, **keywords: Any) -> Any:
        """As another process would, between the one and the other."""
        listener = await start_listener(*arguments, **keywords)
        wanted.append(listener.port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", listener.port))
        return listener

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            monkeypatch.setattr("swarm.peer.node.start_listener", wanting)
            peer = await swarm.peer("peer")
            assert [address.port for address in peer.addresses()] == wanted == [peer.dht._transport.port]

    asyncio.run(main())
