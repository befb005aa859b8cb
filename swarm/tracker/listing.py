"""A tracker's listing: where it is, sealed with the CA key, so that anybody can pass it on and nobody can make one.

Trackers write theirs into the object store and tell it to one another; peers pass it on over their channels, so that a
tracker that starts somewhere else is known to all within a second or two, also when every other is gone. Pure.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from swarm.identity import PeerKey, peer_id_of
from swarm.log import WallTime
from swarm.messages import Contact
from swarm.records import Addresses, Key
from swarm.tracker import sealed
from swarm.trust import Trust

# A tracker says again where it is every minute; who has said nothing for five is not listed.
REFRESH_S = 60.0
FRESH_S = 300.0


class Listing(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One tracker as of ``wall_time``, running ``since`` (wall seconds).

    ``addresses`` are the tracker's, ``node`` those of the peer in the same process, empty where there is none.
    """

    format: Literal[2]
    public: Key
    addresses: Addresses
    node: Addresses
    since: WallTime
    wall_time: WallTime

    @property
    def sealed_at(self) -> int:
        return self.wall_time

    @property
    def peer_id(self) -> str:
        return peer_id_of(self.public)

    @property
    def contact(self) -> Contact:
        """How members reach the tracker."""
        return Contact(self.public, self.addresses)

    @property
    def age_order(self) -> tuple[int, str]:
        """The order in which all members prefer trackers: who came first, so that a new one moves nobody."""
        return (self.since, self.peer_id)


def seal_listing(authority: PeerKey, listing: Listing) -> bytes:
    """Bytes that ``open_listing`` reads. Only who holds the CA key can make them."""
    return sealed.seal(authority, listing)


def open_listing(data: bytes, authority: Trust) -> Listing:
    """The listing under a key of the CA, or RemoteProtocolError."""
    return sealed.opened(data, Listing, authority=authority)
