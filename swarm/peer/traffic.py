"""What a peer sent and received, in payload bytes, by kind and by neighbour: for status and metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Traffic:
    """Counters of plain block bytes by neighbour, and of refused blocks."""

    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    # What was received, by what gave it: "peers" or "origin".
    taken: Counter[str] = field(default_factory=Counter)
    wire_sent_bytes: int = 0
    wire_received_bytes: int = 0
    # Encoded bytes that seeds took of publishes from here; in none of the others.
    uploaded_bytes: int = 0
    redirected: int = 0
    refused: int = 0
    bad_blocks: int = 0
    # Of these, by who gave them.
    bad_from: Counter[str] = field(default_factory=Counter)
