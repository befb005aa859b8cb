"""Who has given others blocks that are not what their signatures say, lately. Pure.

Takers tell how many such blocks each neighbour gave them since their process began; what is more than they told before
counts at the moment when it is heard. So an alert ends a while after the last such block, and not with the taker. What
was heard before is kept with what is known of the taker, so that nothing counts twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from swarm.tracker.figures.peers import LinkSum

WINDOW_S: Final = 600.0
HEARD_MAX: Final = 4096


class BadBlocks:
    """Of one tracker."""

    def __init__(self) -> None:
        # When, by whom, to whom, how many.
        self._heard: deque[tuple[float, bytes, bytes, int]] = deque(maxlen=HEARD_MAX)

    def hear(self, told: Iterable[tuple[bytes, bytes, LinkSum]], now: float) -> None:
        """What takers tell now: taker, giver, what it had of that one. A link that counts anew counts from none."""
        for taker, giver, link in told:
            if link.bad == link.bad_heard:
                continue
            more = link.bad - link.bad_heard if link.bad > link.bad_heard else link.bad
            link.bad_heard = link.bad
            if more:
                self._heard.append((now, giver, taker, more))

    def lately(self, now: float) -> Mapping[bytes, tuple[int, int]]:
        """By giver, how many within the window, and to how many takers."""
        while self._heard and now - self._heard[0][0] > WINDOW_S:
            self._heard.popleft()
        counts: Counter[bytes] = Counter()
        takers: dict[bytes, set[bytes]] = {}
        for _, giver, taker, more in self._heard:
            counts[giver] += more
            takers.setdefault(giver, set()).add(taker)
        return {giver: (count, len(takers[giver])) for giver, count in counts.items()}
