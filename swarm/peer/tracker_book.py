"""The listings of trackers that a peer knows and passes on: the youngest of each tracker, few. Pure.

A listing is news when it is of a tracker that was not known, or that is elsewhere now, or that was not heard of for as
long as trackers count as gone: then it is passed on to every neighbour, once. So each crosses the swarm when a tracker
starts, and every few minutes at most. Whose seal is not the swarm's own proves nothing.
"""

from __future__ import annotations

from swarm.errors import RemoteProtocolError
from swarm.limits import CLOCK_SKEW_S, TRACKERS_MAX
from swarm.tracker.listing import FRESH_S, Listing, open_listing
from swarm.trust import Trust


class TrackerBook:
    """``authority``: the CA's keys."""

    def __init__(self, authority: Trust) -> None:
        self._authority = authority
        self._known: dict[bytes, tuple[Listing, bytes]] = {}

    def learn(self, data: bytes, wall_now: float = float("inf")) -> Listing | None:
        """Remember a listing; the listing if it is news. RemoteProtocolError when no tracker sealed it, or it is from
        the future: no other of that tracker would count until then.
        """
        if any(data == kept for _, kept in self._known.values()):
            return None
        listing = open_listing(data, self._authority)
        if listing.wall_time > wall_now + CLOCK_SKEW_S:
            raise RemoteProtocolError("a tracker's listing is from the future: check this machine's clock")
        known = self._known.get(listing.public)
        if known is not None and known[0].wall_time >= listing.wall_time:
            return None
        self._known[listing.public] = (listing, data)
        if len(self._known) > TRACKERS_MAX:
            oldest = min(self._known, key=lambda public: self._known[public][0].wall_time)
            del self._known[oldest]
            if oldest == listing.public:
                return None
        return listing if known is None or _differs(known[0], listing) else None

    def forget_unproved(self) -> None:
        """Forget what only a stolen key has sealed."""
        for public, (_, data) in list(self._known.items()):
            try:
                open_listing(data, self._authority)
            except RemoteProtocolError:
                del self._known[public]

    def told(self) -> tuple[bytes, ...]:
        """What a new neighbour is told."""
        return tuple(data for _, data in self._known.values())


def _differs(known: Listing, listing: Listing) -> bool:
    is_elsewhere = (known.addresses, known.node) != (listing.addresses, listing.node)
    return is_elsewhere or listing.wall_time - known.wall_time >= FRESH_S
