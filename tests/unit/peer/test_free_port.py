"""A port for tcp and udp at once."""

from __future__ import annotations

import socket

import pytest

from swarm.peer import addresses


def test_a_port_is_free_over_both() -> None:
    port = addresses.free_port("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_server(("127.0.0.1", port)):
        udp.bind(("127.0.0.1", port))


def test_a_number_that_is_taken_over_tcp_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the numbers that are free over udp, the first two are taken over tcp."""
    taken: list[socket.socket] = []
    bind = socket.socket.bind

    def meddled(self: socket.socket, address: tuple[str, int]) -> None:
        if self.type == socket.SOCK_STREAM and len(taken) < 2:
            other = socket.socket()
            bind(other, address)
            other.listen()
            taken.append(other)
        bind(self, address)

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "bind", meddled)
        port = addresses.free_port("127.0.0.1")
    assert len(taken) == 2
    assert port not in {0, *(other.getsockname()[1] for other in taken)}
    for other in taken:
        other.close()


def test_a_host_that_cannot_be_is_left_to_who_listens() -> None:
    assert addresses.free_port("192.0.2.7") == 0
