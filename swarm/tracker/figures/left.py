"""How long what is left will take, once enough was measured to say so. Pure."""

from __future__ import annotations

import math
from typing import Final

from swarm.reports import Followed

# The first seconds of a fetch are dials and questions: a rate of those would promise days.
MEASURED_S: Final = 3.0
MEASURED_SHARE: Final = 0.02
# Whoever is so slow that even this share takes longer is measured by then.
MEASURED_LATEST_S: Final = 30.0
# Over about so long rates are averaged, so that what is left does not jump with each report.
SMOOTH_S: Final = 5.0
LEAST_S: Final = 0.1


def measured_s(told: Followed) -> float:
    """For how long a peer fetches until what it has brought is enough to foretell by; what it reused was no fetch."""
    brought, needed = told.peers + told.origin, told.total_bytes - told.reused
    return MEASURED_S if brought >= MEASURED_SHARE * needed else MEASURED_LATEST_S


def smoothed(rate: float, told_rate: float, elapsed_s: float) -> float:
    """An average that follows what is told, the faster the more time has passed; twice at once is as good as once."""
    return rate + (told_rate - rate) * -math.expm1(-max(0.0, elapsed_s) / SMOOTH_S)


def left_s(told: Followed, rate: float, fetches_s: float) -> float | None:
    """Seconds until all bytes are there; None before enough is measured, and when nothing moves or all are there."""
    return left_at(told, rate) if fetches_s >= measured_s(told) else None


def left_at(told: Followed, rate: float) -> float | None:
    """The same once enough is measured."""
    left = told.total_bytes - told.done_bytes
    return max(LEAST_S, left / rate) if left > 0 and rate >= 1 else None
