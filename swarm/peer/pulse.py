"""Which neighbours are still there: who is silent is pinged, and who does not answer is in doubt. Pure.

A host that vanishes says nothing, and its channel breaks only when a heartbeat was missed (``swarm.peer.channels``), up
to 15 s later. A neighbour in doubt keeps its channel until then, but another takes its place at once. What took one may
have taken more: when one comes into doubt, the others are pinged that were silent just now. So it costs one ping a
channel every 5 to 10 s of silence, and who lost all eight neighbours knows of the first after a second or two and
``DOUBT_S``, and of all after twice that.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SILENT_S: Final = 10.0
# Longer than TCP takes to send twice again what was lost (RFC 6298: 0.2 s at least, then double), on far lines too.
DOUBT_S: Final = 2.0
# Who was heard so lately is not pinged when others come into doubt.
LATELY_S: Final = 1.0


@dataclass(slots=True)
class Beat:
    """When a neighbour was heard last, how long it may be silent, and since when a ping is not answered."""

    heard_at: float
    silence_s: float
    pinged_at: float | None = None
    in_doubt: bool = False


class Pulse:
    """The neighbours of one peer, as they were heard."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._beats: dict[str, Beat] = {}

    def opened(self, peer: str, now: float) -> None:
        """A channel has opened. Those that open together are not pinged together."""
        self._beats[peer] = Beat(now, SILENT_S * self._rng.random())

    def closed(self, peer: str) -> None:
        self._beats.pop(peer, None)

    def heard(self, peer: str, now: float) -> None:
        """Something came from it, an answer to a ping too."""
        beat = self._beats.get(peer)
        if beat is not None:
            beat.heard_at, beat.pinged_at, beat.in_doubt = now, None, False

    def is_in_doubt(self, peer: str) -> bool:
        return peer in self._beats and self._beats[peer].in_doubt

    def due(self, now: float) -> list[str]:
        """Whom to ping now; to be asked about once a second."""
        fallen = [beat for beat in self._beats.values() if _does_not_answer(beat, now)]
        for beat in fallen:
            beat.in_doubt = True
        due = []
        for peer, beat in self._beats.items():
            silence_s = min(beat.silence_s, LATELY_S) if fallen else beat.silence_s
            if beat.pinged_at is None and now - beat.heard_at >= silence_s:
                beat.pinged_at, beat.silence_s = now, SILENT_S * self._rng.uniform(0.5, 1.0)
                due.append(peer)
        return due

    def check_invariants(self, peers: Iterable[str]) -> None:
        assert self._beats.keys() == set(peers), "the pulse of others than the neighbours"
        assert all(beat.pinged_at is not None for beat in self._beats.values() if beat.in_doubt)


def _does_not_answer(beat: Beat, now: float) -> bool:
    return beat.pinged_at is not None and not beat.in_doubt and now - beat.pinged_at >= DOUBT_S
