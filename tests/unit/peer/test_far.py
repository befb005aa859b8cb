"""What is fetched into a site: shares, few at a time, nothing that is near already."""

from __future__ import annotations

import random

import pytest

from swarm.peer.far import Far
from swarm.peer.neighbour import Neighbour
from swarm.peer.picker import Picker, bits_of
from swarm.peer.site import Site
from swarm.peer.window import FAR
from swarm.peer.wire import NOT_ORIGIN, SEED

COUNT = 60
SIZES = [300_000] * COUNT
EVERYTHING = (1 << COUNT) - 1


@pytest.fixture
def site() -> Site:
    """A site of two, of which the other has nothing yet."""
    found = Site("own", COUNT)
    found.joined("other", 0, 0.0)
    return found


def choose(site: Site, *neighbours: Neighbour, window: Far | None = None) -> list[int]:
    picker = Picker(EVERYTHING, SIZES, random.Random(1))
    return (window or Far(site)).choose(EVERYTHING, 512 * 1024, neighbours, picker)


def test_a_peer_fetches_of_its_own_share(site: Site) -> None:
    chosen = choose(site, Neighbour("origin", SEED, False, EVERYTHING))
    assert chosen
    assert not bits_of(chosen, COUNT) & ~site.own_share


def test_nothing_more_is_asked_for_while_as_much_is_under_way_as_arrives_in_a_moment(site: Site) -> None:
    busy = Neighbour("far", NOT_ORIGIN, False, EVERYTHING, in_flight_bytes=FAR.first_bytes)
    idle = Neighbour("origin", SEED, False, EVERYTHING)
    assert choose(site, busy, idle) == []
    busy.in_flight_bytes -= 1
    assert choose(site, busy, idle)


def test_what_arrives_faster_widens_the_window_and_what_is_near_does_not_count(site: Site) -> None:
    far = Far(site)
    far.window.start(0.0)
    far.window.arrived(4 * FAR.first_bytes, 1.0)
    busy = Neighbour("far", NOT_ORIGIN, False, EVERYTHING, in_flight_bytes=FAR.first_bytes)
    assert choose(site, busy, window=far)
    near = Neighbour("other", NOT_ORIGIN, True, 0, in_flight_bytes=100 * FAR.first_bytes)
    assert choose(site, near, Neighbour("origin", SEED, False, EVERYTHING))


def test_what_somebody_near_has_does_not_come_from_afar(site: Site) -> None:
    site.has("other", EVERYTHING, 1.0)
    assert choose(site, Neighbour("origin", SEED, False, EVERYTHING)) == []


def test_nobody_is_helped_while_something_of_the_own_share_is_still_to_be_asked_of_somebody(site: Site) -> None:
    others = Neighbour("far", NOT_ORIGIN, False, EVERYTHING & ~site.own_share)
    picker = Picker(EVERYTHING, SIZES, random.Random(1))
    assert Far(site).choose(others.have, 512 * 1024, [others], picker) == []
    site.has("other", site.own_share, 1.0)
    assert Far(site).choose(others.have, 512 * 1024, [others], picker)
