"""What a listener accepts has the congestion control that suits many flows."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from swarm.http.congestion import FITTING, suit_many_flows
from swarm.http.serve import make_app, start_listener


def control_of(one: Any) -> bytes:
    found: bytes = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return found.rstrip(b"\0")


def may_choose() -> bool:
    with socket.socket() as one:
        suit_many_flows([one])
        return control_of(one) == FITTING


@pytest.mark.skipif(not may_choose(), reason="this system does not let us choose")
def test_connections_inherit_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        suit_many_flows([listening])
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert control_of(accepted) == FITTING


@pytest.mark.skipif(not may_choose(), reason="this system does not let us choose")
def test_every_listener_is_suited() -> None:
    async def check() -> None:
        listener = await start_listener(make_app(), "127.0.0.1", 0, None)
        try:
            assert {control_of(one) for one in listener._server.sockets} == {FITTING}
        finally:
            await listener.close()

    asyncio.run(check())
