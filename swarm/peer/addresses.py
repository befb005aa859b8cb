"""Which addresses a listener can be reached at."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
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


def free_port(host: str) -> int:
    """A port that is free over tcp and over udp, both of which a peer listens on; 0 if none is found.

    Whoever takes a free one over tcp alone finds the same number taken over udp now and then.
    """
    for _ in range(TRIES_MAX):
        with contextlib.suppress(OSError):
            return _free_over_both(host)
    return 0


def _free_over_both(host: str) -> int:
    family, _, _, _, where = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as udp, socket.socket(family, socket.SOCK_STREAM) as tcp:
        udp.bind(where)
        port = int(udp.getsockname()[1])
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((where[0], port, *where[2:]))
        return port
