"""What time it is, for machines that may not know: wall seconds.

A machine without a battery begins in the past, and its papers look as if they were issued in the future. Then a floor
counts instead of its clock: the latest time that a record bears which the swarm's keys sealed, and what has passed
since it was seen. The clock is known to be wrong when it is before the time at which this member's own papers were
issued; a clock that is not is never overruled, so a record from the future can do nothing to a machine that has the
time. Nor can it carry one that has not beyond the life of the papers, ``at_most``.

A machine has one clock, so this module holds one floor. Times of signed records are checked by ``wall_now``; OpenSSL
looks at the machine's clock, so while that is wrong certificates' times are not checked (``swarm.http.tls``), and those
of the credentials and grants that come with them are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from swarm.limits import CLOCK_SKEW_S


@dataclass(frozen=True, slots=True)
class Floor:
    """It was ``wall`` or later when the monotonic clock said ``seen_at``. ``issued``: when our papers were."""

    issued: float = 0.0
    wall: float = 0.0
    seen_at: float = 0.0

    def is_wrong(self, machine: float) -> bool:
        """Whether a machine's clock cannot be right."""
        return machine < self.issued - CLOCK_SKEW_S

    def now(self, machine: float, monotonic: float) -> float:
        """The time, by a machine's two clocks."""
        if not self.is_wrong(machine):
            return machine
        return max(machine, self.wall + monotonic - self.seen_at)

    def raised(self, wall: float, at_most: float, monotonic: float) -> Floor:
        """After a record that bears this time."""
        told, known = min(wall, at_most), self.wall + monotonic - self.seen_at
        return self if told <= known else Floor(self.issued, told, monotonic)

    def issued_at(self, issued: float, monotonic: float) -> Floor:
        """With papers that were issued then."""
        floor = self.raised(issued, issued, monotonic)
        return Floor(max(issued, self.issued), floor.wall, floor.seen_at)


machine_now = time.time
_floor = Floor()


def wall_now() -> float:
    """The time, as well as this machine can know it."""
    return _floor.now(machine_now(), time.monotonic())


def is_wrong() -> bool:
    """Whether the machine's clock cannot be right."""
    return _floor.is_wrong(machine_now())


def have_papers(issued: float) -> None:
    """Papers were issued to this machine then, by a key of the swarm."""
    global _floor
    _floor = _floor.issued_at(issued, time.monotonic())


def have_seen(wall: float, at_most: float) -> None:
    """A record that a key of the swarm sealed bears this time. ``at_most``: when this member's papers end."""
    global _floor
    _floor = _floor.raised(wall, at_most, time.monotonic())


def floor() -> Floor:
    """What is known, to be kept, and to be put back by tests."""
    return _floor


def restore(kept: Floor) -> None:
    """Know what was known."""
    global _floor
    _floor = kept
