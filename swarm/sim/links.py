"""Links and what flows over them: transmissions as fluid flows that share uplinks, downlinks and the WAN of a site.

A flow is offered what its giver's uplink (and its sites' WANs) have left for it, at least an equal share; the taker's
downlink divides what it has among its flows, max-min fair. Only flows that touch a changed link get new rates.

Known fault: what an uplink or a WAN has left may be offered to several flows at once, so it can carry more than its
rate for a while (up to 1.5 times was seen), and the times told are too good.

A block's bytes travel in packets of 1,500 bytes: of each, 1,448 are TCP payload of 1,514 on the wire with Ethernet's
header, and TLS takes 22 of every 16,384; so 95.5% of a link's rate is payload.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from swarm.sim.clock import Clock

PAYLOAD_SHARE: Final = 1448 / 1514 * 16384 / 16406
MBIT: Final = 1_000_000 / 8


class Link:
    """One direction of a link and the flows on it. ``rate`` in payload bytes a second."""

    __slots__ = ("flows", "rate", "sent")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.flows: dict[Flow, None] = {}
        self.sent = 0.0


class Flow:
    """A transmission from an uplink to a downlink, over shared links between. ``done`` is called at its end."""

    __slots__ = ("between", "done", "down", "left", "plan", "rate", "since", "size", "up")

    def __init__(self, up: Link, down: Link, between: tuple[Link, ...], size: float, done: Callable[[], None]) -> None:
        self.up = up
        self.down = down
        self.between = between
        self.size = self.left = size
        self.rate = 0.0
        self.since = 0.0
        self.plan = 0
        self.done = done


class Network:
    """All flows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, flow: Flow) -> None:
        """Begin a transmission."""
        flow.since = self._clock.now
        for link in (flow.up, flow.down, *flow.between):
            link.flows[flow] = None
        self._share(self._touched(flow))

    def stop(self, flow: Flow) -> float:
        """Break a transmission off; the bytes that had been sent."""
        self._settle(flow)
        flow.plan += 1
        self._remove(flow)
        return flow.size - flow.left

    def _remove(self, flow: Flow) -> None:
        touched = self._touched(flow)
        for link in (flow.up, flow.down, *flow.between):
            link.flows.pop(flow, None)
            link.sent += flow.size - flow.left
        touched.pop(flow.down, None)
        if flow.down.flows:
            touched[flow.down] = None
        self._share(touched)

    def _touched(self, flow: Flow) -> dict[Link, None]:
        """The downlinks whose flows may get other rates."""
        downs = {flow.down: None}
        for other in flow.up.flows:
            downs[other.down] = None
        for link in flow.between:
            for other in link.flows:
                downs[other.down] = None
        return downs

    def _share(self, downs: Iterable[Link]) -> None:
        for down in downs:
            flows = down.flows
            if len(flows) == 1:
                (flow,) = flows
                self._set(flow, min(down.rate, self._offered(flow)))
                continue
            offers = sorted(((self._offered(flow), number, flow) for number, flow in enumerate(flows)))
            left, waiting = down.rate, len(offers)
            for offer, _, flow in offers:
                rate = min(offer, left / waiting)
                self._set(flow, rate)
                left -= rate
                waiting -= 1

    @staticmethod
    def _offered(flow: Flow) -> float:
        offered = flow.down.rate
        for link in (flow.up, *flow.between):
            number = len(link.flows)
            if number == 1:
                offered = min(offered, link.rate)
                continue
            equal = link.rate / number
            others = sum(min(other.rate, equal) for other in link.flows if other is not flow)
            offered = min(offered, max(equal, link.rate - others))
        return offered

    def _settle(self, flow: Flow) -> None:
        now = self._clock.now
        flow.left -= flow.rate * (now - flow.since)
        flow.since = now

    def _set(self, flow: Flow, rate: float) -> None:
        if flow.rate and abs(rate - flow.rate) < 0.01 * flow.rate:
            return
        self._settle(flow)
        flow.rate = rate
        flow.plan += 1
        self._clock.after(max(0.0, flow.left / rate), self._ends, flow, flow.plan)

    def _ends(self, flow: Flow, plan: int) -> None:
        if plan != flow.plan:
            return
        flow.left = 0.0
        flow.plan += 1
        self._remove(flow)
        flow.done()
