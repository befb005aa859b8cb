"""What this peer works at: versions on their way to here, and tags that were pulled once. For reports and status.

Kept while it goes on and a little after, so that whoever asks a moment later still learns how it ended. Bounded.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from swarm.errors import FullError, IntegrityError, UnreachableError
from swarm.figure_words import Cause
from swarm.reports import STEPS_MAX, Phase

if TYPE_CHECKING:
    from swarm.peer.download import Download
    from swarm.peer.find import Resolved

WORKS_MAX: Final = 64
PULLS_MAX: Final = 16
# A version of which nothing came for so long has no rate at all: by then a tracker says that it stalled.
STILL_S: Final = 30.0


@dataclass(slots=True)
class Steps:
    """The phases of one followed tag, towards one serial, each with when it was entered (monotonic seconds)."""

    since: float = field(default_factory=time.monotonic)
    serial: int = 0
    count: int = 0
    known: deque[tuple[int, Phase, float]] = field(default_factory=lambda: deque(maxlen=STEPS_MAX))

    def enter(self, serial: int, phase: Phase, now: float) -> None:
        """It is in this phase from now on, if it was not before."""
        if serial != self.serial:
            self.serial = serial
            self.known.clear()
        if not self.known or self.known[-1][1] != phase:
            self.count += 1
            self.known.append((self.count, phase, now))


@dataclass(slots=True)
class Work:
    """A version that is fetched, or was: bytes by source as they stand."""

    download: Download | None = None
    is_ended: bool = False
    done: int = 0
    total: int = 0
    missing_blocks: int = 0
    peers: int = 0
    origin: int = 0
    wasted: int = 0
    wire: int = 0
    # Of blocks that are not whole yet, plain.
    coming: int = 0
    neighbours: int = 0
    words: str = ""
    rate: float = 0.0
    sampled: tuple[float, int] = (0.0, 0)
    gained: int = 0

    @property
    def fetched(self) -> int:
        return self.peers + self.origin

    def look(self, now: float) -> None:
        """Bring it up to date with its download."""
        if self.download is None:
            return
        scheduler, sources = self.download.scheduler, self.download.sources
        self.done, self.total = scheduler.blocks.stored_bytes, scheduler.total_bytes
        self.missing_blocks = len(scheduler.sizes) - scheduler.blocks.stored
        self.peers, self.origin, self.wire = sources.peers, sources.origin, sources.wire_bytes
        self.wasted, self.coming = scheduler.fetched_twice_bytes, self.download.coming_bytes
        self.neighbours = len(scheduler.neighbours)
        self.words = scheduler.waiting_for()
        self._measure(now)

    def _measure(self, now: float) -> None:
        """The rate, over a second at least, smoothed over some; what came of blocks that are not whole is in it. Until
        more comes, the rate is what it would be if as much came now as came last.
        """
        at, before = self.sampled
        came = self.fetched + self.coming
        if not at:
            self.sampled = (now, came)
            return
        # It is less than before where a run broke off in the middle of a block.
        self.sampled = (at, min(before, came))
        quiet_s, gained = now - at, came - self.sampled[1]
        if quiet_s < 1.0:
            return
        if not gained:
            self.rate = min(self.rate, self.gained / quiet_s) if quiet_s < STILL_S else 0.0
            return
        seen = gained / quiet_s
        self.rate = seen if not self.rate else self.rate + 0.5 * (seen - self.rate)
        self.sampled, self.gained = (now, came), gained


@dataclass(slots=True)
class Pull:
    """A tag that was pulled once."""

    resolved: Resolved
    steps: Steps
    phase: Phase = "waiting"
    cause: Cause = ""
    words: str = ""


class Works:
    """Of one peer. ``changed`` is called when something begins or ends."""

    def __init__(self) -> None:
        self.by_version: OrderedDict[tuple[str, bytes], Work] = OrderedDict()
        self.pulls: OrderedDict[tuple[str, str], Pull] = OrderedDict()
        self.changed: Callable[[], None] = lambda: None

    @property
    def coming_bytes(self) -> int:
        """Of blocks that are not whole yet, about how many plain bytes are here. What a broken run left is not."""
        return sum(work.download.coming_bytes for work in self.by_version.values() if work.download is not None)

    @contextmanager
    def fetching(self, dataset: str, version: bytes, download: Download) -> Iterator[None]:
        """A version is fetched while this lasts."""
        work = self.by_version[dataset, version] = Work(download)
        self.by_version.move_to_end((dataset, version))
        while len(self.by_version) > WORKS_MAX:
            self.by_version.popitem(last=False)
        self._tell((dataset, version), "fetching")
        try:
            yield
        finally:
            work.look(time.monotonic())
            work.download, work.rate, work.coming, work.is_ended = None, 0.0, 0, True
            self._tell((dataset, version), "verifying")

    def _tell(self, version: tuple[str, bytes], phase: Phase) -> None:
        now = time.monotonic()
        for (dataset, _), pull in self.pulls.items():
            if (dataset, pull.resolved.version) == version and pull.phase not in ("current", "failed"):
                pull.phase = phase
                pull.steps.enter(pull.resolved.serial, phase, now)
        self.changed()

    @contextmanager
    def pulling(self, resolved: Resolved) -> Iterator[None]:
        """A tag is pulled once while this lasts; what has no tag is not told of."""
        if resolved.tag is None:
            yield
            return
        pull = Pull(resolved, Steps())
        self.pulls[resolved.dataset, resolved.tag] = pull
        while len(self.pulls) > PULLS_MAX:
            self.pulls.popitem(last=False)
        pull.steps.enter(resolved.serial, "waiting", time.monotonic())
        self.changed()
        try:
            yield
        except BaseException as error:
            pull.cause, pull.words, pull.phase = cause_of(error), str(error) or type(error).__name__, "failed"
            raise
        else:
            pull.phase = "current"
        finally:
            pull.steps.enter(resolved.serial, pull.phase, time.monotonic())
            self.changed()


def cause_of(error: BaseException) -> Cause:
    """Of what kind a failure is."""
    if isinstance(error, FullError):
        return "disk-full"
    if isinstance(error, IntegrityError):
        return "refused"
    return "no-neighbour" if isinstance(error, UnreachableError) else "error"
