"""How a store is called in bad weather. Pure: times are arguments, in monotonic seconds.

    budget   A try after the first is paid from one bucket of the whole store, which fills when calls succeed. A store
             that fails for long is asked once a call, and not as many times as one call may try.
    away     A store that has answered nothing for a while is away: no call is made, until somebody who looks for it
             says that it is back.
    patience An answer that comes byte by byte is waited for as long as one that does not come. Each byte buys the time
             in which it would have come at the least rate, and no more than one wait is ever in hand: so any stall ends
             within one wait, and an answer within one wait and what its bytes have bought.

What a store says counts as an answer whatever it says, unless that is "later" or "not you". Budget: the figures of the
retry quota that the SDKs of AWS agree by ("standard" mode).
"""

from __future__ import annotations

from typing import Final

BUCKET_TOKENS: Final = 500
TRY_COST: Final = 5
TIMEOUT_COST: Final = 10
FIRST_TRY_GIVES: Final = 1
# So many tries in a row, for so long: a moment's failures in a row are weather, not absence.
AWAY_TRIES: Final = 3
AWAY_AFTER_S: Final = 5.0
# Sixteen calls at once over a line of 1.3 Mbit/s: a store behind a slower one is no origin.
LEAST_RATE_BYTES_PER_S: Final = 10_000


class Weather:
    """What is known of one store's answers. Not thread-safe."""

    def __init__(self) -> None:
        self.tokens = BUCKET_TOKENS
        # Since when there was no answer, and why; None while it answers.
        self.away_since: float | None = None
        self.why = ""
        self._failures = 0
        self._failing_since = 0.0
        self._answered_at = float("-inf")

    @property
    def is_away(self) -> bool:
        return self.away_since is not None

    def pay(self, *, timed_out: bool) -> int:
        """The cost of another try, which is paid with it; 0 when the bucket does not hold as much."""
        cost = TIMEOUT_COST if timed_out else TRY_COST
        if self.tokens < cost:
            return 0
        self.tokens -= cost
        return cost

    def answered(self, now: float, paid: int = 0) -> None:
        """The store answered, and so is there. ``paid`` for this try: it is given back."""
        self.tokens = min(BUCKET_TOKENS, self.tokens + (paid or FIRST_TRY_GIVES))
        self.away_since, self.why, self._failures, self._answered_at = None, "", 0, now

    def failed(self, began: float, now: float, why: str, *, timed_out: bool = False) -> None:
        """A try that began then had no answer. One that was waited for as long as we wait counts twice."""
        if self._failures == 0:
            self._failing_since = began
        self._failures += 2 if timed_out else 1
        if self.is_away:
            self.why = why
        elif self._failures >= AWAY_TRIES and now - self._failing_since >= AWAY_AFTER_S:
            self.gone(why)

    def gave_up(self, began: float, why: str) -> None:
        """A call that began then has tried as often as it may: the store is away if it answered nobody meanwhile."""
        if self._answered_at < began:
            self.gone(why)

    def gone(self, why: str) -> None:
        """The store is away from now on, since the first of the tries that have failed."""
        if not self.is_away:
            self.away_since = self._failing_since
        self.why = why

    def __repr__(self) -> str:
        return f"<Weather {'away' if self.is_away else 'here'} {self.tokens} tokens>"


class Patience:
    """How long one answer is still waited for, of which nothing has come at ``now``."""

    def __init__(self, wait_s: float, now: float) -> None:
        self._wait_s = wait_s
        self._until = now + wait_s

    def left_s(self, now: float) -> float:
        """Not below 0."""
        return max(0.0, self._until - now)

    def received(self, size_bytes: int, now: float) -> None:
        """So much of it came."""
        self._until = min(now + self._wait_s, self._until + size_bytes / LEAST_RATE_BYTES_PER_S)
