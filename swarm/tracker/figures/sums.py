"""What is summed up over all peers once a second. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from swarm.tracker.figures.flow import Frame
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.rollouts import FAILED, FETCHING, RolloutFigures

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


@dataclass(slots=True)
class Summing:
    """The sums while they grow."""

    peers: int = 0
    seeds: int = 0
    trackers: int = 0
    given_bytes: int = 0
    taken_bytes: int = 0
    bad_blocks: int = 0
    silent: int = 0
    silent_since: float | None = None

    def add(self, peer: KnownPeer) -> None:
        """One more who is there."""
        totals, role = peer.totals, peer.who.role
        self.peers += 1
        self.seeds += peer.keeps
        self.trackers += role == "tracker"
        self.given_bytes += totals.sent
        self.taken_bytes += totals.received
        self.bad_blocks += totals.bad_blocks

    def closed(
        self,
        before: Sums,
        rollouts: Sequence[RolloutFigures],
        sites: int,
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
            peers=self.peers,
            seeds=self.seeds,
            trackers=self.trackers,
            fetching=sum(rollout.counts[FETCHING] for rollout in rollouts),
            behind=sum(rollout.behind for rollout in rollouts),
            failed=sum(rollout.counts[FAILED] for rollout in rollouts),
            sites=sites,
            given_bytes=self.given_bytes,
            taken_bytes=self.taken_bytes,
            bad_blocks=self.bad_blocks,
            rate_bytes_per_s=_towards(before.rate_bytes_per_s, rate, weight),
            origin_rate_bytes_per_s=_towards(before.origin_rate_bytes_per_s, origin, weight),
            silent=self.silent,
            silent_since=self.silent_since,
        )


def _towards(before: float, after: float, weight: float) -> float:
    moved = before + weight * (after - before)
    return moved if moved >= 1.0 or after else 0.0
