"""How long one end of an HTTP connection is waited for. Pure: times are seconds of any one clock.

Silence is not all that has to end: a request that comes byte by byte, and an answer that is taken byte by byte, hold
memory as long as their maker likes (slowloris). So a whole head is due within a deadline, and a body, or an answer
under way, moves at a least rate in every stretch of time, however slow the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from swarm.limits import HEADER_DEADLINE_S, KEEPALIVE_S

# A third of what a modem of 28 kbit/s carries.
LEAST_RATE_BYTES_PER_S: Final = 1024
# An asker's line may be down for a moment.
TAKING_S: Final = 30.0
# How often is looked; so what is due within the deadline of all heads is noticed before that.
LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """``head_s``: for a whole head since the connection came, or since a later head began; and the stretch in which a
    body is measured. ``idle_s``: between requests. ``taking_s``: the stretch in which the taking of an answer is.
    """

    head_s: float = HEADER_DEADLINE_S - LOOK_S
    idle_s: float = KEEPALIVE_S
    taking_s: float = TAKING_S
    rate_bytes_per_s: float = LEAST_RATE_BYTES_PER_S


USUAL: Final = Deadlines()


class Patience:
    """The waits of one connection, which came at ``now``."""

    def __init__(self, deadlines: Deadlines, now: float) -> None:
        self.since = now
        self._deadlines = deadlines
        # When a head began that is not whole yet; the first is due from the start.
        self._head_since: float | None = now
        self._idle_since = now
        self._in_request = False
        self._is_ahead = False
        self._received_bytes = 0
        # Since when, and from how many bytes on, a body and an answer are measured.
        self._body: tuple[float, int] | None = None
        self._answer: tuple[float, int] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it is the far end's turn to say something."""
        return not self._in_request or self._body is not None

    def received(self, size_bytes: int, now: float) -> None:
        """Bytes came."""
        self._received_bytes += size_bytes
        if self._in_request:
            self._is_ahead = self._body is None
        elif self._head_since is None:
            self._head_since = now

    def begins(self, now: float, *, is_whole: bool) -> None:
        """A head is whole, and its request is being answered; ``is_whole``: with its body."""
        self._in_request = True
        self._is_ahead = False
        self._head_since = None
        self._body = None if is_whole else (now, self._received_bytes)

    def ends(self, now: float) -> None:
        """The request was answered. What came after its body is the beginning of another."""
        self._in_request = False
        self._body = None
        self._idle_since = now
        self._head_since = now if self._is_ahead else None

    def moved(self) -> None:
        """The far end has taken so much that more can be sent."""
        self._answer = None

    def overdue(self, now: float, *, is_whole: bool, is_read: bool, unsent_bytes: int) -> str:
        """Why the connection is to be ended, empty if it is not.

        ``is_whole``: of a request under way the body has come; ``is_read``: what comes is taken from the system;
        ``unsent_bytes`` wait for the far end.
        """
        return self._late_body(now, is_whole, is_read) or self._late_taking(now, unsent_bytes) or self._late_head(now)

    def _late_body(self, now: float, is_whole: bool, is_read: bool) -> str:
        if self._body is None:
            return ""
        since, received_bytes = self._body
        if is_whole:
            self._body = None
        elif not is_read:
            self._body = (now, self._received_bytes)  # it is we who do not read on
        elif now - since >= self._deadlines.head_s:
            if self._received_bytes - received_bytes < (now - since) * self._deadlines.rate_bytes_per_s:
                return "the body of a request hardly comes"
            self._body = (now, self._received_bytes)
        return ""

    def _late_taking(self, now: float, unsent_bytes: int) -> str:
        if not unsent_bytes:
            self._answer = None
            return ""
        if self._head_since is not None:
            self._head_since = now  # it may wait for the answer
        since, before = self._answer = self._answer or (now, unsent_bytes)
        if now - since >= self._deadlines.taking_s:
            if before - unsent_bytes < (now - since) * self._deadlines.rate_bytes_per_s:
                return "an answer is hardly taken"
            self._answer = (now, unsent_bytes)
        return ""

    def _late_head(self, now: float) -> str:
        if self._in_request:
            return ""
        if self._head_since is not None:
            return "the head of a request does not come" if now - self._head_since >= self._deadlines.head_s else ""
        return "no request comes" if now - self._idle_since >= self._deadlines.idle_s else ""
