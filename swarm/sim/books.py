"""What was sent and what became of it, in payload bytes; and the checks that it adds up."""

from __future__ import annotations

from swarm.sim.peer import Peer


class BrokenError(AssertionError):
    """An invariant does not hold."""


class Books:
    """``whole`` blocks are sent; each is stored, or twice, or garbage, or late (its taker is gone or done) or in
    the air. What was ``broken`` off never arrived.
    """

    def __init__(self, version_bytes: int) -> None:
        self.version_bytes = version_bytes
        self.whole = 0
        self.kept = 0
        self.twice = 0
        self.garbage = 0
        self.late = 0
        self.in_air = 0
        self.broken = 0.0
        self.from_origins = 0
        self.origin_sent = 0

    def sent(self, giver: Peer, size: int) -> None:
        """A block left its giver."""
        self.whole += size
        self.in_air += size
        if giver.origin:
            self.origin_sent += size

    def stored(self, giver: Peer, size: int) -> None:
        """A verified block is kept."""
        if giver.kind == "liar":
            raise BrokenError(f"peer {giver.number} sends garbage, and it was stored")
        self.kept += size
        if giver.origin:
            self.from_origins += size

    def check_whole(self, peer: Peer, everything: int) -> None:
        """Who is done has every block."""
        if peer.held != everything:
            raise BrokenError(f"peer {peer.number} says it is done and lacks {(everything ^ peer.held).bit_count()}")

    def check(self) -> None:
        """Every byte that was sent is accounted for."""
        accounted = self.kept + self.twice + self.garbage + self.late + self.in_air
        if self.whole != accounted:
            raise BrokenError(f"{self.whole} bytes were sent and {accounted} accounted for")
