"""What a peer fetches into its site from beyond: over the WAN, each block once and few at a time.

Pure. A WAN that a site shares is filled by a few transmissions; with many, each takes so long that nobody in the site
has anything to pass on, and every new connection has to make its way through a full queue.
"""

from __future__ import annotations

from collections.abc import Collection

from swarm.peer.neighbour import Neighbour
from swarm.peer.picker import Picker
from swarm.peer.site import Site
from swarm.peer.window import FAR, Window


class Far:
    """``window`` bounds what is asked for over all neighbours that are not near; it is told what of it arrives."""

    def __init__(self, site: Site) -> None:
        self.window = Window(FAR)
        self._site = site

    def choose(self, candidates: int, room_bytes: int, neighbours: Collection[Neighbour], picker: Picker) -> list[int]:
        """What to ask a far neighbour for, of what it has and no origin near is asked for: this peer's share of what
        nobody near has; with nothing left of that to ask anybody for, another's that is behind.
        """
        far = [neighbour for neighbour in neighbours if not neighbour.near]
        if sum(neighbour.in_flight_bytes for neighbour in far) >= self.window.bytes:
            return []
        candidates &= ~self._site.held
        own = candidates & self._site.own_share
        if own:
            return picker.pick_upwards(own, room_bytes, self._site.offset)
        is_behind_itself = picker.missing & self._site.own_share & ~self._site.held
        if is_behind_itself or any(neighbour.runs for neighbour in far):
            return []
        return picker.pick_downwards(self._site.left_by_others(candidates), room_bytes, self._site.offset)
