"""Who is in this peer's own site: as the authority set it, or as it is seen; never as somebody says of itself.

A site that was set stands in the credential, under the authority's seal. Where neither end has one set, they are in one
site if the tracker sees both at one place, if one hears the other by multicast, which goes no further than the link, or
if the connection between them stays within one network (one private /24, one v6 /64, one public address).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

from swarm import canonical
from swarm.limits import RECORD_MAX_BYTES
from swarm.records import Address, Credential, Signed
from swarm.tracker.presence import site_seen

TOLD_MAX: Final = 4096


def site_of(credential: bytes) -> str:
    """The site in this peer's own credential, in force or not."""
    signed = canonical.decode(credential, Signed, limit_bytes=2 * RECORD_MAX_BYTES, what="credential")
    return canonical.decode(signed.body, Credential, limit_bytes=RECORD_MAX_BYTES).site


class Sites:
    """``own`` is this peer's site as it was set, or empty."""

    def __init__(self, own: str) -> None:
        self.own = own
        self.seen = ""
        self._told: OrderedDict[str, str] = OrderedDict()
        # Whether a member's own word came over our link lately.
        self.hears: Callable[[str], bool] = lambda peer_id: False

    def told(self, peer_id: str, site: str) -> None:
        """The tracker says where a peer is."""
        self._told[peer_id] = site
        self._told.move_to_end(peer_id)
        if len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)

    def is_near(self, peer_id: str, site: str, far_host: str, own_host: str) -> bool:
        """Whether the far end of a connection is in our site; ``site`` is what its credential says."""
        if self.own or site:
            return self.own == site
        told = self._told.get(peer_id, "")
        if (told and told == self.seen) or self.hears(peer_id):
            return True
        place = site_seen(far_host)
        return place != "" and place in (site_seen(own_host), self.seen)

    def seems_near(self, peer_id: str, site: str, addresses: Iterable[Address], own: Iterable[Address]) -> bool:
        """The same of a peer that is not connected yet, by its addresses: a hint whom to dial, no more."""
        if self.own or site:
            return self.own == site
        told = self._told.get(peer_id, "")
        if self.hears(peer_id):
            return True
        if told and self.seen:
            return told == self.seen
        places = {site_seen(address.host) for address in own} - {""}
        return any(site_seen(address.host) in places for address in addresses)
