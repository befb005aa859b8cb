"""The picture that a tracker has of its swarm: reports, moves of tags and time go in, figures and what is to be done
come out. Pure: no I/O, no clock. ``now`` is monotonic, ``wall_now`` is told so that figures can be shown by the
calendar.

All trackers make the same picture of the same reports, whichever tracker these came to. A report never adds: what is
lost is told by the next one, and what comes twice changes nothing. So a tracker that begins knows all after one
heartbeat.

A peer that is silent for two heartbeats, or that a neighbour misses, is in doubt: it is looked at, and is gone unless
it can be connected to or says something. So nobody can talk another away who is there: of who cannot be connected to
anyhow, as it is behind address translation, one neighbour is believed only when a heartbeat does not come either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from swarm.figure_messages import EventKind
from swarm.figure_words import Severity
from swarm.limits import ANNOUNCE_INTERVAL_S, PRESENCE_MAX_PEERS
from swarm.log import Entry
from swarm.reports import Report
from swarm.tracker.figures.flow import FlowFigures
from swarm.tracker.figures.happenings import Happenings
from swarm.tracker.figures.peers import KnownPeer, Tag, Who, readable
from swarm.tracker.figures.rings import Rings
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.sums import Summing, Sums
from swarm.tracker.figures.tagbook import TagBook
from swarm.tracker.figures.turns import OtherTrackers, Turns
from swarm.units import span_words

SERIES: Final = (
    "peers",
    "fetching",
    "behind",
    "failed",
    "rate_bytes_per_s",
    "origin_rate_bytes_per_s",
    "reports_per_s",
    "bad_blocks",
    "stream_bytes_per_s",
)
# Reports that are wanted each second of peers with nothing to say, and of those that are behind: a report costs a
# tracker a third of a millisecond.
BEATS_PER_S: Final = 50
CHANGES_PER_S: Final = 100
BEAT_MIN_S: Final = 5.0
BEAT_MAX_S: Final = 60.0
# So many beats after it began a tracker has heard of everybody who follows a tag: the first few may all be current
# while others are not.
LISTENS_BEATS: Final = 2
PAUSE_MIN_S: Final = 1.0
# How many heartbeats are waited for: until a peer is looked at, and until it is gone if it cannot be.
DOUBT_BEATS: Final = 1.6
GONE_BEATS: Final = 2.6
# How long a peer in doubt has to say something, when it does not answer a connection. Then it is gone if so many miss
# it, or if it is silent for so many heartbeats.
DOUBT_S: Final = 2.5
MISSED_BY: Final = 2
DUE_BEATS: Final = 1.2
# A peer that answers connections and says nothing for so long is gone all the same.
SILENT_S: Final = 3.0 * ANNOUNCE_INTERVAL_S
GONE_KEPT_S: Final = 900.0
PROBES_PER_TICK: Final = 64
# A process that has run for longer has been there before this tracker heard of it.
NEWCOMER_S: Final = 60
# Who has left and comes back for less is there for one command on its home: neither its coming nor its going is told.
VISIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Due:
    """What the shell is to do: connect to peers in doubt, look tags up in the log, keep rollouts that are over."""

    probes: tuple[Who, ...]
    lookups: tuple[Tag, ...]
    ended: tuple[RolloutFigures, ...]


class Picture:
    """One tracker's."""

    def __init__(self, now: float, wall_now: float) -> None:
        self.offset = wall_now - now
        self.begun = now
        # No peer was there before this tracker: so it hears of each as it comes.
        self.is_new_swarm = True
        self.peers: dict[bytes, KnownPeer] = {}
        self.flow = FlowFigures()
        self.rings = Rings(SERIES)
        self.happenings = Happenings(begun=wall_now)
        self.book = TagBook(self.peers, self.happenings)
        self.tags, self.rollouts = self.book.tags, self.book.rollouts
        self.turns = Turns(self.peers, self.happenings, now)
        self.others = OtherTrackers(self.happenings)
        self.sums = Sums()
        self.reports = 0
        # Of what the stream writes, told by its shell.
        self.stream_bytes = 0
        self._doubted: dict[bytes, None] = {}
        self._ticked = now
        self._last_reports = 0
        self._last_stream = 0

    def wall(self, at: float) -> float:
        """A moment by the calendar."""
        return round(at + self.offset, 3)

    # ---- peers --------------------------------------------------------------------------------------------------

    @property
    def beat_s(self) -> float:
        """How often a peer is to report that has nothing to say."""
        return min(BEAT_MAX_S, max(BEAT_MIN_S, len(self.peers) / BEATS_PER_S))

    @property
    def pause_s(self) -> float:
        """How long a peer waits between reports of changes."""
        return max(PAUSE_MIN_S, (self.sums.fetching + self.sums.behind) / CHANGES_PER_S)

    def heard(self, who: Who, now: float) -> KnownPeer:
        """A peer has said something, whatever it was."""
        peer = self.peers.get(who.public)
        if peer is None:
            while len(self.peers) >= PRESENCE_MAX_PEERS:
                self._forget(next(iter(self.peers)))
            peer = self.peers[who.public] = KnownPeer(who, now, now, float(ANNOUNCE_INTERVAL_S))
            return peer
        if now < peer.heard:
            return peer
        if peer.health != "alive":
            self._is_back(peer, now)
        if peer.who != who:
            # Whoever passes on that it was heard need not know where it is.
            addresses = who.addresses or peer.who.addresses
            peer.who = replace(who, addresses=addresses)
            peer.number += 1
        peer.heard = now
        if peer.missed_by:
            peer.missed_by = {}
        return peer

    def _is_back(self, peer: KnownPeer, now: float) -> None:
        if peer.health == "gone":
            peer.came = (now, peer.last_word)
            if not peer.has_left:
                self._stays(peer)
            for tag in peer.followed:
                self.book.follows(tag, peer)
        peer.health, peer.has_left = "alive", False
        peer.number += 1
        self._doubted.pop(peer.who.public, None)

    def _stays(self, peer: KnownPeer) -> None:
        """Tell that it is back, if that is not told yet."""
        if peer.came is not None:
            (at, word), peer.came = peer.came, None
            self._tell(peer, "back", at, f"{_named(peer)} is back", occasion=word)

    def report(self, who: Who, report: Report, now: float, may_read: Callable[[str], bool] | None = None) -> bool:
        """A report; ``now`` is when it was made. Whether it leaves away what is not known here. ``may_read``: of which
        datasets it may speak.
        """
        is_first = who.public not in self.peers
        peer = self.heard(who, now)
        if not peer.is_new(report):
            return False
        needs_full = peer.misses(report)
        if may_read is not None:
            report = readable(report, may_read)
        before, bad = peer.followed, peer.totals.bad_blocks
        was_reported = peer.reported is not None
        for other, sent, received in peer.take(report, now, self.wall(now)):
            self._moved(peer, other, sent, received)
        peer.beat_s = self.beat_s
        self.reports += 1
        if report.is_full:
            for tag in before.keys() - peer.followed.keys():
                self.book.leaves(tag, peer)
        for told in peer.followed.values() if report.is_full else report.followed:
            self.book.takes_part(peer, told, now)
        for missed in report.missed:
            self._missed(peer, missed, now)
        if was_reported and report.totals.bad_blocks > bad:
            text = f"{_named(peer)} was sent {report.totals.bad_blocks - bad} blocks that were not what they should be"
            self._tell(peer, "bad-block", now, text, "warning", f"{peer.epoch}.{report.totals.bad_blocks}")
        if (is_first or not was_reported) and report.uptime_s < NEWCOMER_S:
            self._tell(peer, "joined", now, f"{_named(peer)} is there", occasion=str(peer.epoch))
        return needs_full

    def _moved(self, peer: KnownPeer, other: bytes, sent: int, received: int) -> None:
        """Bytes between two peers: the taker's word counts, and the giver's where the taker says nothing."""
        far = self.peers.get(other)
        if received:
            giver = self._place(far) if far is not None else "?"
            is_origin = far is not None and far.is_origin and not peer.is_origin
            self.flow.add(giver, self._place(peer), received, is_origin=is_origin)
        if sent and (far is None or far.reported is None):
            self.flow.add(self._place(peer), self._place(far) if far is not None else "?", sent)

    def _place(self, peer: KnownPeer) -> str:
        return peer.who.site if self.flow.by_site else peer.who.peer_id

    def left(self, public: bytes, now: float) -> None:
        """A peer has said goodbye, or is a member no more."""
        peer = self.peers.get(public)
        if peer is None or peer.health == "gone":
            return
        peer.has_left = True
        if peer.came is None:
            self._tell(peer, "left", now, f"{_named(peer)} has left", occasion=peer.last_word)
        peer.came = None
        self._gone(peer)
        for tag in peer.followed:
            self.book.leaves(tag, peer)

    def _missed(self, peer: KnownPeer, other: bytes, now: float) -> None:
        """One peer cannot reach another any more."""
        missed = self.peers.get(other)
        if missed is not None and missed.health != "gone" and missed is not peer and missed.heard < now:
            missed.missed_by[peer.who.public] = now
            self._doubt(missed, now)

    def _doubt(self, peer: KnownPeer, now: float) -> None:
        if peer.health == "alive":
            peer.health, peer.doubted_at, peer.is_unreachable = "doubtful", now, False
            peer.number += 1
            self._doubted[peer.who.public] = None

    def probed(self, public: bytes, *, is_there: bool, now: float) -> None:
        """Somebody in doubt was connected to, or not."""
        peer = self.peers.get(public)
        if peer is None or peer.health != "doubtful":
            return
        if is_there:
            peer.missed_by, peer.health = {}, "alive"
            peer.doubted_at = now
            peer.number += 1
        else:
            peer.is_unreachable = True

    def _died(self, peer: KnownPeer, now: float) -> None:
        self._stays(peer)
        text = f"{_named(peer)} is gone without a word, not heard for {now - peer.heard:.0f} s"
        self._tell(peer, "died", now, text, "warning", peer.last_word)
        self._gone(peer)
        for tag in peer.followed:
            self.book.loses(tag, peer, now)

    def _gone(self, peer: KnownPeer) -> None:
        peer.health = "gone"
        peer.rate_in = peer.rate_out = 0.0
        peer.number += 1
        self._doubted.pop(peer.who.public, None)

    def _forget(self, public: bytes) -> None:
        peer = self.peers.pop(public)
        self._doubted.pop(public, None)
        for tag in peer.followed:
            self.book.leaves(tag, peer)

    # ---- tags ---------------------------------------------------------------------------------------------------

    def moved(self, entry: Entry, now: float) -> None:
        """An entry of a log, committed just now: a rollout of each tag that it moves."""
        self.book.moved(entry, now, self.wall(now))

    def found(self, tag: Tag, entry: Entry, version: bytes, now: float, before: RolloutFigures | None = None) -> None:
        """What a tag that peers follow means, by the log: a rollout that began before this tracker did, or unseen.

        ``before``: what a tracker kept of it. The entry says its begin in whole seconds, by another clock.
        """
        began = before.started if before is not None else entry.wall_time
        self.book.begin(tag, entry, version, min(now, began - self.offset), before)

    # ---- time ---------------------------------------------------------------------------------------------------

    def tick(self, now: float, wall_now: float) -> Due:
        """Once a second: who is silent, what is summed up, which rollouts are over."""
        self.offset = wall_now - now
        self._look_at_peers(now)
        self.flow.tick(now, self.sums.peers)
        last = [figures.rollout for figures in self.tags.values() if figures.rollout is not None]
        self.turns.look(last, now, self.wall(now))
        has_listened = now - self.begun >= LISTENS_BEATS * self.beat_s
        ended = tuple(
            rollout
            for rollout in self.rollouts.values()
            if rollout.tick(now, may_end=has_listened or (self.is_new_swarm and rollout.started >= self.begun))
        )
        for rollout in ended:
            self._over(rollout, now)
        self._note(now)
        self._ticked = now
        return Due(self._probes(), self.book.lookups(now), (*ended, *self.book.overtaken()))

    def _look_at_peers(self, now: float) -> None:
        """One look at everybody: whatever is summed up here costs a microsecond a peer each second."""
        sums, forgotten = Summing(), []
        there: list[KnownPeer] = []
        for peer in self.peers.values():
            if peer.health == "gone":
                if now - peer.heard > GONE_KEPT_S:
                    forgotten.append(peer.who.public)
                continue
            beat_s = peer.beat_s if peer.beat_s < ANNOUNCE_INTERVAL_S else ANNOUNCE_INTERVAL_S
            if peer.is_unreachable and self._is_given_up(peer, beat_s, now):
                self._died(peer, now)
                continue
            if now - peer.heard > DOUBT_BEATS * beat_s:
                sums.silent += 1
                sums.silent_since = min(peer.heard, sums.silent_since or peer.heard)
                if self._is_silent(peer, now - peer.heard, beat_s, now):
                    continue
            if peer.came is not None and now - peer.came[0] >= VISIT_S:
                self._stays(peer)
            there.append(peer)
        sums.add(there)
        for public in forgotten:
            self._forget(public)
        rollouts = [figures.rollout for figures in self.tags.values() if figures.rollout is not None]
        elapsed = max(0.001, now - self._ticked)
        self.sums = sums.closed(self.sums, rollouts, self.flow.last, elapsed)

    def _is_given_up(self, peer: KnownPeer, beat_s: float, now: float) -> bool:
        """Whether a peer that cannot be connected to had its time to say something."""
        if peer.health != "doubtful" or now - peer.doubted_at < DOUBT_S:
            return False
        return len(peer.missed_by) >= MISSED_BY or now - peer.heard > DUE_BEATS * beat_s

    def _is_silent(self, peer: KnownPeer, silent_s: float, beat_s: float, now: float) -> bool:
        """It has missed heartbeats: in doubt, or gone, which is told."""
        is_in_doubt = peer.health == "doubtful" and now - peer.doubted_at >= DOUBT_S
        if silent_s > SILENT_S or (is_in_doubt and silent_s > GONE_BEATS * beat_s):
            self._died(peer, now)
            return True
        if peer.health == "alive" and (peer.heard > peer.doubted_at or now - peer.doubted_at > beat_s):
            self._doubt(peer, now)
        return False

    def _probes(self) -> tuple[Who, ...]:
        chosen = list(self._doubted)[:PROBES_PER_TICK]
        for public in chosen:
            del self._doubted[public]
        return tuple(self.peers[public].who for public in chosen if public in self.peers)

    def _over(self, rollout: RolloutFigures, now: float) -> None:
        if rollout.ended is not None and rollout.ended < self.begun:
            return  # It was over before this tracker began: no news.
        last = f", the last after {span_words(rollout.done[-1])}" if rollout.done else ""
        everybody = f"all {rollout.wanted} peers are" if rollout.wanted > 1 else "its only follower is"
        there = "current" if rollout.back is None else "back"
        text = f"{rollout.tag} of {rollout.dataset}: {everybody} {there}{last}"
        self.happenings.add(
            "done",
            self.wall(now),
            text,
            dataset=rollout.dataset,
            tag=rollout.tag,
            serial=rollout.serial,
            occasion=str(rollout.wanted),
        )

    def _note(self, now: float) -> None:
        sums, elapsed = self.sums, max(0.001, now - self._ticked)
        self.rings.put(
            self.wall(now),
            {
                "peers": sums.peers,
                "fetching": sums.fetching,
                "behind": sums.behind,
                "failed": sums.failed,
                "rate_bytes_per_s": round(sums.rate_bytes_per_s),
                "origin_rate_bytes_per_s": round(sums.origin_rate_bytes_per_s),
                "reports_per_s": round((self.reports - self._last_reports) / elapsed, 2),
                "bad_blocks": sums.bad_blocks,
                "stream_bytes_per_s": round((self.stream_bytes - self._last_stream) / elapsed),
            },
        )
        self._last_reports, self._last_stream = self.reports, self.stream_bytes

    def _tell(
        self, peer: KnownPeer, kind: EventKind, now: float, text: str, severity: Severity = "info", occasion: str = ""
    ) -> None:
        who = peer.who
        self.happenings.add(
            kind, self.wall(now), text, peer=who.peer_id, site=who.site, severity=severity, occasion=occasion
        )

    def check_invariants(self) -> None:
        """What always holds, after each step of a test."""
        self.book.check_invariants()
        self.happenings.check_invariants()
        assert not any(peer.came and peer.health == "gone" for peer in self.peers.values())


def _named(peer: KnownPeer) -> str:
    where = f" at {peer.who.site}" if peer.who.site else ""
    return f"{peer.who.role} {peer.who.peer_id[:8]}{where}"
