"""Links and what flows over them: transmissions as fluid flows that share uplinks, downlinks and the WAN of a site.

Rates are max-min fair (Bertsekas and Gallager, *Data Networks*, 6.5.2), which is what many TCP flows come near to. When
a flow begins or ends, the flows that share a link with it are divided anew by progressive filling, while all others
keep what they have; where that leaves another link with room, or with one flow far below another, its flows follow, for
a few rounds. So no link ever carries more than its rate, and what is left unused for a while stays small.

A block's bytes travel in packets of 1,500 bytes: of each, 1,448 are TCP payload of 1,514 on the wire with Ethernet's
header; so 95.6% of a link's rate is payload. The 53 bytes that seal a block are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from swarm.sim.clock import Clock

PAYLOAD_SHARE: Final = 1448 / 1514
MBIT: Final = 1_000_000 / 8
# A link is divided anew when it has more than this share of its rate unused, or two flows that differ by more.
SLACK: Final = 0.02
ROUNDS_MAX: Final = 2
# A flow that would gain less than this keeps its rate.
UNCHANGED: Final = 1 + SLACK / 2
# What is left of a flow when it is over, but for rounding.
NOTHING_BYTES: Final = 1e-3
NOT_PLANNED: Final = -1.0


class Link:
    """One direction of a link and the flows on it. ``rate`` in payload bytes a second; ``used`` of it is given out.

    While it is divided, ``room`` is what is left of it for ``waiting`` flows, and ``is_centre`` says that it is one of
    those for whose sake that is done.
    """

    __slots__ = ("flows", "is_centre", "rate", "room", "sent", "used", "waiting")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.used = 0.0
        self.flows: list[Flow] = []
        self.sent = 0.0
        self.room = 0.0
        self.waiting = 0
        self.is_centre = False


class Flow:
    """A transmission of ``size`` bytes over all of ``links``. ``done`` is called at its end.

    ``division`` is the number of the division that it waits for.
    """

    __slots__ = ("division", "done", "ends_at", "left", "links", "plan", "rate", "since", "size")

    def __init__(self, links: tuple[Link, ...], size: float, done: Callable[[], None]) -> None:
        self.links = links
        self.size = self.left = size
        self.rate = 0.0
        self.since = 0.0
        self.plan = 0
        self.ends_at = NOT_PLANNED
        self.division = 0
        self.done = done


class Network:
    """All flows. Rates are set once all that happens at one moment has happened."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._dirty: dict[Link, None] = {}
        self._division = 0

    def start(self, flow: Flow) -> None:
        """Begin a transmission."""
        flow.since = self._clock.now
        for link in flow.links:
            link.flows.append(flow)
        self._mark(flow.links)

    def stop(self, flow: Flow) -> float:
        """Break a transmission off; the bytes that had been sent."""
        flow.left -= flow.rate * (self._clock.now - flow.since)
        self._remove(flow)
        return flow.size - flow.left

    def _remove(self, flow: Flow) -> None:
        flow.plan += 1
        for link in flow.links:
            link.flows.remove(flow)
            link.used -= flow.rate
            link.sent += flow.size - flow.left
        self._mark(flow.links)

    def _mark(self, links: Iterable[Link]) -> None:
        if not self._dirty:
            self._clock.after(0.0, self._share)
        self._dirty.update(dict.fromkeys(links))

    def _share(self) -> None:
        """Divide the marked links anew, and then those that this put out of balance."""
        centre, self._dirty = list(self._dirty), {}
        for _ in range(ROUNDS_MAX):
            self._division += 1
            flows = _flows_of(centre, self._division)
            if not flows:
                return
            for link in centre:
                link.is_centre = True
            unbalanced = self._divide(flows)
            for link in centre:
                link.is_centre = False
            centre = unbalanced

    def _divide(self, flows: list[Flow]) -> list[Link]:
        """Progressive filling of these flows in what all others leave them; the links that are now out of balance."""
        links = _around(flows)
        shared = [link for link in links if link.is_centre or link.waiting > 1]
        # Most links around the centre have one flow of these, and bound it: they are gone through in order.
        ends = [(link.room, number) for number, link in enumerate(links) if link.waiting == 1 and not link.is_centre]
        ends.sort(reverse=True)
        division, waiting = self._division, len(flows)
        narrow: list[tuple[Link, float]] = []
        while waiting:
            tightest, share = None, math.inf
            for link in shared:
                if link.waiting and link.room / link.waiting < share:
                    tightest, share = link, link.room / link.waiting
            if ends and (tightest is None or ends[-1][0] < share):
                share, number = ends.pop()
                tightest = links[number]
            assert tightest is not None
            if not tightest.waiting:
                continue
            share = max(0.0, share)
            if not tightest.is_centre:
                narrow.append((tightest, share))
            for flow in tightest.flows:
                if flow.division == division:
                    flow.division = 0
                    waiting -= 1
                    for link in flow.links:
                        link.room -= share
                        link.waiting -= 1
                    before = flow.rate
                    if not before <= share < before * UNCHANGED:
                        self._set(flow, share)
        return _unbalanced(links, narrow)

    def _set(self, flow: Flow, rate: float) -> None:
        before = flow.rate
        now = self._clock.now
        flow.left -= before * (now - flow.since)
        flow.since = now
        flow.rate = rate
        for link in flow.links:
            link.used += rate - before
        if rate > 0.0:
            self._plan(flow)

    def _plan(self, flow: Flow) -> None:
        """See to the end of a flow. One that has become slower is looked at when it would have ended, and again."""
        ends_at = self._clock.now + max(0.0, flow.left / flow.rate)
        if self._clock.now <= flow.ends_at <= ends_at:
            return
        flow.plan += 1
        flow.ends_at = ends_at
        self._clock.at(ends_at, self._ends, flow, flow.plan)

    def _ends(self, flow: Flow, plan: int) -> None:
        if plan != flow.plan:
            return
        flow.left -= flow.rate * (self._clock.now - flow.since)
        flow.since = self._clock.now
        if flow.left > NOTHING_BYTES:
            flow.ends_at = NOT_PLANNED
            if flow.rate > 0.0:
                self._plan(flow)
            return
        flow.left = 0.0
        self._remove(flow)
        flow.done()

    @staticmethod
    def check(links: Iterable[Link]) -> None:
        """No link carries more than its rate, and what is given out is what its flows have."""
        for link in links:
            carried = sum(flow.rate for flow in link.flows)
            assert carried <= link.rate * (1 + 1e-6), f"a link of {link.rate:.0f} bytes a second carries {carried:.0f}"
            assert abs(carried - link.used) <= 1e-6 * link.rate, "a link's flows and what is given out differ"


def _flows_of(links: Iterable[Link], division: int) -> list[Flow]:
    """The flows on these links, each once, which wait for this division from now on."""
    flows: list[Flow] = []
    for link in links:
        for flow in link.flows:
            if flow.division != division:
                flow.division = division
                flows.append(flow)
    return flows


def _around(flows: Iterable[Flow]) -> list[Link]:
    """The links of these flows, each with the room that all other flows leave it."""
    links: list[Link] = []
    for flow in flows:
        rate = flow.rate
        for link in flow.links:
            if link.waiting:
                link.room += rate
                link.waiting += 1
            else:
                link.room = link.rate - link.used + rate
                link.waiting = 1
                links.append(link)
    return links


def _unbalanced(links: Iterable[Link], narrow: Iterable[tuple[Link, float]]) -> list[Link]:
    """Of the links around the centre those to be divided in their turn: where one that bounds a flow has others that
    are well above it, and where more is left than is worth while.
    """
    found: dict[Link, None] = {}
    for link, share in narrow:
        most = share * (1 + SLACK)
        for flow in link.flows:
            if flow.rate > most:
                found[link] = None
                break
    for link in links:
        if link.room > SLACK * link.rate and not link.is_centre and len(link.flows) > 1:
            found[link] = None
    return list(found)
