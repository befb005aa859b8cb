"""Which of many versions is looked at next to find the first bad one, and when it is found. Pure.

Versions are in order; the first is good and the last is bad. One that cannot be judged is skipped: the one nearest to
the middle is looked at in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "bad", "skip"]


@dataclass(frozen=True, slots=True)
class Look:
    """Look at this one next; so many may still be the first bad one."""

    at: int
    left: int


@dataclass(frozen=True, slots=True)
class Found:
    """The first bad one is among these: one, or several where those before it had to be skipped."""

    suspects: tuple[int, ...]


def next_look(verdicts: Sequence[Verdict | None]) -> Look | Found:
    """What to do, by what is known of each."""
    bad = verdicts.index("bad")
    good = max(at for at in range(bad) if verdicts[at] == "good")
    between = range(good + 1, bad)
    unknown = [at for at in between if verdicts[at] is None]
    if not unknown:
        return Found((*between, bad))
    middle = (good + bad) / 2
    return Look(min(unknown, key=lambda at: abs(at - middle)), len(between) + 1)
