"""Which addresses peers may be dialled at: what a member says of itself must not lead us into our own machine.

Addresses come from records that members sign, so a member chooses where others connect to (server-side request
forgery). Nothing is sent there but the beginning of a handshake, but even that opens doors: programs on loopback, the
metadata service of a cloud, devices of one link. So only addresses are dialled that lead to other machines: public
ones and those of private networks, where swarms live. Loopback and link-local count only if we ourselves are reached
there, and whatever a setting allows counts. A name is looked up first: what is judged is the address that is dialled
then, never the text. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from swarm.errors import UsageError

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


# Where clouds answer a machine about itself, besides the link-local 169.254.169.254 of most of them.
METADATA: Final = _networks(
    *("169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
    *("fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128"),
)
# What names no single machine, or hides another address in a way of its own (RFC 6890 and its updates).
NOWHERE: Final = _networks(
    *("0.0.0.0/8", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/128", "100::/64", "2001::/32", "64:ff9b:1::/48", "fec0::/10", "ff00::/8"),
)
LOOPBACK: Final = _networks("127.0.0.0/8", "::1/128")
LINK_LOCAL: Final = _networks("169.254.0.0/16", "fe80::/10")
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


@dataclass(frozen=True, slots=True)
class Dialable:
    """What may be dialled. ``own`` are the addresses that we are reached at, ``also`` the networks of the setting."""

    own: tuple[Ip, ...] = ()
    also: tuple[Network, ...] = ()

    def allows(self, host: str) -> bool:
        """Whether an address may be dialled; False for what is no address in its usual form."""
        address = numeric(host)
        return address is not None and not self.why_not(address)

    def why_not(self, address: Ip) -> str:
        """What speaks against an address, empty for nothing."""
        if getattr(address, "scope_id", None) is not None:
            return "its scope means something only on one machine"
        real = embedded(address)
        if _is_in(real, self.also):
            return ""
        if _is_in(real, METADATA):
            return "it is where a cloud answers machines about themselves"
        if _is_in(real, NOWHERE):
            return "it names no machine that everybody means by it"
        if _is_in(real, LOOPBACK) and not self._is_here(LOOPBACK):
            return "it is on loopback, where this peer is not reached"
        if _is_in(real, LINK_LOCAL) and not self._is_here(LINK_LOCAL):
            return "it is link-local, where this peer is not reached"
        return ""

    def _is_here(self, networks: tuple[Network, ...]) -> bool:
        return any(_is_in(address, networks) for address in self.own)


def numeric(host: str) -> Ip | None:
    """An address in its usual form; None for names, and for forms that only old libraries read, as ``127.1``."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def embedded(address: Ip) -> Ip:
    """The v4 address that packets to a v6 one come to in the end, where it holds one; else itself."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and (address in NAT64 or (address in COMPATIBLE and int(address) > 0xFFFF)):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _is_in(address: Ip, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def dialable_of(own: Iterable[str], also: tuple[Network, ...] = ()) -> Dialable:
    """For a peer that is reached at these hosts."""
    hosts = (numeric(host) for host in own)
    return Dialable(tuple(host for host in hosts if host is not None), also)


def networks_in(text: str) -> tuple[Network, ...]:
    """The networks of a setting, with commas between. UsageError for what is none."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"dial_also names no networks: {error}; expected some as in 127.0.0.0/8,fe80::/10") from error


# What may be dialled from anywhere.
NOT_HERE: Final = Dialable()
# For calls to where the operator, or the CA's seal, says that a tracker is: on this machine too, but nowhere odd.
TRUSTED: Final = Dialable(own=(ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1")))
