"""Which tags peers follow, and the rollout of each: what a peer's word and an entry of a log mean for them. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from swarm.log import Entry, Move
from swarm.reports import Followed
from swarm.rollout import Rollout as Stage
from swarm.tracker.figures.happenings import Happenings
from swarm.tracker.figures.peers import KnownPeer, Tag
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.steering import back_of, goes_on, severity_of, turn_of, turn_words

TAGS_MAX: Final = 4096
ROLLOUTS_MAX: Final = 64
LOOKUP_AGAIN_S: Final = 30.0
LOOKUPS_PER_TICK: Final = 8


@dataclass(slots=True)
class TagFigures:
    """Who follows a tag, and its latest rollout. ``head`` is the highest serial that anybody told, ``seen`` that of
    the entry that is known here."""

    followers: dict[bytes, None] = field(default_factory=dict)
    rollout: RolloutFigures | None = None
    head: int = 0
    seen: int = 0
    asked_at: float = float("-inf")


class TagBook:
    """The tags of one picture, over its peers."""

    def __init__(self, peers: Mapping[bytes, KnownPeer], happenings: Happenings) -> None:
        self._peers = peers
        self._happenings = happenings
        self.tags: dict[Tag, TagFigures] = {}
        self.rollouts: OrderedDict[tuple[str, str, int], RolloutFigures] = OrderedDict()
        # Tags that nobody follows, those first that have been so for longest: they make room for others.
        self._idle: dict[Tag, None] = {}
        self._overtaken: list[RolloutFigures] = []

    def follows(self, tag: Tag, peer: KnownPeer) -> TagFigures | None:
        figures = self._known(tag)
        if figures is not None:
            figures.followers[peer.who.public] = None
            self._idle.pop(tag, None)
        return figures

    def _known(self, tag: Tag) -> TagFigures | None:
        """What is known of a tag; None for one too many, while all the others are followed."""
        figures = self.tags.get(tag)
        if figures is None:
            if len(self.tags) >= TAGS_MAX:
                if not self._idle:
                    return None
                self._forget(next(iter(self._idle)))
            figures = self.tags[tag] = TagFigures()
            self._idle[tag] = None
        return figures

    def _forget(self, tag: Tag) -> None:
        del self.tags[tag], self._idle[tag]

    def _unfollowed(self, tag: Tag, figures: TagFigures) -> None:
        """Perhaps its last follower went, or its rollout did."""
        if figures.followers:
            return
        self._idle.setdefault(tag)
        if figures.rollout is None:
            self._forget(tag)

    def leaves(self, tag: Tag, peer: KnownPeer) -> None:
        figures = self.tags.get(tag)
        if figures is None:
            return
        figures.followers.pop(peer.who.public, None)
        if figures.rollout is not None:
            figures.rollout.leave(peer.who.public)
        self._unfollowed(tag, figures)

    def takes_part(self, peer: KnownPeer, told: Followed, now: float) -> None:
        figures = self.follows((told.dataset, told.tag), peer)
        if figures is None:
            return
        figures.head = max(figures.head, told.heard, told.serial, told.target)
        rollout = figures.rollout
        # Who pulled once does not follow: it takes no part in what comes after.
        if rollout is not None and not (told.is_pull and max(told.serial, told.target) != rollout.serial):
            rollout.put(peer.who.public, peer.who.site, peer.epoch, told, now)

    def moved(self, entry: Entry, now: float, wall_now: float) -> None:
        """An entry was committed just now: what it says of the time itself is by its publisher's clock, in seconds."""
        for move in entry.moves:
            tag = (entry.dataset, move.tag)
            known = self.tags.get(tag)
            before = known.rollout.staged if known is not None and known.rollout is not None else None
            is_news = known is None or entry.serial > known.seen
            if move.version is None:
                self._removed(tag, entry.serial, now)
            elif self.begin(tag, entry, move.version, now):
                self.rollouts[*tag, entry.serial].mark()
            if is_news:
                self._tell(entry, move, before, wall_now)

    def _tell(self, entry: Entry, move: Move, before: Stage | None, wall_now: float) -> None:
        turn = turn_of(entry, move, before)
        if turn is None:
            return
        kind, words = turn
        self._happenings.add(
            kind,
            wall_now,
            turn_words(move.tag, entry.dataset, kind, words),
            dataset=entry.dataset,
            tag=move.tag,
            serial=entry.serial,
            severity=severity_of(kind),
        )

    def begin(self, tag: Tag, entry: Entry, version: bytes, started: float, kept: RolloutFigures | None = None) -> bool:
        figures = self._known(tag)
        if figures is None:
            return False
        if tag in self._idle:
            # What moved just now is the last to make room.
            self._idle[tag] = self._idle.pop(tag)
        before = figures.rollout
        if entry.serial <= figures.seen:
            return False
        if before is not None and goes_on(entry, tag[1]) and before.version == version:
            # It goes on, or is held: the same version is on its way.
            before.steer(entry.rollout_of(tag[1]))
            figures.head = max(figures.head, entry.serial)
            figures.seen = entry.serial
            return False
        back = back_of(entry, tag[1])
        if before is not None:
            before.taken = back
            is_open = before.ended is None
            before.overtake(started)
            if is_open and before.wanted:
                self._overtaken.append(before)
        rollout = RolloutFigures(
            tag[0], tag[1], entry.serial, version, before.version if before else b"", entry.message, started
        )
        if kept is not None:
            rollout.remember(kept)
        # A tracker that begins may find one that is held.
        rollout.steer(entry.rollout_of(tag[1]))
        rollout.back = back
        if entry.totals is not None:
            rollout.total_bytes = entry.totals.bytes
        figures.rollout, figures.head, figures.seen = rollout, max(figures.head, entry.serial), entry.serial
        self.rollouts[*tag, entry.serial] = rollout
        while len(self.rollouts) > ROLLOUTS_MAX:
            self.rollouts.popitem(last=False)
        for public in figures.followers:
            peer = self._peers[public]
            told = peer.followed.get(tag)
            if told is not None and told.is_pull and max(told.serial, told.target) != entry.serial:
                continue
            # Who has told of this very move (this tracker began later, or hears of it late) had fetched nothing before.
            is_of_before = told is not None and max(told.serial, told.target) < entry.serial
            rollout.expect(public, peer.who.site, started, told if is_of_before else None, peer.epoch)
            if told is not None and max(told.serial, told.target, told.heard) >= entry.serial:
                rollout.put(public, peer.who.site, peer.epoch, told, peer.heard)
        return True

    def _removed(self, tag: Tag, serial: int, now: float) -> None:
        figures = self.tags.get(tag)
        if figures is None or serial <= figures.seen:
            return
        figures.seen = serial
        if figures.rollout is not None:
            figures.rollout.overtake(now)
            figures.rollout = None
            self._unfollowed(tag, figures)

    def rollout_of(self, tag: Tag, serial: int) -> RolloutFigures | None:
        """A rollout that is known here, the last of its tag for serial 0."""
        if serial:
            return self.rollouts.get((*tag, serial))
        figures = self.tags.get(tag)
        return figures.rollout if figures is not None else None

    def latest_version(self, dataset: str) -> bytes:
        """What that tag of a dataset means which moved last, of those that peers follow; empty if they follow none."""
        rollouts = [figures.rollout for (name, _), figures in self.tags.items() if name == dataset]
        return max(((r.serial, r.version) for r in rollouts if r is not None), default=(0, b""))[1]

    def unknown(self, tag: Tag) -> None:
        """There is no such tag, whatever a peer says."""
        figures = self.tags.get(tag)
        if figures is not None and figures.rollout is None:
            figures.head = 0

    def loses(self, tag: Tag, peer: KnownPeer, now: float) -> None:
        """A peer that follows a tag is not heard of any more."""
        figures = self.tags.get(tag)
        if figures is not None:
            figures.followers.pop(peer.who.public, None)
            if figures.rollout is not None:
                figures.rollout.lose(peer.who.public, now)
            self._unfollowed(tag, figures)

    def overtaken(self) -> list[RolloutFigures]:
        """Rollouts that have been overtaken since the last time that this was asked."""
        found, self._overtaken = self._overtaken, []
        return found

    def lookups(self, now: float) -> tuple[Tag, ...]:
        """Tags whose last move is not known here though peers speak of it."""
        found = []
        for tag, figures in self.tags.items():
            if figures.head > figures.seen and now - figures.asked_at >= LOOKUP_AGAIN_S:
                figures.asked_at = now
                found.append(tag)
                if len(found) >= LOOKUPS_PER_TICK:
                    break
        return tuple(found)

    def check_invariants(self) -> None:
        """What always holds."""
        for tag, figures in self.tags.items():
            assert figures.followers.keys() <= self._peers.keys(), tag
            if figures.rollout is not None:
                figures.rollout.check_invariants()
        assert len(self.rollouts) <= ROLLOUTS_MAX
        assert len(self.tags) <= TAGS_MAX
        assert self._idle.keys() == {tag for tag, figures in self.tags.items() if not figures.followers}
