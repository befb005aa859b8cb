"""Whether an idle neighbour should take over blocks that another was asked for, and which.

Pure. A block whose sending has not begun is taken back and asked for anew, which costs nothing; one that is under way
and will take very long is raced for, within a budget, since its bytes come twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from swarm.peer.neighbour import Neighbour, Run

# A block moves if it is expected this many times later where it is, and by a margin: in short downloads a share of the
# time taken so far, within bounds (least, share, most).
FACTOR: Final = 2.0
MARGIN_S: Final = (0.4, 0.05, 0.7)
# An origin, whose uploads are spared, and who lies beyond a shared WAN take over only what would be later by more.
SPARED_MARGIN_S: Final = (0.4, 0.2, 3.0)
# What is under way is raced for only if it has been for this long.
RACE_AFTER_S: Final = (0.5, 0.1, 1.5)


@dataclass(frozen=True, slots=True)
class Move:
    """Blocks of a run to ask another neighbour for. ``is_race``: they stay asked for where they are as well."""

    run: Run
    indices: tuple[int, ...]
    is_race: bool


def better_place(
    neighbours: Collection[Neighbour],
    idle: Neighbour,
    sizes: Sequence[int],
    now: float,
    *,
    started: float,
    budget_bytes: float,
    is_spared: bool,
) -> Move | None:
    """What ``idle`` should take over: the tail of the run expected to end last, if that is clearly later.

    ``started`` is when the download began, ``is_spared`` that ``idle`` is not to be asked for much.
    """
    elapsed_s = now - started
    race_after_s = _within(RACE_AFTER_S, elapsed_s)
    best: Move | None = None
    latest_s = 0.0
    for other in neighbours:
        for run in other.runs.values() if other is not idle else ():
            move = _movable(run, idle, sizes, now - race_after_s, budget_bytes)
            # What has moved before may only be late because all are: it has to be later each time.
            left_s = 0.0 if move is None else expected_end_s(other, run, sizes, now) / (1 << run.moves)
            if left_s > latest_s:
                best, latest_s = move, left_s
    if best is None:
        return None
    needed_s = FACTOR * _needs_s(idle, neighbours, sizes[best.indices[0]], now)
    if latest_s <= needed_s + _within(SPARED_MARGIN_S if is_spared else MARGIN_S, elapsed_s):
        return None
    return Move(best.run, _fitting(best.indices, sizes, idle.run_bytes()), best.is_race)


def _needs_s(idle: Neighbour, neighbours: Collection[Neighbour], size_bytes: int, now: float) -> float:
    """How long a block would take from ``idle``; from one that gave nothing yet, what the others take on average."""
    if idle.is_measured:
        return idle.expected_s(size_bytes, now)
    known = [other.expected_s(size_bytes, now) for other in neighbours if other.is_measured]
    return sum(known) / len(known) if known else idle.expected_s(size_bytes, now)


def expected_end_s(neighbour: Neighbour, run: Run, sizes: Sequence[int], now: float) -> float:
    """How long until the last block of a run is here, by what its neighbour took so far.

    A run that is late already is taken to need as long again.
    """
    left_bytes = sum(sizes[index] for index in run.outstanding)
    sending_s = left_bytes / neighbour.sending_bytes_per_s if neighbour.sending_bytes_per_s else 0.0
    if run.begun >= 0:
        waited_s = now - run.begun_at
        return max(sending_s - waited_s, waited_s)
    waited_s = now - run.started
    return max(neighbour.latency_s + sending_s - waited_s, waited_s)


def _within(bounds: tuple[float, float, float], elapsed_s: float) -> float:
    least, share, most = bounds
    return min(most, max(least, share * elapsed_s))


def _movable(run: Run, idle: Neighbour, sizes: Sequence[int], long_ago: float, budget_bytes: float) -> Move | None:
    """The later half of what has not begun; or else what began long ago, as far as the budget goes."""
    waiting = [index for index in reversed(run.outstanding) if index != run.begun and idle.have >> index & 1]
    if waiting:
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
