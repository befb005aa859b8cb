"""Peers of one site agree who fetches what from afar, so that each block comes over the WAN about once.

Pure. Each missing block has one member whose share it is (``swarm.peer.shares``); the others wait until a member has
it. A member that gets nothing of its share for long is left out until it does, and who is done with his own share
helps where he is second in rank, from the far end of the order, so that the two meet once. A preference, never a wall:
who is alone in his site fetches everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swarm.peer.shares import offset_of, shares

# A member is behind that got nothing of its share for this long, and for this many times what it usually takes.
STALLED_S: Final = 6.0
STALLED_FACTOR: Final = 4.0
# Others' shares are helped with while at least so many blocks are left: fewer are on their way already.
HELP_MIN_BLOCKS: Final = 4


@dataclass(slots=True)
class _Member:
    have: int
    share: int
    since: float
    progressed: float
    gained: int = 0
    stalled: bool = False


class Site:
    """This peer's site, as it knows it: the near neighbours that are no origins, and itself.

    ``held`` is what the others have, ``own_share`` what this peer is to fetch, in order from ``offset``.
    """

    def __init__(self, own: str, count: int) -> None:
        self.held = 0
        self.offset = 0
        self.own_share = (1 << count) - 1
        self._second = 0
        self._own = own
        self._count = count
        self._members: dict[str, _Member] = {}

    @property
    def is_alone(self) -> bool:
        return not self._members

    def joined(self, peer: str, have: int, now: float) -> None:
        """A near neighbour, that is no origin, and what it has."""
        self._members[peer] = _Member(have, 0, now, now)
        self._share()

    def left(self, peer: str) -> None:
        """It is gone, or tells anew what it has."""
        if self._members.pop(peer, None) is not None:
            self._share()

    def has(self, peer: str, blocks: int, now: float) -> None:
        """It has these too."""
        member = self._members.get(peer)
        if member is None:
            return
        member.have |= blocks
        self.held |= blocks
        if blocks & member.share or member.stalled:
            member.progressed = now
            member.gained += 1
            if member.stalled:
                member.stalled = False
                self._share()

    def lost(self, peer: str, blocks: int) -> None:
        """It does not have these after all."""
        member = self._members.get(peer)
        if member is not None:
            member.have &= ~blocks
            self._unite()

    def tick(self, now: float) -> None:
        """Time passed: leave out who gets nothing of its share."""
        stalled = [member for member in self._members.values() if self._is_stalled(member, now)]
        for member in stalled:
            member.stalled = True
        if stalled:
            self._share()

    def left_by_others(self, candidates: int) -> int:
        """Of these blocks, those that this peer may help another with."""
        left = candidates & self._second
        return left if left.bit_count() >= HELP_MIN_BLOCKS else 0

    def _is_stalled(self, member: _Member, now: float) -> bool:
        if member.stalled or not member.share & ~(member.have | self.held):
            return False
        usual_s = (member.progressed - member.since) / member.gained if member.gained else 0.0
        return now - member.progressed > max(STALLED_S, STALLED_FACTOR * usual_s)

    def _share(self) -> None:
        active = [peer for peer, member in self._members.items() if not member.stalled]
        found = shares([self._own, *active], self._count)
        for peer, member in self._members.items():
            member.share = found[peer][0] if peer in found else 0
        self.own_share, self._second = found[self._own]
        self.offset = offset_of(found, self._count)
        self._unite()

    def _unite(self) -> None:
        self.held = 0
        for member in self._members.values():
            self.held |= member.have
