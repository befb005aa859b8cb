"""Who has given others blocks that are not what their signatures say, lately. Pure.

Takers tell how many such blocks each neighbour gave them since their process began; what is more than they told before
counts at the moment when it is heard. So an alert ends a while after the last such block, and not with the taker.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Final

WINDOW_S: Final = 600.0
PAIRS_MAX: Final = 4096
HEARD_MAX: Final = 4096


class BadBlocks:
    """Of one tracker."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()
        # When, by whom, to whom, how many.
        self._heard: deque[tuple[float, bytes, bytes, int]] = deque(maxlen=HEARD_MAX)

    def hear(self, told: Iterable[tuple[bytes, bytes, int]], now: float) -> None:
        """What takers tell now: taker, giver, how many in all. A taker that begins anew counts from none."""
        for taker, giver, count in told:
            before = self._told.get((taker, giver), 0)
            more = count - before if count >= before else count
            if more:
                self._heard.append((now, giver, taker, more))
            self._told[taker, giver] = count
            self._told.move_to_end((taker, giver))
        while len(self._told) > PAIRS_MAX:
            self._told.popitem(last=False)

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
