"""Which addresses a listener can be reached at."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from swarm.limits import ADDRESSES_MAX
from swarm.records import Address

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
