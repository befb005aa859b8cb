"""What is known of one peer: its last word, and what of it is new. Pure.

A report replaces what the one before said and adds nothing up: bytes are totals of the peer's process, so the same
report twice changes nothing. Of an earlier process of the same peer only sums are kept. A peer can say what it likes of
itself; of others it says what it sent them and had of them, which is kept beside their own word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

import msgspec

from swarm.records import Address, Role
from swarm.reports import FOLLOWED_TOLD_MAX, DhtTold, Followed, Held, ReadTold, Report, Room, StoreTold, Totals

# Neighbours of one peer whose sums are kept, those of last; and versions.
LINKS_MAX: Final = 256
HOLDINGS_MAX: Final = 256
# Versions that it reads.
READS_MAX: Final = 16
# Earlier processes of one peer whose reports are known to be of the past.
PAST_MAX: Final = 8
# Over how long a rate is a mean, at least.
RATE_S: Final = 2.0

K = TypeVar("K")
V = TypeVar("V")
Health = Literal["alive", "doubtful", "gone"]
Tag = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Who:
    """A peer as the tracker knows it: by its certificate, its membership, and the address that it is ``seen`` at."""

    public: bytes
    peer_id: str
    role: Role
    site: str
    labels: tuple[str, ...]
    addresses: tuple[Address, ...]
    seen: str = ""


@dataclass(slots=True)
class LinkSum:
    """What one peer says it sent to and had of another. ``bad_heard``: how many of the ``bad`` blocks alerts know of;
    those too that came before anything was heard of its process here.
    """

    sent: int
    received: int
    is_open: bool
    bad: int = 0
    bad_heard: int = 0


@dataclass(slots=True)
class KnownPeer:
    """One peer. Times are monotonic seconds of the tracker, ``age_s`` of a report already taken off."""

    who: Who
    since: float
    heard: float
    beat_s: float
    health: Health = "alive"
    # When it became a member, by the roll (wall seconds).
    joined: float | None = None
    # It is gone by its own word.
    has_left: bool = False
    # It had left and is there again, since when and after which word, and that is not told yet.
    came: tuple[float, str] | None = None
    # Since when it is in doubt, and whether it could not be connected to since; whom it was missed by, when.
    doubted_at: float = 0.0
    is_unreachable: bool = False
    missed_by: dict[bytes, float] = field(default_factory=dict)
    reported: float | None = None
    epoch: int = 0
    sequence: int = -1
    past: tuple[int, ...] = ()
    started: float = 0.0
    program: str = ""
    clock_offset_s: float | None = None
    totals: Totals = field(default_factory=Totals)
    links: dict[bytes, LinkSum] = field(default_factory=dict)
    # Whether a neighbour has given it a block that was not what it should be.
    has_bad: bool = False
    others: tuple[int, int] = (0, 0)
    followed: dict[Tag, Followed] = field(default_factory=dict)
    holdings: dict[tuple[str, bytes], Held] = field(default_factory=dict)
    has_published: bool = False
    reads: dict[tuple[str, bytes], ReadTold] = field(default_factory=dict)
    waiting_for: tuple[str, ...] = ()
    room: Room | None = None
    dht: DhtTold | None = None
    store: StoreTold | None = None
    rate_in: float = 0.0
    rate_out: float = 0.0
    # Rises with every change that the list of peers shows.
    number: int = 0

    @property
    def last_word(self) -> str:
        """Which process of it spoke last, and which of its reports that was: all trackers know this alike."""
        return f"{self.epoch}.{self.sequence}"

    def is_new(self, report: Report) -> bool:
        """Whether a report says more than the last one: not one that was repeated, or overtaken."""
        if self.reported is None:
            return True
        if report.epoch != self.epoch:
            # Of two processes of one home only one lives: the later one.
            return report.epoch not in self.past
        return report.sequence > self.sequence

    def misses(self, report: Report) -> bool:
        """Whether a report leaves away what was never told here."""
        if report.is_full:
            return False
        return self.reported is None or report.epoch != self.epoch or report.sequence != self.sequence + 1

    def take(self, report: Report, now: float, wall_now: float) -> Iterator[tuple[bytes, int, int]]:
        """Replace what was known; yields what neighbours it has sent and had how much more since: (peer, sent,
        received).

        Nothing is more at the first word that is heard of a process which has run for a while: nobody knows when it
        moved.
        """
        is_same, before = report.epoch == self.epoch and self.reported is not None, self.totals
        elapsed = now - (self.reported if self.reported is not None else now)
        if not is_same:
            self.past = (*self.past, self.epoch)[-PAST_MAX:] if self.reported is not None else ()
            self.links, self.others, self.has_bad = {}, (0, 0), False
            before = Totals() if self.reported is not None else report.totals
        is_begun = is_same or self.reported is not None or report.uptime_s <= self.beat_s
        self.epoch, self.sequence, self.reported = report.epoch, report.sequence, now
        self.started, self.program = now - report.uptime_s, report.program
        self.clock_offset_s = report.wall_time_ms / 1000 - wall_now
        self._rates(report.totals, before, elapsed)
        self.totals, self.others = report.totals, (report.others_sent, report.others_received)
        self._rest(report)
        self.number += 1
        yield from self._links(report, is_begun=is_begun)

    def _rates(self, after: Totals, before: Totals, elapsed: float) -> None:
        if elapsed <= 0:
            return
        weight = min(1.0, elapsed / RATE_S)
        self.rate_in += weight * (_came(after, before) / elapsed - self.rate_in)
        self.rate_out += weight * (max(0, after.sent - before.sent) / elapsed - self.rate_out)

    def _links(self, report: Report, *, is_begun: bool) -> Iterator[tuple[bytes, int, int]]:
        for told in report.links:
            known = self.links.get(told.public)
            if known is None:
                if len(self.links) >= LINKS_MAX:
                    del self.links[next(iter(self.links))]
                heard = 0 if is_begun else told.bad
                self.links[told.public] = LinkSum(told.sent, told.received, told.is_open, told.bad, heard)
                sent, received = (told.sent, told.received) if is_begun else (0, 0)
            else:
                sent, received = told.sent - known.sent, told.received - known.received
                known.sent, known.received, known.is_open = told.sent, told.received, told.is_open
                known.bad = told.bad
            self.has_bad |= told.bad > 0
            if sent > 0 or received > 0:
                yield told.public, max(0, sent), max(0, received)

    def _rest(self, report: Report) -> None:
        if report.is_full:
            self.followed = {(told.dataset, told.tag): told for told in report.followed}
            self.holdings = {(told.dataset, told.version): told for told in report.holdings}
            self.reads = {(told.dataset, told.version): told for told in report.reads}
        else:
            for followed in report.followed:
                self.followed[followed.dataset, followed.tag] = followed
            for held in report.holdings:
                self.holdings[held.dataset, held.version] = held
            for read in report.reads:
                self.reads.pop((read.dataset, read.version), None)  # so that what is read now is cut last
                self.reads[read.dataset, read.version] = read
            _cut(self.reads, READS_MAX)
            _cut(self.followed, FOLLOWED_TOLD_MAX)
            _cut(self.holdings, HOLDINGS_MAX)
        self.has_published = any(held.is_origin for held in self.holdings.values())
        self.waiting_for = report.waiting_for
        self.room = report.room or self.room
        self.dht = report.dht or self.dht
        self.store = report.store or self.store

    @property
    def keeps(self) -> bool:
        """Whether it is a seed, alone or in one process with a tracker."""
        return self.who.role == "seed" or self.store is not None

    @property
    def is_origin(self) -> bool:
        """Whether what it gives is the origin's: it is a seed, or has published what it holds."""
        return self.has_published or self.keeps


def _came(after: Totals, before: Totals) -> float:
    """About how many plain bytes came. Blocks that are not whole yet count as they travel: over a slow link nothing is
    whole for a while, and then much at once.
    """
    if not after.wire_received:
        return max(0, after.received - before.received)
    wire = max(0, after.wire_received - before.wire_received)
    return wire * after.received / after.wire_received if after.received else wire


def readable(report: Report, may_read: Callable[[str], bool]) -> Report:
    """A report without what its peer may not read."""
    datasets = {told.dataset for told in report.followed} | {held.dataset for held in report.holdings}
    datasets |= {read.dataset for read in report.reads}
    refused = {dataset for dataset in datasets if not may_read(dataset)}
    if not refused:
        return report
    followed = tuple(told for told in report.followed if told.dataset not in refused)
    holdings = tuple(held for held in report.holdings if held.dataset not in refused)
    reads = tuple(read for read in report.reads if read.dataset not in refused)
    return msgspec.structs.replace(report, followed=followed, holdings=holdings, reads=reads)


def _cut(known: dict[K, V], most: int) -> None:
    """Let go of the oldest beyond so many."""
    while len(known) > most:
        del known[next(iter(known))]
