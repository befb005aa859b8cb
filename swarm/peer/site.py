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
    since: float
    progressed: float
    gained: int = 0
    stalled: bool = False


class Site:
    """This peer's site, as it knows it: the near neighbours that are no origins, and itself.

    ``held`` is what the others have.
    """

    def __init__(self, own: str, count: int) -> None:
        self.held = 0
        self._own = own
        self._count = count
        self._members: dict[str, _Member] = {}
        # Known from the moment when somebody far is asked: a swarm of one site never needs them.
        self._shares: dict[str, tuple[int, int]] = {}

    @property
    def is_alone(self) -> bool:
        return not self._members

    @property
    def own_share(self) -> int:
        """What this peer is to fetch from afar."""
        return self._shared()[self._own][0]

    @property
    def offset(self) -> int:
        """The block at which every member of the site begins."""
        return offset_of(self._shared(), self._count)

    def joined(self, peer: str, have: int, now: float) -> None:
        """A near neighbour, that is no origin, and what it has; or one tells anew what it has."""
        member = self._members.get(peer)
        if member is None:
            self._members[peer] = _Member(have, now, now)
            self.held |= have
            self._shares = {}
        else:
            news, member.have = have & ~member.have, have
            self._unite()
            self.has(peer, news, now)

    def left(self, peer: str) -> None:
        """It is gone, or no longer near."""
        if self._members.pop(peer, None) is not None:
            self._shares = {}
            self._unite()

    def has(self, peer: str, blocks: int, now: float) -> None:
        """It has these too."""
        member = self._members.get(peer)
        if member is None:
            return
        member.have |= blocks
        self.held |= blocks
        if blocks and (member.stalled or blocks & self._share_of(peer)):
            member.progressed = now
            member.gained += 1
            if member.stalled:
                member.stalled = False
                self._shares = {}

    def lost(self, peer: str, blocks: int) -> None:
        """It does not have these after all."""
        member = self._members.get(peer)
        if member is not None:
            member.have &= ~blocks
            self._unite()

    def tick(self, now: float) -> None:
        """Time passed: leave out who gets nothing of its share."""
        stalled = [member for peer, member in self._members.items() if self._is_stalled(peer, member, now)]
        for member in stalled:
            member.stalled = True
        if stalled:
            self._shares = {}

    def left_by_others(self, candidates: int) -> int:
        """Of these blocks, those that this peer may help another with."""
        left = candidates & self._shared()[self._own][1]
        return left if left.bit_count() >= HELP_MIN_BLOCKS else 0

    def _is_stalled(self, peer: str, member: _Member, now: float) -> bool:
        if member.stalled or not self._share_of(peer) & ~self.held:
            return False
        usual_s = (member.progressed - member.since) / member.gained if member.gained else 0.0
        return now - member.progressed > max(STALLED_S, STALLED_FACTOR * usual_s)

    def _share_of(self, peer: str) -> int:
        return self._shares[peer][0] if peer in self._shares else 0

    def _shared(self) -> dict[str, tuple[int, int]]:
        if not self._shares:
            active = [peer for peer, member in self._members.items() if not member.stalled]
            self._shares = shares([self._own, *active], self._count)
        return self._shares

    def _unite(self) -> None:
        self.held = 0
        for member in self._members.values():
            self.held |= member.have
