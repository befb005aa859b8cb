"""Whom a node believes to be a member, how quick each is, and what was already seen.

Pure. A credential is checked once and remembered; a packet is taken once, within a window of time; round trips are
estimated per node as in RFC 6298. All of it is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from swarm.errors import RemoteProtocolError
from swarm.records import Credential, open_sealed

MEMBERS_MAX: Final = 16_384
SEEN_MAX: Final = 65_536
WINDOW_S: Final = 30.0
FIRST_TIMEOUT_S: Final = 0.4
MIN_TIMEOUT_S: Final = 0.15
MAX_TIMEOUT_S: Final = 2.0


class Members:
    """Credentials that were shown. ``authority`` is the CA's public key."""

    def __init__(self, authority: bytes) -> None:
        self._authority = authority
        self._known: OrderedDict[bytes, int] = OrderedDict()

    def is_member(self, public: bytes, credential: bytes, wall_now: float) -> bool:
        """Whether a key belongs to the swarm, by what it shows or has shown."""
        expires = self._known.get(public)
        if expires is not None and expires > wall_now:
            self._known.move_to_end(public)
            return True
        if not credential:
            return False
        try:
            opened = open_sealed(credential, Credential, authority=self._authority, wall_now=wall_now)
        except RemoteProtocolError:
            return False
        if opened.public != public:
            return False
        self._known[public] = opened.expires
        if len(self._known) > MEMBERS_MAX:
            self._known.popitem(last=False)
        return True


class Seen:
    """Packets of the last WINDOW_S: each is taken once. When the memory is full the oldest is forgotten."""

    def __init__(self) -> None:
        self._ids: OrderedDict[bytes, None] = OrderedDict()

    def is_fresh(self, id: bytes, wall_ms: int, wall_now: float) -> bool:
        """Whether a packet is neither old, nor from the future, nor seen before. ``id`` is its seal."""
        if abs(wall_now - wall_ms / 1000) > WINDOW_S or id in self._ids:
            return False
        self._ids[id] = None
        if len(self._ids) > SEEN_MAX:
            self._ids.popitem(last=False)
        return True


@dataclass(slots=True)
class RoundTrip:
    """How long a node takes to answer (RFC 6298, section 2), and how often in a row it did not."""

    smoothed_s: float = 0.0
    variance_s: float = 0.0
    failures: int = 0

    def measure(self, sample_s: float) -> None:
        self.failures = 0
        if self.smoothed_s == 0.0:
            self.smoothed_s, self.variance_s = sample_s, sample_s / 2
            return
        self.variance_s += (abs(self.smoothed_s - sample_s) - self.variance_s) / 4
        self.smoothed_s += (sample_s - self.smoothed_s) / 8

    @property
    def timeout_s(self) -> float:
        """How long to wait for it; doubled for each failure in a row."""
        base = FIRST_TIMEOUT_S if self.smoothed_s == 0.0 else self.smoothed_s + 4 * self.variance_s
        return min(MAX_TIMEOUT_S, max(MIN_TIMEOUT_S, base) * (1 << min(self.failures, 3)))
