"""Shares of links, held against cases worked out by hand, and the order of virtual time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from swarm.sim.clock import Clock
from swarm.sim.links import Flow, Link, Network


def ends(flows: Sequence[tuple[Link, Link, tuple[Link, ...], float]]) -> list[float]:
    """When each of these flows, all begun at 0, is over."""
    clock = Clock()
    network = Network(clock)
    found = [0.0] * len(flows)
    for number, (up, down, between, size) in enumerate(flows):
        flow = Flow((up, down, *between), size, lambda n=number: found.__setitem__(n, clock.now))  # type: ignore[misc]
        network.start(flow)
    clock.run(1e9, lambda: False)
    return found


def test_a_flow_alone_takes_what_the_narrower_end_carries() -> None:
    assert ends([(Link(10), Link(100), (), 50)]) == [5.0]
    assert ends([(Link(100), Link(10), (), 50)]) == [5.0]
    assert ends([(Link(100), Link(100), (Link(5),), 50)]) == [10.0]


def test_two_share_a_downlink_and_the_second_speeds_up_when_the_first_is_over() -> None:
    down = Link(10)
    assert ends([(Link(100), down, (), 20), (Link(100), down, (), 40)]) == [pytest.approx(4.0), pytest.approx(6.0)]


def test_what_a_slow_sender_leaves_of_a_downlink_goes_to_the_others() -> None:
    down = Link(10)
    assert ends([(Link(2), down, (), 8), (Link(100), down, (), 32)]) == [pytest.approx(4.0), pytest.approx(4.0)]


def test_what_a_slow_receiver_leaves_of_an_uplink_goes_to_the_others() -> None:
    up = Link(10)
    first, second = ends([(up, Link(1), (), 4), (up, Link(100), (), 36)])
    assert first == pytest.approx(4.0)
    assert second == pytest.approx(4.0, rel=0.05)


def test_a_wan_is_shared_by_all_that_cross_it() -> None:
    wan = Link(4)
    flows = [(Link(100), Link(100), (wan,), 8.0) for _ in range(4)]
    assert ends(flows) == [pytest.approx(8.0)] * 4


def max_min_of(flows: Sequence[Flow]) -> dict[Flow, float]:
    """Progressive filling over the whole network."""
    room = {link: link.rate for flow in flows for link in flow.links}
    number = Counter(link for flow in flows for link in flow.links)
    rates: dict[Flow, float] = {}
    while len(rates) < len(flows):
        tightest = min((link for link in room if number[link]), key=lambda link: room[link] / number[link])
        share = room[tightest] / number[tightest]
        for flow in [flow for flow in tightest.flows if flow not in rates]:
            rates[flow] = share
            for link in flow.links:
                room[link] -= share
                number[link] -= 1
    return rates


@pytest.mark.parametrize(("peers", "each", "rates"), [(16, 4, (6.0,)), (40, 6, (1.0, 2.0, 6.0, 12.0))])
def test_many_flows_come_and_go_and_share_as_if_all_were_divided_anew(
    peers: int, each: int, rates: Sequence[float]
) -> None:
    rng, clock = random.Random(peers), Clock()
    network = Network(clock)
    ups, downs = ([Link(rng.choice(rates)) for _ in range(peers)] for _ in range(2))
    running: dict[Flow, None] = {}
    differences: list[float] = []

    def begin(up: Link) -> None:
        def over() -> None:
            del running[flow]
            begin(up)

        flow = Flow((up, rng.choice(downs)), 0.4 * rng.random(), over)
        running[flow] = None
        network.start(flow)

    def look() -> None:
        network.check(ups + downs)
        exact = max_min_of(list(running))
        differences.append(sum(abs(flow.rate - exact[flow]) for flow in running) / sum(exact.values()))
        assert sum(flow.rate for flow in running) >= 0.98 * sum(exact.values())
        clock.after(0.05, look)

    for up in ups * each:
        begin(up)
    clock.after(0.5, look)
    clock.run(4.0, lambda: False)
    assert sum(differences) / len(differences) < 0.02
    assert all(0.0 < link.sent <= link.rate * clock.now for link in ups)


def test_a_flow_that_is_broken_off_has_sent_what_its_time_carried() -> None:
    clock = Clock()
    network = Network(clock)
    flow = Flow((Link(10), Link(10)), 100, lambda: pytest.fail("it was broken off"))
    network.start(flow)
    sent: list[float] = []
    clock.at(3.0, lambda: sent.append(network.stop(flow)))
    clock.run(1e9, lambda: False)
    assert sent == [30.0]


def test_time_goes_on_in_order_and_ties_in_the_order_of_planning() -> None:
    clock = Clock()
    seen: list[tuple[float, str]] = []
    for when, name in ((2.0, "c"), (1.0, "a"), (1.0, "b")):
        clock.at(when, lambda n=name: seen.append((clock.now, n)))
    clock.run(10.0, lambda: False)
    assert seen == [(1.0, "a"), (1.0, "b"), (2.0, "c")]
