"""Which addresses a listener can be reached at."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

from swarm.limits import ADDRESSES_MAX
from swarm.records import Address

TRIES_MAX: Final = 16
WILDCARDS: Final = ("0.0.0.0", "::", "")
# Asking the routing table which local address would be used sends nothing; any address outside will do.
_OUTSIDE: Final = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))


def addresses_of(listen: str, port: int) -> tuple[Address, ...]:
    """The address listened on; for a wildcard, those of this machine that lead outside, or loopback if none does."""
    if listen not in WILDCARDS:
        return (Address(listen, port),)
    found: dict[str, None] = {}
    for target, family in _OUTSIDE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found.setdefault(str(probe.getsockname()[0]))
        except OSError:
            continue
    usable = [host for host in found if not ipaddress.ip_address(host).is_link_local]
    return tuple(Address(host, port) for host in (usable or ["127.0.0.1"])[:ADDRESSES_MAX])


@dataclass(frozen=True, slots=True)
class HeldPort:
    """A port that is this process's over udp and over tcp: the sockets are bound, and nobody listens yet."""

    number: int
    datagrams: socket.socket
    streams: socket.socket

    def close(self) -> None:
        """Let go what nobody has taken over."""
        self.datagrams.close()
        self.streams.close()


def hold_port(host: str) -> HeldPort | None:
    """A port that was free over udp and over tcp, both of which a peer listens on; None if none is found, or the host
    has several addresses.

    Whoever takes a free one over tcp alone finds the same number taken over udp now and then; and whoever lets a free
    one go before it listens finds it taken.
    """
    for _ in range(TRIES_MAX):
        with contextlib.suppress(OSError):
            return _held_over_both(host)
    return None


def _held_over_both(host: str) -> HeldPort:
    found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    if len(found) > 1:
        raise OSError(f"{host} has several addresses")
    [(family, _, _, _, where)] = found
    with contextlib.ExitStack() as stack:
        udp = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        tcp = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        udp.bind(where)
        number = int(udp.getsockname()[1])
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tcp.bind((where[0], number, *where[2:]))
        stack.pop_all()
        return HeldPort(number, udp, tcp)
