"""What is summed up over all peers once a second. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarm.tracker.figures.flow import Frame
from swarm.tracker.figures.members import FAILED, FETCHING
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.rollouts import RolloutFigures

# Over about how long a rate is smoothed.
RATE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sums:
    """Of all peers, as of the last tick."""

    peers: int = 0
    seeds: int = 0
    trackers: int = 0
    fetching: int = 0
    behind: int = 0
    failed: int = 0
    sites: int = 0
    given_bytes: int = 0
    taken_bytes: int = 0
    bad_blocks: int = 0
    rate_bytes_per_s: float = 0.0
    origin_rate_bytes_per_s: float = 0.0
    silent: int = 0
    silent_since: float | None = None
    # How many there are at each site, and where there is an origin among them.
    by_site: Mapping[str, int] = field(default_factory=dict)
    origin_sites: Collection[str] = ()


@dataclass(slots=True)
class Summing:
    """The sums while they grow."""

    seeds: int = 0
    trackers: int = 0
    given_bytes: int = 0
    taken_bytes: int = 0
    bad_blocks: int = 0
    silent: int = 0
    silent_since: float | None = None
    by_site: dict[str, int] = field(default_factory=dict)
    origin_sites: set[str] = field(default_factory=set)

    def add(self, peers: Iterable[KnownPeer]) -> None:
        """All who are there: thousands, each second."""
        by_site, given, taken, bad = self.by_site, 0, 0, 0
        for peer in peers:
            totals, who = peer.totals, peer.who
            by_site[who.site] = by_site.get(who.site, 0) + 1
            given += totals.sent
            taken += totals.received
            bad += totals.bad_blocks
            if peer.has_published or peer.store is not None or who.role != "peer":
                self._add_other(peer)
        self.given_bytes, self.taken_bytes, self.bad_blocks = given, taken, bad

    def _add_other(self, peer: KnownPeer) -> None:
        """It is more than a consumer."""
        self.seeds += peer.keeps
        self.trackers += peer.who.role == "tracker"
        if peer.is_origin:
            self.origin_sites.add(peer.who.site)

    def closed(
        self,
        before: Sums,
        rollouts: Sequence[RolloutFigures],
        frame: Frame | None,
        elapsed_s: float,
    ) -> Sums:
        """The sums, with rates that follow those of ``before``. ``frame`` is what moved last: both rates are of it, so
        that of the origin is never the larger one.
        """
        weight = min(1.0, elapsed_s / RATE_S)
        rate = origin = 0.0
        if frame is not None and frame.seconds > 0:
            rate, origin = frame.bytes / frame.seconds, frame.origin_bytes / frame.seconds
        return Sums(
            peers=sum(self.by_site.values()),
            seeds=self.seeds,
            trackers=self.trackers,
            fetching=sum(rollout.counts[FETCHING] for rollout in rollouts),
            behind=sum(rollout.behind for rollout in rollouts),
            failed=sum(rollout.counts[FAILED] for rollout in rollouts),
            sites=len(self.by_site),
            given_bytes=self.given_bytes,
            taken_bytes=self.taken_bytes,
            bad_blocks=self.bad_blocks,
            rate_bytes_per_s=_towards(before.rate_bytes_per_s, rate, weight),
            origin_rate_bytes_per_s=_towards(before.origin_rate_bytes_per_s, origin, weight),
            silent=self.silent,
            silent_since=self.silent_since,
            by_site=self.by_site,
            origin_sites=self.origin_sites,
        )


def _towards(before: float, after: float, weight: float) -> float:
    moved = before + weight * (after - before)
    return moved if moved >= 1.0 or after else 0.0
