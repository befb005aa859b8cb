"""The neighbour set: it forms, stays connected and bounded, heals, and cannot be filled by strangers."""

from __future__ import annotations

import random

import pytest

from swarm.peer import mesh as mesh_module
from swarm.peer.candidates import CANDIDATES_MAX, TOLD_BY_ONE_MAX
from swarm.peer.membership import FETCHING, KEEPING, STANDING
from swarm.peer.mesh import Mesh
from swarm.peer.steps import ANY, Ask, Dial, Drop, Look
from tests.unit.peer.mesh_net import Net

VERSION = b"v" * 32


def dials(mesh: Mesh, now: float) -> list[str]:
    return [decision.peer for decision in mesh.tick(now) if isinstance(decision, Dial)]


def open_all(mesh: Mesh, peers: list[str], now: float, *, near: bool = False) -> None:
    for peer in peers:
        mesh.opened(peer, now, near=near, dialled=False)


@pytest.mark.parametrize("version", [ANY, VERSION])
def test_hundreds_that_join_one_after_another_are_one_swarm_of_bounded_degree(version: bytes) -> None:
    net = Net(1)
    net.version = version
    bounds = FETCHING if version else STANDING
    for number in range(300):
        net.join(f"p{number}")
        if number % 20 == 0:
            net.step()
    net.step(40)
    assert len(net.groups()) == 1
    degrees = net.degrees()
    assert degrees[-1] <= bounds.maximum * 5 // 4, "some have come since it looked last, but not so many"
    assert degrees[len(degrees) // 20] >= bounds.target * 3 // 4


def test_who_knows_one_neighbour_gets_to_know_others_without_a_tracker() -> None:
    net = Net(2)
    for number in range(40):
        net.join(f"p{number}")
    net.step(20)
    net.has_tracker = False
    net.join("late")
    net.name("late", "p7")
    net.step(30)
    assert len(net.meshes["late"].open) >= STANDING.target


def test_churn_heals_within_seconds_without_a_tracker() -> None:
    net = Net(3)
    net.version = VERSION
    for number in range(200):
        net.join(f"p{number}")
    net.step(20)
    net.has_tracker = False
    for name in net.rng.sample(list(net.meshes), 80):
        net.leave(name)
    net.step(5)
    assert len(net.groups()) == 1
    net.step(10)
    assert net.degrees()[0] >= FETCHING.target // 2


def test_some_neighbours_are_far_and_some_are_near_whatever_is_offered() -> None:
    mesh = Mesh("me", random.Random(0))
    mesh.fetching(VERSION, 0.0)
    for number in range(60):
        mesh.named(f"near{number}", 0.0, version=VERSION, near=True)
    for number in range(60):
        mesh.named(f"far{number}", 0.0, version=VERSION)
    first = dials(mesh, 0.0)
    assert sum(peer.startswith("near") for peer in first) == len(first) // 2


def test_a_full_set_of_near_ones_still_takes_far_ones() -> None:
    mesh = Mesh("me", random.Random(0))
    mesh.fetching(VERSION, 0.0)
    near = [f"near{number}" for number in range(FETCHING.target)]
    open_all(mesh, near, 0.0, near=True)
    for peer in near:
        mesh.serves(peer, VERSION)
    mesh.named("far", 0.0, version=VERSION)
    assert dials(mesh, 5.0) == ["far"]


def test_a_site_that_is_cut_off_finds_the_others_again() -> None:
    net = Net(4, sites=3)
    for number in range(90):
        net.join(f"p{number}")
    net.step(20)
    net.cut = {0}
    for name in [name for name in net.meshes if net.site[name] == 0]:
        for other in [peer for peer in net.meshes[name].open if net.site[peer] != 0]:
            net.meshes[name].closed(other, net.now)
            net.meshes[other].closed(name, net.now)
    net.step(30)
    assert len(net.groups()) == 2, "a cut site stays together"
    net.cut = set()
    net.step(60)
    assert len(net.groups()) == 1


def test_a_stranger_cannot_fill_the_candidates() -> None:
    mesh = Mesh("me", random.Random(0))
    open_all(mesh, ["stranger"], 0.0)
    for number in range(20):
        mesh.named(f"honest{number}", 0.0)
    for number in range(5000):
        mesh.named(f"made up {number}", 0.0, teller="stranger")
    mesh.check_invariants()
    assert sum(peer.startswith("made") for peer in mesh.candidates) <= TOLD_BY_ONE_MAX
    assert sum(peer.startswith("honest") for peer in mesh.candidates) == 20
    for number in range(5000):
        mesh.named(f"handed {number}", 0.0)
    assert len(mesh.candidates) <= CANDIDATES_MAX


def test_what_many_neighbours_tell_pushes_out_nobody_whom_the_tracker_named() -> None:
    mesh = Mesh("me", random.Random(0))
    for number in range(100):
        mesh.named(f"handed {number}", 0.0)
    for teller in range(40):
        for number in range(TOLD_BY_ONE_MAX):
            mesh.named(f"told {teller} {number}", 0.0, teller=f"t{teller}")
    assert len(mesh.candidates) == CANDIDATES_MAX
    assert sum(peer.startswith("handed") for peer in mesh.candidates) == 100


def test_strangers_that_only_say_that_they_need_us_push_out_nobody_who_is_useful() -> None:
    mesh = Mesh("me", random.Random(0))
    mesh.fetching(VERSION, 0.0)
    useful = [f"useful{number}" for number in range(20)]
    open_all(mesh, useful, 0.0)
    for peer in useful:
        mesh.useful(peer, 50.0)
    strangers = [f"stranger{number}" for number in range(100)]
    open_all(mesh, strangers, 40.0)
    for peer in strangers:
        mesh.needs(peer, VERSION)
    dropped = {decision.peer for decision in mesh.tick(50.0) if isinstance(decision, Drop)}
    assert dropped <= set(strangers)
    assert len(mesh.open) == FETCHING.maximum


def test_a_seed_answers_those_beyond_its_measure_with_neighbours() -> None:
    mesh = Mesh("seed", random.Random(0), keeps=True)
    peers = [f"p{number}" for number in range(200)]
    open_all(mesh, peers, 0.0)
    for peer in peers:
        mesh.needs(peer, VERSION)
    drops = [decision for decision in mesh.tick(10.0) if isinstance(decision, Drop)]
    assert len(mesh.open) == KEEPING.maximum * 3 // 2
    assert all(len(drop.names) >= 10 and drop.peer not in drop.names for drop in drops)


def test_who_no_longer_needs_the_seed_goes_first() -> None:
    mesh = Mesh("seed", random.Random(0), keeps=True)
    done = [f"done{number}" for number in range(40)]
    open_all(mesh, done, 0.0)
    needy = [f"needy{number}" for number in range(60)]
    open_all(mesh, needy, 0.0)
    for peer in needy:
        mesh.needs(peer, VERSION)
    dropped = [decision.peer for decision in mesh.tick(10.0) if isinstance(decision, Drop)]
    assert len(dropped) == 36
    assert set(dropped) <= set(done)


def test_a_seed_is_dialled_when_the_version_does_not_get_on_and_not_before() -> None:
    mesh = Mesh("me", random.Random(0))
    mesh.fetching(VERSION, 0.0)
    mesh.named("seed", 0.0, keeper=True)
    mesh.named("peer", 0.0, version=VERSION)
    assert dials(mesh, 0.0) == ["peer"]
    mesh.opened("peer", 0.0, near=False, dialled=True)
    mesh.progressed(VERSION, 2.0)
    assert dials(mesh, 4.0) == []
    assert dials(mesh, 5.5) == ["seed"]


def test_others_are_looked_for_until_enough_serve_the_version_and_when_it_stops_coming() -> None:
    mesh = Mesh("me", random.Random(0))
    mesh.fetching(VERSION, 0.0)
    open_all(mesh, ["a", "b"], 0.0)
    mesh.serves("a", VERSION)
    assert not mesh.gets_on(VERSION, 1.0, members=2)
    mesh.serves("b", VERSION)
    assert mesh.gets_on(VERSION, 1.0, members=2)
    assert not mesh.gets_on(VERSION, 4.0, members=2)
    mesh.progressed(VERSION, 4.0)
    assert mesh.gets_on(VERSION, 4.0, members=2)
    mesh.fetched(VERSION)
    assert not mesh.gets_on(VERSION, 4.0, members=0)


def test_a_peer_that_is_alone_asks_whomever_it_can_and_not_all_the_time() -> None:
    mesh = Mesh("me", random.Random(0))
    looks = [now for now in range(200) for decision in mesh.tick(float(now)) if isinstance(decision, Look)]
    assert looks[0] == 0
    assert 8 <= len(looks) <= 20
    mesh.named("seed", 200.0, keeper=True)
    assert dials(mesh, 200.0) == ["seed"]


def test_asking_neighbours_gets_rarer_when_it_brings_nothing() -> None:
    mesh = Mesh("me", random.Random(0))
    open_all(mesh, ["one", "two"], 0.0)
    asks = [now for now in range(600) for decision in mesh.tick(float(now)) if isinstance(decision, Ask)]
    assert asks[0] == 0
    assert len(asks) <= 40


def test_who_asks_too_often_is_told_nothing() -> None:
    mesh = Mesh("me", random.Random(0))
    open_all(mesh, ["asker", "other"], 0.0)
    assert mesh.names_for("asker", ANY, 1.0) == ("other",)
    assert mesh.names_for("asker", ANY, 1.5) == ()
    assert mesh.names_for("stranger", ANY, 9.0) == ()
    assert mesh.names_for("asker", ANY, 9.0) == ("other",)


def test_for_a_version_only_those_are_named_who_have_to_do_with_it() -> None:
    mesh = Mesh("me", random.Random(0))
    open_all(mesh, ["asker", "fetches", "other"], 0.0)
    mesh.needs("fetches", VERSION)
    assert mesh.names_for("asker", VERSION, 1.0) == ("fetches",)


def test_the_banned_are_not_dialled_or_taken() -> None:
    mesh = Mesh("me", random.Random(0))
    mesh.opened("bad", 0.0, near=False, dialled=True)
    mesh.banned("bad")
    mesh.closed("bad", 1.0)
    mesh.named("bad", 2.0)
    mesh.check_invariants()
    assert dials(mesh, 100.0) == []
    mesh.pardoned("bad")
    mesh.named("bad", 700.0)
    assert dials(mesh, 700.0) == ["bad"]


def test_who_fails_is_dialled_more_and_more_seldom_and_then_forgotten() -> None:
    mesh = Mesh("me", random.Random(0))
    mesh.named("gone", 0.0)
    times = []
    for now in range(1000):
        for peer in dials(mesh, float(now)):
            times.append(now)
            mesh.failed(peer, float(now))
    assert len(times) == mesh_module.FAILURES_MAX
    assert times[-1] - times[-2] > times[1] - times[0]


def test_an_idle_peer_lets_the_surplus_go_when_a_fetch_has_ended() -> None:
    net = Net(5)
    net.version = VERSION
    for number in range(60):
        net.join(f"p{number}")
    net.step(30)
    assert net.degrees()[0] >= 20
    net.version = ANY
    for name, mesh in net.meshes.items():
        mesh.fetched(VERSION)
        for other in list(mesh.open):
            net.meshes[other].needs_no_more(name, VERSION)
    net.step(30)
    assert net.degrees()[-1] <= STANDING.maximum
    assert len(net.groups()) == 1


def test_when_whoever_needed_us_is_dropped_the_smaller_bound_holds_at_once() -> None:
    mesh = Mesh("p0", random.Random(1))
    mesh.opened("needy", 0.0, near=False, dialled=False)
    mesh.needs("needy", VERSION)
    mesh.tick(11.0)  # it was silent, and is pinged
    mesh.tick(13.5)  # and is in doubt
    open_all(mesh, [f"p{number}" for number in range(1, 40)], 13.8)
    mesh.tick(14.0)
    assert "needy" not in mesh.open
    assert len(mesh.open) <= mesh.maximum
