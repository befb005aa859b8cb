"""Whom a node believes to be a member, how quick each is, and who is silent.

A credential is checked once and remembered until it expires; round trips are estimated per node as in RFC 6298, for
nodes not met yet from all nodes together. A node that did not answer is left alone for a while, longer each time. Pure;
all of it is bounded, the least recently used goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from swarm.errors import RemoteProtocolError
from swarm.limits import DHT_MEMBERS_MAX, DHT_SILENT_MAX
from swarm.records import Credential, open_sealed
from swarm.trust import Trust

FIRST_TIMEOUT_S: Final = 0.4
MIN_TIMEOUT_S: Final = 0.15
MAX_TIMEOUT_S: Final = 2.0
SILENT_FIRST_S: Final = 20.0
SILENT_MAX_S: Final = 600.0


@dataclass(slots=True)
class RoundTrip:
    """How long answers take (RFC 6298, section 2)."""

    smoothed_s: float = 0.0
    variance_s: float = 0.0

    def measure(self, sample_s: float) -> None:
        if self.smoothed_s == 0.0:
            self.smoothed_s, self.variance_s = sample_s, sample_s / 2
            return
        self.variance_s += (abs(self.smoothed_s - sample_s) - self.variance_s) / 4
        self.smoothed_s += (sample_s - self.smoothed_s) / 8

    @property
    def timeout_s(self) -> float:
        """How long an answer may take before it is late."""
        if self.smoothed_s == 0.0:
            return FIRST_TIMEOUT_S
        return min(MAX_TIMEOUT_S, max(MIN_TIMEOUT_S, self.smoothed_s + 4 * self.variance_s))


@dataclass(slots=True)
class Member:
    """A key whose credential was seen. ``knows_us``: it answered us, so our credential need not go along again."""

    until: int
    credential: bytes = b""
    knows_us: bool = False
    heard_at: float = 0.0
    round_trip: RoundTrip = field(default_factory=RoundTrip)


class Members:
    """By node id. ``authority``: the CA's keys."""

    def __init__(self, authority: Trust, limit: int = DHT_MEMBERS_MAX) -> None:
        self._limit = limit
        self._authority = authority
        self._known: OrderedDict[bytes, Member] = OrderedDict()
        self._silent: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._all = RoundTrip()

    def admit(self, id: bytes, public: bytes, credential: bytes, wall_now: float) -> Member | None:
        """The member, if the key belongs to the swarm by what it shows or has shown. ``id`` is the key's."""
        if public in self._authority.removed:
            self._known.pop(id, None)
            return None
        member = self._known.get(id)
        if credential and (member is None or credential != member.credential):
            until = self._expiry(public, credential, wall_now)
            if until and member is None:
                member = self._known[id] = Member(until, credential)
                if len(self._known) > self._limit:
                    self._known.popitem(last=False)
            elif until and member is not None:
                member.until, member.credential = until, credential
        if member is None or member.until <= wall_now:
            return None
        self._known.move_to_end(id)
        return member

    def _expiry(self, public: bytes, credential: bytes, wall_now: float) -> int:
        try:
            opened = open_sealed(credential, Credential, authority=self._authority, wall_now=wall_now)
        except RemoteProtocolError:
            return 0
        return opened.expires if opened.public == public else 0

    def get(self, id: bytes) -> Member | None:
        return self._known.get(id)

    def know_us_no_more(self) -> None:
        """Our credential is a new one: show it to everybody again."""
        for member in self._known.values():
            member.knows_us = False

    def timeouts_s(self, id: bytes, tries: int) -> tuple[float, ...]:
        """How long to wait for a node after each try; the first is when it is late, doubled each time.

        For a node not measured yet it is what all take together; but it may be far away, so its later tries are long.
        """
        member = self._known.get(id)
        is_measured = member is not None and member.round_trip.smoothed_s > 0
        first = member.round_trip.timeout_s if member and is_measured else min(FIRST_TIMEOUT_S, self._all.timeout_s)
        later = first if is_measured else max(first, FIRST_TIMEOUT_S)
        return (first, *(later * 2**repeat for repeat in range(1, tries)))

    def answered(self, id: bytes, member: Member, sample_s: float, now: float) -> None:
        """A node answered after ``sample_s``."""
        member.round_trip.measure(sample_s)
        self._all.measure(sample_s)
        member.heard_at = now
        member.knows_us = True
        self._silent.pop(id, None)

    def silent(self, id: bytes, now: float) -> int:
        """A node did not answer at all: how many times in a row that is."""
        times = self._silent.pop(id, (0.0, 0))[1] + 1
        self._silent[id] = (now + min(SILENT_MAX_S, SILENT_FIRST_S * (1 << min(times - 1, 6))), times)
        if len(self._silent) > DHT_SILENT_MAX:
            self._silent.popitem(last=False)
        return times

    def is_silent(self, id: bytes, now: float) -> bool:
        """Whether a node did not answer lately, so that others are to be asked first."""
        return self._silent.get(id, (0.0, 0))[0] > now

    def __len__(self) -> int:
        return len(self._known)
