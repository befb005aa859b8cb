"""Whether an idle neighbour should take over blocks that another was asked for, and which.

Pure. A block whose sending has not begun is taken back and asked for anew of an origin, or of a neighbour beyond a WAN
that is shared; near ones stand by for such (``swarm.peer.standby``). One that is under way and will take very long is
raced for, within a budget, since its bytes come twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from swarm.peer.neighbour import Neighbour, Run

# A block moves if it is expected this many times later where it is, and by a margin: in short downloads a share of the
# time taken so far, within bounds (least, share, most).
FACTOR: Final = 2.0
MARGIN_S: Final = (0.4, 0.05, 0.7)
# An origin, whose uploads are spared, and who lies beyond a shared WAN take over only what would be later by more.
SPARED_MARGIN_S: Final = (0.4, 0.2, 3.0)
# Of all bytes, at most this share is asked for a second time while the first is already coming.
RACE_BUDGET: Final = 0.02
RACE_LEAST_BYTES: Final = 2 << 20
# What is under way is raced for only if it has been for this long.
RACE_AFTER_S: Final = (0.5, 0.1, 1.5)


@dataclass(frozen=True, slots=True)
class Move:
    """Blocks of a run to ask another neighbour for. ``is_race``: they stay asked for where they are as well."""

    run: Run
    indices: tuple[int, ...]
    is_race: bool


class Overtaking:
    """What is late among the ``runs`` of a download, found once a moment; ``raced_bytes`` were asked for twice."""

    def __init__(self, neighbours: Mapping[str, Neighbour], runs: Mapping[int, Run], sizes: Sequence[int]) -> None:
        self.raced_bytes = 0
        self._neighbours = neighbours
        self._runs = runs
        self._sizes = sizes
        self._budget_bytes = max(RACE_LEAST_BYTES, RACE_BUDGET * sum(sizes))
        self._late: Late | None = None

    def changed(self) -> None:
        """A run ended, or a neighbour left."""
        self._late = None

    def is_idle(self, now: float) -> bool:
        """Whether it is known already that no run is late at this moment."""
        return self._late is not None and self._late.now == now and not self._late.runs

    def better_place(self, idle: Neighbour, now: float, started: float, *, is_far: bool) -> Move | None:
        """What ``idle`` should take over, in a download that began at ``started``.

        ``is_far``: it is beyond a WAN that is shared. Over that comes only what was asked for over it, nothing twice.
        """
        if self._late is None or self._late.now != now:
            self._late = Late(self._neighbours, self._runs.values(), self._sizes, now, started)
        if not self._late.runs:
            return None
        budget_bytes = 0.0 if is_far else self._budget_bytes - self.raced_bytes
        return self._late.better_place(idle, budget_bytes=budget_bytes, is_far=is_far)


class Late:
    """Of ``runs``, those that are late at the moment ``now`` of a download that began at ``started``, latest first."""

    def __init__(
        self,
        neighbours: Mapping[str, Neighbour],
        runs: Iterable[Run],
        sizes: Sequence[int],
        now: float,
        started: float,
    ) -> None:
        self.now = now
        self._neighbours = neighbours
        self._sizes = sizes
        elapsed_s = now - started
        self._long_ago = now - _within(RACE_AFTER_S, elapsed_s)
        self._margin_s = margin_s = _within(MARGIN_S, elapsed_s)
        self._spared_margin_s = _within(SPARED_MARGIN_S, elapsed_s)
        # What has moved before may only be late because all are: it has to be later each time.
        self.runs: list[tuple[float, int, Neighbour, Run]] = []
        for run in runs:
            if run.is_standby:
                continue
            if len(run.outstanding) == 1 and run.begun in run.outstanding and run.begun_at > self._long_ago:
                continue  # it is all under way, and not for long enough to be raced for
            neighbour = neighbours[run.peer]
            left_s = expected_end_s(neighbour, run, sizes, now) / (1 << run.moves)
            if left_s > margin_s:
                self.runs.append((left_s, run.id, neighbour, run))
        self.runs.sort(reverse=True, key=lambda late: late[:2])
        self._blocks = 0
        for _, _, _, run in self.runs:
            for index in run.outstanding:
                self._blocks |= 1 << index

    def better_place(self, idle: Neighbour, *, budget_bytes: float, is_far: bool) -> Move | None:
        """What ``idle`` should take over: the tail of the run expected to end last, if that is clearly later.

        ``is_far``: it is beyond a WAN that is shared, and takes only from its like.
        """
        if not idle.have & self._blocks:
            return None
        margin_s = self._spared_margin_s if is_far or idle.origin else self._margin_s
        # However small the block, it would take this long; what is less late than that is not looked at.
        least_s = FACTOR * (idle.expected_s(0, self.now) if idle.is_measured else 0.0) + margin_s
        for late in self.runs:
            left_s, _, other, run = late
            if left_s <= least_s:
                return None
            if other is idle or (is_far and other.near):
                continue
            may_take_back = is_far or idle.origin > 0
            move = _movable(run, idle, self._sizes, self._long_ago, budget_bytes, may_take_back)
            if move is None:
                continue
            if left_s <= FACTOR * self._needs_s(idle, self._sizes[move.indices[0]], is_far=is_far) + margin_s:
                return None
            self.runs.remove(late)
            return Move(run, _fitting(move.indices, self._sizes, idle.run_bytes()), move.is_race)
        return None

    def _needs_s(self, idle: Neighbour, size_bytes: int, *, is_far: bool) -> float:
        """How long a block would take from ``idle``; from one that gave nothing yet, what others take on average."""
        if idle.is_measured:
            return idle.expected_s(size_bytes, self.now)
        known = [
            other.expected_s(size_bytes, self.now)
            for other in self._neighbours.values()
            if other.is_measured and not (is_far and other.near)
        ]
        return sum(known) / len(known) if known else idle.expected_s(size_bytes, self.now)


def expected_end_s(neighbour: Neighbour, run: Run, sizes: Sequence[int], now: float) -> float:
    """How long until the last block of a run is here, by what its neighbour took so far.

    A run that is late already is taken to need as long again, and so is one of a neighbour that gave nothing yet.
    """
    left_bytes = sum(sizes[index] for index in run.outstanding)
    sending_s = left_bytes / neighbour.sending_bytes_per_s if neighbour.sending_bytes_per_s else 0.0
    if run.begun >= 0:
        waited_s = now - run.begun_at
        return max(sending_s - waited_s, waited_s)
    waited_s = now - run.started
    latency_s = neighbour.latency_s if neighbour.is_measured else 0.0
    return max(latency_s + sending_s - waited_s, waited_s)


def _within(bounds: tuple[float, float, float], elapsed_s: float) -> float:
    least, share, most = bounds
    return min(most, max(least, share * elapsed_s))


def _movable(
    run: Run, idle: Neighbour, sizes: Sequence[int], long_ago: float, budget_bytes: float, may_take_back: bool
) -> Move | None:
    """The later half of what has not begun; or else what began long ago, as far as the budget goes."""
    waiting = [index for index in reversed(run.outstanding) if index != run.begun and idle.have >> index & 1]
    if waiting and may_take_back:
        return Move(run, tuple(waiting[: (len(waiting) + 1) // 2]), is_race=False)
    if (
        run.begun_at <= long_ago
        and run.begun in run.outstanding
        and idle.have >> run.begun & 1
        and sizes[run.begun] <= budget_bytes
    ):
        return Move(run, (run.begun,), is_race=True)
    return None


def _fitting(indices: Sequence[int], sizes: Sequence[int], room_bytes: int) -> tuple[int, ...]:
    total = 0
    for number, index in enumerate(indices):
        total += sizes[index]
        if number and total > room_bytes:
            return tuple(indices[:number])
    return tuple(indices)
