"""A peer of a rollout: where it is, and what of it is looked at often, which is found out when it changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swarm.figure_messages import STATES
from swarm.reports import Followed
from swarm.tracker.figures.left import left_at, measured_s, smoothed
from swarm.tracker.figures.sources import NOTHING, Sources, fetched, minus, plus

UNAWARE: Final = STATES.index("unaware")
WAITING: Final = STATES.index("waiting")
FETCHING: Final = STATES.index("fetching")
VERIFYING: Final = STATES.index("verifying")
CURRENT: Final = STATES.index("current")
FAILED: Final = STATES.index("failed")
LOST: Final = STATES.index("lost")
# Who has not moved for so long is stalled.
STALLED_S: Final = 30.0


@dataclass(slots=True)
class Member:
    """A peer of a rollout. ``told`` is its last word; ``before`` are bytes by source of processes that have ended."""

    site: str
    state: int
    since: float
    wanted_since: float
    told: Followed | None = None
    epoch: int = 0
    number: int = -1
    moved_at: float = 0.0
    # Bytes per second, averaged over reports, as of the last one.
    rate: float = 0.0
    rated_at: float = 0.0
    # Seconds until it was current for the first time: who comes back to it has been there before.
    arrived_s: float | None = None
    before: Sources = NOTHING
    # What it had fetched of the version, by source, when this move came: who goes back had it once.
    had: Sources = NOTHING
    has_failed: bool = False
    # Whether the stage of now does not let it in, by its own word.
    is_held: bool = False
    # Whether it pulls once: it is forgotten when it goes.
    is_pull: bool = False
    # Whether what it had fetched is in what was kept, in ``RolloutFigures.kept``.
    is_of_kept: bool = False
    # See ``settle``: bytes per second; seconds until it has all bytes, which is to be told of who fetches for so long;
    # and who of those that are behind is told of first, lowest first.
    usual_rate: float | None = None
    told_rate: int = 0
    left: float | None = None
    measured_s: float = 0.0
    order: tuple[int, float] = (2, 0.0)

    def settle(self) -> None:
        """It has changed: find out what is looked at of thousands each second."""
        self.usual_rate = self._usual_rate()
        told, rank = self.told, 0 if self.state == FAILED else 1 if self.state == LOST else 2
        self.order = rank, told.done_bytes / told.total_bytes if told is not None and told.total_bytes else 0.0
        if told is None:
            self.left, self.told_rate = None, 0
        else:
            self.left, self.measured_s = left_at(told, self.rate), measured_s(told)
            self.told_rate = told.rate_bytes_per_s

    def left_s(self, now: float) -> float | None:
        """Seconds until it has all bytes. None unless it fetches, and enough is measured to tell."""
        return self.left if self.state == FETCHING and now - self.since >= self.measured_s else None

    def rates(self, told: Followed, now: float) -> None:
        """Take a rate in: as it is until enough is measured, averaged from then on."""
        if self.told is not None and now - self.since >= measured_s(self.told):
            self.rate = smoothed(self.rate, told.rate_bytes_per_s, now - self.rated_at)
        else:
            self.rate = float(told.rate_bytes_per_s)
        self.rated_at = now

    def _usual_rate(self) -> float | None:
        """Bytes per second: as it fetches, or as it has fetched what it got by when it was current (a second at least,
        as it tells so seldom). None if neither is known.
        """
        if self.state == FETCHING and self.told is not None:
            return self.told.rate_bytes_per_s
        brought = sum(self.sources[:2])
        if self.state != CURRENT or self.arrived_s is None or not brought:
            return None
        return brought / max(1.0, self.arrived_s)

    @property
    def sources(self) -> Sources:
        """Bytes from peers, from the origin, reused, wasted, and as they travelled."""
        told = self.told
        if told is None:
            return self.before
        return plus(self.before, minus(fetched(told), self.had))
