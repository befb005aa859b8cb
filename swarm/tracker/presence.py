"""Who is where and holds what: the tracker's soft state, filled by announces. Pure: no I/O, no clock.

An announce replaces the peer's last one and counts for three intervals. Everything is bounded: when there are too many
peers the one heard of longest ago goes. Nothing here outlives the process; it is back after one interval.
"""

from __future__ import annotations

import ipaddress
import random
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from swarm.limits import ADDRESSES_MAX, ANNOUNCE_EXPIRES_INTERVALS, PRESENCE_MAX_PEERS
from swarm.messages import Holding
from swarm.records import Address, Role

Version = tuple[str, bytes]
# Of how many holders of one version a choice is made at most: a swarm of thousands must not make an announce slow.
SAMPLE_MAX: Final = 256
# Who may say that it is a seed: with `aetherfs up` tracker and seed are one member, of role tracker.
KEEPER_ROLES: Final = ("seed", "tracker")
_WILDCARDS: Final = ("0.0.0.0", "::", "")


@dataclass(frozen=True, slots=True)
class Present:
    """A peer as it announced itself, at ``heard`` (monotonic seconds). ``holdings`` by (dataset, version).

    ``since`` is when it came: ``Presence`` keeps it. ``clock_offset_s``: its clock minus ours; ``certificate_expires``
    in wall seconds.

    ``keeps``: it is a seed, alone or in one process with a tracker, and keeps every block.
    """

    public: bytes
    peer_id: str
    addresses: tuple[Address, ...]
    role: Role
    site: str
    holdings: dict[Version, Holding]
    heard: float
    keeps: bool
    since: float = 0.0
    clock_offset_s: float = 0.0
    certificate_expires: float = 0.0


class Presence:
    """All peers heard of lately."""

    def __init__(self, interval_s: float, max_peers: int = PRESENCE_MAX_PEERS) -> None:
        self._lifetime_s = interval_s * ANNOUNCE_EXPIRES_INTERVALS
        self._max_peers = max_peers
        # In the order in which they were heard of, so the oldest is always first.
        self._peers: OrderedDict[str, Present] = OrderedDict()
        # By version and whether they have all of it: peer ids, as the keys of a dict.
        self._holders: dict[tuple[Version, bool], dict[str, None]] = {}
        self._keepers: dict[str, None] = {}

    def announce(self, peer: Present) -> None:
        """Replace what is known of a peer. Announces come in order of time."""
        known = self._peers.get(peer.peer_id)
        peer = replace(peer, since=known.since if known is not None else peer.heard)
        self.forget(peer.peer_id)
        self.expire(peer.heard)
        while len(self._peers) >= self._max_peers:
            self.forget(next(iter(self._peers)))
        self._peers[peer.peer_id] = peer
        for version, holding in peer.holdings.items():
            self._holders.setdefault((version, holding.complete), {})[peer.peer_id] = None
        if peer.keeps:
            self._keepers[peer.peer_id] = None

    def forget(self, peer_id: str) -> None:
        """A peer has left, or is a member no more."""
        peer = self._peers.pop(peer_id, None)
        if peer is None:
            return
        self._keepers.pop(peer_id, None)
        for version, holding in peer.holdings.items():
            holders = self._holders[version, holding.complete]
            del holders[peer_id]
            if not holders:
                del self._holders[version, holding.complete]

    def expire(self, now: float) -> None:
        """Forget who has been silent for three intervals."""
        while self._peers:
            oldest = next(iter(self._peers.values()))
            if oldest.heard + self._lifetime_s > now:
                return
            self.forget(oldest.peer_id)

    def holders(
        self, version: Version, now: float, *, complete: bool, rng: random.Random, at_most: int = SAMPLE_MAX
    ) -> list[Present]:
        """The peers that announced a version, with all of it or still fetching: a random choice of very many."""
        self.expire(now)
        found = list(self._holders.get((version, complete), ()))
        chosen = found if len(found) <= at_most else rng.sample(found, at_most)
        return [self._peers[peer_id] for peer_id in chosen]

    def get(self, peer_id: str) -> Present | None:
        """A peer, if it was heard of lately."""
        return self._peers.get(peer_id)

    def count(self, version: Version, *, complete: bool) -> int:
        """How many announced a version, with all of it or still fetching."""
        return len(self._holders.get((version, complete), ()))

    def versions(self) -> int:
        """How many versions somebody announced."""
        return len({version for version, _ in self._holders})

    def seeds(self, now: float) -> list[Present]:
        """Who keeps every block."""
        self.expire(now)
        return [self._peers[peer_id] for peer_id in self._keepers]

    def latest(self, now: float) -> Iterator[Present]:
        """All peers, the one heard of last first."""
        self.expire(now)
        return iter(reversed(self._peers.values()))

    def __len__(self) -> int:
        return len(self._peers)

    def check_invariants(self) -> None:
        """The indexes agree with the peers, and the order with the times."""
        heard = [peer.heard for peer in self._peers.values()]
        assert heard == sorted(heard), "peers are not in the order in which they were heard of"
        assert len(self._peers) <= self._max_peers
        indexed = {(peer_id, *key) for key, holders in self._holders.items() for peer_id in holders}
        held = {
            (peer.peer_id, version, holding.complete)
            for peer in self._peers.values()
            for version, holding in peer.holdings.items()
        }
        assert indexed == held, "the index of holders is wrong"
        assert all(self._holders.values()), "a version without holders is kept"
        assert set(self._keepers) == {peer.peer_id for peer in self._peers.values() if peer.keeps}


def usable_addresses(announced: Iterable[Address], remote: str) -> tuple[Address, ...]:
    """The addresses that a peer seen at ``remote`` may be announced with.

    A wildcard stands for ``remote``. A loopback address counts only when the peer is on the tracker's own machine,
    and what no peer can be dialled at (multicast, unspecified, link-local without a scope) does not count at all.
    """
    local = is_loopback(remote)
    found: dict[Address, None] = {}
    for address in announced:
        host = remote if address.host in _WILDCARDS else address.host
        if is_loopback(host) and not local:
            continue
        if _is_dialable(host):
            found[Address(host, address.port)] = None
    return tuple(found)[:ADDRESSES_MAX]


def addresses_for(addresses: tuple[Address, ...], remote: str) -> tuple[Address, ...]:
    """The addresses that are of use to an asker at ``remote``: loopback ones only on this machine."""
    return addresses if is_loopback(remote) else not_loopback(addresses)


def not_loopback(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Those that mean something on another machine."""
    return tuple(address for address in addresses if not is_loopback(address.host))


def site_seen(remote: str) -> str:
    """A site by where a peer is seen: one public v4 address, one private v4 /24 network, one v6 /64 network."""
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return ""
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    if address.is_private:
        return str(ipaddress.ip_network((address, 24), strict=False))
    return str(address)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its own name for itself."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def _is_dialable(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return all(part and len(part) <= 63 for part in host.rstrip(".").split("."))
    return not (address.is_multicast or address.is_unspecified or (address.version == 6 and address.is_link_local))
