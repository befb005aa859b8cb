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


def is_measured(told: Followed, fetches_s: float) -> bool:
    """Whether a peer that has fetched for so long has brought enough to foretell by; what it reused was no fetch."""
    brought, needed = told.peers + told.origin, told.total_bytes - told.reused
    return fetches_s >= MEASURED_LATEST_S or (fetches_s >= MEASURED_S and brought >= MEASURED_SHARE * needed)


def smoothed(rate: float, told_rate: float, elapsed_s: float) -> float:
    """An average that follows what is told, the faster the more time has passed; twice at once is as good as once."""
    return rate + (told_rate - rate) * -math.expm1(-max(0.0, elapsed_s) / SMOOTH_S)


def left_s(told: Followed, rate: float, fetches_s: float) -> float | None:
    """Seconds until all bytes are there; None before enough is measured, and when nothing moves or all are there."""
    left = told.total_bytes - told.done_bytes
    if left <= 0 or rate < 1 or not is_measured(told, fetches_s):
        return None
    return max(LEAST_S, left / rate)
