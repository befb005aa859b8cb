"""What trackers leave for one another in the object store: where each is, and some peers to begin from.

    swarm/trackers/{peer id}     a listing, sealed by the CA; written again every minute, ignored after five, gone after
                                 a day
    swarm/peers                  peers that were there lately, sealed by the CA: a hint for who starts all alone

All trackers tell the same list in the same order, so that members come together at one of them while it lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from swarm.authority import Authority
from swarm.errors import IntegrityError, NotFoundError
from swarm.limits import BOOTSTRAP_MAX, PAGE_MAX, TRACKERS_MAX
from swarm.log import WallTime
from swarm.messages import Contact
from swarm.objects import ObjectStore
from swarm.records import Addresses, Key
from swarm.tracker import sealed
from swarm.tracker.listing import FRESH_S, Listing, seal_listing
from swarm.trust import Trust

PREFIX: Final = "swarm/trackers/"
PEERS_KEY: Final = "swarm/peers"
KEPT_S: Final = 86_400.0
PEER_ADDRESSES_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Listed:
    """A tracker's listing and its bytes, as they lie in the store and are passed on."""

    listing: Listing
    data: bytes


class MetPeer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A peer that announced itself lately, the last time at ``wall_time``."""

    public: Key
    addresses: Addresses
    wall_time: WallTime


class MetPeers(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Peers to begin from."""

    format: Literal[1]
    peers: Annotated[tuple[MetPeer, ...], msgspec.Meta(max_length=BOOTSTRAP_MAX)]

    @property
    def sealed_at(self) -> int:
        return max((peer.wall_time for peer in self.peers), default=0)


def write(objects: ObjectStore, authority: Authority, listing: Listing) -> Listed:
    """Say that this tracker is there."""
    data = seal_listing(authority.key, listing)
    objects.put(PREFIX + listing.peer_id, data)
    return Listed(listing, data)


def withdraw(objects: ObjectStore, contact: Contact) -> None:
    """Say that this tracker stops."""
    objects.delete(PREFIX + contact.peer_id)


def read(objects: ObjectStore, authority: Trust, wall_now: float) -> tuple[Listed, ...]:
    """The trackers heard of lately, the oldest first. What is damaged, foreign or half gone is passed over."""
    fresh = [listed for listed in _read_all(objects, authority) if _age_s(listed, wall_now) <= FRESH_S]
    return tuple(sorted(fresh, key=lambda listed: listed.listing.age_order)[:TRACKERS_MAX])


def remove_old(objects: ObjectStore, authority: Trust, wall_now: float) -> None:
    """Clear away the listings of trackers that were killed long ago."""
    for listed in _read_all(objects, authority):
        if _age_s(listed, wall_now) > KEPT_S:
            objects.delete(PREFIX + listed.listing.peer_id)


def _read_all(objects: ObjectStore, authority: Trust) -> list[Listed]:
    found: list[Listed] = []
    for key in objects.list(PREFIX, limit=PAGE_MAX):
        try:
            data = objects.get(key)
            listing = sealed.unseal(data, Listing, authority=authority, key=key)
        except (NotFoundError, IntegrityError):
            continue
        if key == PREFIX + listing.peer_id:
            found.append(Listed(listing, data))
    return found


def _age_s(listed: Listed, wall_now: float) -> float:
    return abs(listed.listing.wall_time - wall_now)


def write_peers(objects: ObjectStore, authority: Authority, peers: Sequence[Contact], wall_now: float) -> None:
    """Leave peers to begin from: these, and what room is left for those that others left before."""
    met = {p.public: MetPeer(p.public, p.addresses[:PEER_ADDRESSES_MAX], int(wall_now)) for p in peers}
    for peer in _peers(objects, authority.trust, wall_now):
        met.setdefault(peer.public, peer)
    objects.put(PEERS_KEY, sealed.seal(authority.key, MetPeers(1, tuple(met.values())[:BOOTSTRAP_MAX])))


def read_peers(objects: ObjectStore, authority: Trust, wall_now: float) -> tuple[Contact, ...]:
    """Peers that were there within the last day."""
    return tuple(Contact(peer.public, peer.addresses) for peer in _peers(objects, authority, wall_now))


def _peers(objects: ObjectStore, authority: Trust, wall_now: float) -> tuple[MetPeer, ...]:
    try:
        met = sealed.unseal(objects.get(PEERS_KEY), MetPeers, authority=authority, key=PEERS_KEY)
    except (NotFoundError, IntegrityError):
        return ()
    return tuple(peer for peer in met.peers if abs(wall_now - peer.wall_time) <= KEPT_S)
