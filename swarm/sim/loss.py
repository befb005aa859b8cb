"""What lost packets cost a flow and a message, on lines that lose a share of them at random. Pure.

A connection whose control takes loss for congestion does not exceed MSS / RTT * sqrt(3/2) / sqrt(p) (Mathis, Semke,
Mahdavi and Ott, *The macroscopic behavior of the TCP congestion avoidance algorithm*, 1997); CUBIC, which our listeners
choose, keeps at least to that on lines as short as these (RFC 9438, 4.3). What is lost is sent again and travels over
the links twice. A small message waits for a retransmission timeout, and each further time for twice as long (RFC 6298,
with the minimum that Linux takes). Bursts of loss, and messages of one connection that wait behind a late one, are not
modelled.
"""

from __future__ import annotations

import math
import random
from typing import Final

SEGMENT_BYTES: Final = 1448
RETRANSMIT_S: Final = 0.2


def either(one: float, other: float) -> float:
    """The share that is lost of what crosses two lines."""
    return 1.0 - (1.0 - one) * (1.0 - other)


def most_bytes_per_s(lost: float, round_trip_s: float) -> float:
    """What one connection carries at most; endless where nothing is lost."""
    return SEGMENT_BYTES / round_trip_s * math.sqrt(1.5 / lost) if lost else math.inf


def sent_bytes(size: float, lost: float) -> float:
    """What is sent until so much has arrived."""
    return size / (1.0 - lost)


def late_s(lost: float, way_s: float, rng: random.Random) -> float:
    """How much later than ``way_s`` a message comes."""
    late, timeout_s = 0.0, RETRANSMIT_S + 2 * way_s
    while lost and rng.random() < lost:
        late, timeout_s = late + timeout_s, 2 * timeout_s
    return late
