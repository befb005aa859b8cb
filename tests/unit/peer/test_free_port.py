"""A port for tcp and udp at once, which is ours from when it is chosen."""

from __future__ import annotations

import errno
import socket

import pytest

from swarm.peer import addresses
from swarm.peer.addresses import HeldPort

KINDS = (socket.SOCK_DGRAM, socket.SOCK_STREAM)


def held() -> HeldPort:
    found = addresses.hold_port("127.0.0.1")
    assert found is not None
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_else_has_a_port_from_when_it_is_chosen(kind: socket.SocketKind) -> None:
    port = held()
    assert port.datagrams.getsockname() == port.streams.getsockname() == ("127.0.0.1", port.number)
    with socket.socket(socket.AF_INET, kind) as other, pytest.raises(OSError, match=r".") as refused:
        other.bind(("127.0.0.1", port.number))
    assert refused.value.errno == errno.EADDRINUSE
    port.close()
    assert port.datagrams.fileno() == port.streams.fileno() == -1


def test_a_number_that_is_taken_over_tcp_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the numbers that are free over udp, the first two are taken over tcp."""
    taken: list[socket.socket] = []
    bind = socket.socket.bind

    def meddled(self: socket.socket, address: tuple[str, int]) -> None:
        if self.type == socket.SOCK_STREAM and len(taken) < 2:
            other = socket.socket()
            try:
                bind(other, address)
                other.listen()
                taken.append(other)
            except OSError:  # Somebody has it in earnest: there is nothing to take.
                other.close()
        bind(self, address)

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "bind", meddled)
        port = held()
    assert len(taken) == 2
    assert port.number not in {other.getsockname()[1] for other in taken}
    port.close()
    for other in taken:
        other.close()


@pytest.mark.parametrize("host", ["192.0.2.7", "", "two"])
def test_a_host_that_cannot_be_or_is_two_is_left_to_who_listens(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if host == "two":
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 2, 17, "", ("127.0.0.1", 0))] * 2)
    assert addresses.hold_port(host) is None
