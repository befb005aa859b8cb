"""How a dataset performs: what peers tell is summed, what was foreseen stands beside what came, and all is bounded."""

from __future__ import annotations

import msgspec
import pytest

from swarm.cli.forecasts import thinned
from swarm.figure_performance import CURVE_MAX, Foreseen, MovePerformance
from swarm.objects.memory import MemoryObjectStore
from swarm.reports import Held, ReadTold, Room, Totals
from swarm.tracker import forecasts
from swarm.tracker.figures import keeping
from swarm.tracker.figures.peers import KnownPeer
from swarm.tracker.figures.performance import MOVES_MAX, PastMoves, move_of, performance_view
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rollouts import RolloutFigures
from tests.integration.kept_rollouts import ROADS, rollout_log
from tests.reported import followed, who

V1, V2 = b"1" * 32, b"2" * 32
FORESEEN = Foreseen(16, 0, 6.25e6, 1000, 2.0, 3.0, 4.0, ((1.0, 1), (4.0, 16)))


def peer(number: int, *held: Held, **more: object) -> KnownPeer:
    known = KnownPeer(who(number), 0.0, 0.0, 5.0)
    known.holdings = {(one.dataset, one.version): one for one in held}
    for name, value in more.items():
        setattr(known, name, value)
    return known


def held(version: bytes, count: int, dataset: str = ROADS, *, is_origin: bool = False) -> Held:
    return Held(dataset, version, 10, count, 1000, is_origin, b"")


def picture_of(*peers: KnownPeer) -> Picture:
    picture = Picture(0.0, 1000.0)
    picture.peers = {one.who.public: one for one in peers}
    return picture


def move(serial: int, started: float, version: bytes = V1) -> MovePerformance:
    rollout = RolloutFigures(ROADS, "stable", serial, version, b"", "", started)
    return move_of(rollout, 0.0)


def test_who_has_what_and_what_caches_had_is_of_those_who_have_to_do_with_it() -> None:
    room = Room(0, 0, 0, 0, 0, 0, 0, 0, hits=6, misses=4, evicted=3, regretted=2, regretted_bytes=200)
    reads = {(ROADS, V1): ReadTold(ROADS, V1, 640, 1, 10, (10,) + (0,) * 63)}
    peers = (
        peer(1, held(V1, 10), held(V2, 3), room=room, totals=Totals(bad_blocks=2, refused=1)),
        peer(2, held(V2, 10), room=room),
        peer(3, held(V1, 10, is_origin=True)),
        peer(4, reads=reads),
        peer(5, held(V1, 10, "maps/other"), room=room, totals=Totals(bad_blocks=9)),
        peer(6, held(V1, 10), room=room, health="gone"),
    )
    named = {"v2": V2, "stable": V2, "v1": V1}
    told = performance_view(picture_of(*peers), ROADS, (), {}, 5.0, named)
    assert {one.version: one.tags for one in told.versions} == {V1.hex(): ("v1",), V2.hex(): ("stable", "v2")}
    counts = {one.version: (one.complete_peers, one.partial_peers, one.origins) for one in told.versions}
    assert counts == {V1.hex(): (1, 0, 1), V2.hex(): (1, 1, 0)}
    assert {one.version: one.peers for one in told.versions} == {V1.hex(): 1, V2.hex(): 1}, "nobody counts twice"
    caches = told.caches
    assert (caches.peers, caches.hits, caches.misses, caches.evicted) == (2, 12, 8, 6)
    assert (caches.regretted, caches.regretted_bytes) == (4, 400)
    assert (told.bad_blocks, told.refused, told.at) == (2, 1, 1005.0)
    assert [heat.version for heat in told.heat] == [V1.hex()]


@pytest.mark.parametrize(("first", "last"), [(V1, V2), (V2, V1)])
def test_who_has_two_versions_counts_at_the_newer(first: bytes, last: bytes) -> None:
    """Which is the newer, the moves tell, or what peers follow; what is there in part alone is not had yet."""
    both = peer(1, held(V1, 10), held(V2, 10))
    coming = peer(2, held(first, 10), held(last, 9))
    follows = peer(3, followed={(ROADS, "stable"): followed(serial=4, version=last)})
    for moves, others in (((move(1, 0.0, first), move(2, 1.0, last)), ()), ((move(3, 0.0, first),), (follows,))):
        told = performance_view(picture_of(both, coming, *others), ROADS, moves, {}, 5.0, {})
        assert {one.version: one.peers for one in told.versions} == {first.hex(): 1, last.hex(): 1}


def test_a_forecast_stands_beside_moves_that_came_after_it() -> None:
    moves = [move(serial, 100.0 * serial) for serial in range(1, MOVES_MAX + 4)]
    times = (301.0, 801.0, 5000.0)
    foreseen = {V1.hex(): [msgspec.structs.replace(FORESEEN, at=at, p50_s=at) for at in times]}
    told = performance_view(picture_of(), ROADS, moves, foreseen, 0.0, {}).moves
    assert [one.serial for one in told] == list(range(MOVES_MAX + 3, 3, -1))
    beside = {one.serial: one.foreseen.at for one in told if one.foreseen is not None}
    assert beside == {11: 801.0, 10: 801.0, 9: 801.0, 8: 801.0, 7: 301.0, 6: 301.0, 5: 301.0, 4: 301.0}


def test_forecasts_are_kept_by_version_the_latest_and_few_of_each() -> None:
    objects = MemoryObjectStore()
    assert forecasts.read(objects, ROADS) == {}
    for number in range(forecasts.KEPT_MAX + 3):
        forecasts.keep(objects, ROADS, bytes([number]) * 32, FORESEEN)
    for number in range(forecasts.OF_ONE_MAX):
        forecasts.keep(objects, ROADS, bytes([20]) * 32, msgspec.structs.replace(FORESEEN, p50_s=float(number)))
    found = forecasts.read(objects, ROADS)
    assert len(found) == forecasts.KEPT_MAX and bytes([2]).hex() * 32 not in found
    assert [one.p50_s for one in found[bytes([20]).hex() * 32]] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert list(found)[-1] == bytes([20]).hex() * 32
    forecasts.purge(objects, ROADS, bytes([20]) * 32)
    assert bytes([20]).hex() * 32 not in forecasts.read(objects, ROADS)
    objects.put("purges/maps/roads/" + V1.hex(), b"")
    forecasts.keep(objects, ROADS, V1, FORESEEN)
    assert V1.hex() not in forecasts.read(objects, ROADS), "of what is ordered to go nothing is kept"
    objects.put(forecasts.PREFIX + ROADS, b"[damaged")
    assert forecasts.read(objects, ROADS) == {}


def test_moves_that_lie_in_the_store_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    objects, past = MemoryObjectStore(), PastMoves()
    for serial in range(1, MOVES_MAX + 3):
        assert keeping.write(objects, rollout_log(serial, V1))
    objects.put(keeping.key_of(ROADS, "latest", 99), b"damaged")
    objects.put(f"{keeping.PREFIX}{ROADS}/latest/odd", b"")
    found = past.of(objects, ROADS, {("latest", 10)}, 0.0)
    assert [one.serial for one in found] == [9, 8, 7, 6, 5, 4, 3], "one of the last eight is damaged"
    monkeypatch.setattr(keeping, "replayed", None)
    assert past.of(objects, ROADS, {("latest", 10)}, 0.0) == found


def test_the_latest_moves_are_found_behind_the_logs_of_many_tags() -> None:
    objects, past = MemoryObjectStore(), PastMoves()
    for number in range(300):
        objects.put(keeping.key_of(ROADS, f"a{number}", 1), b"")
    assert keeping.write(objects, rollout_log(7, V1))
    assert [one.serial for one in past.of(objects, ROADS, (), 0.0)] == [7]


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 119, 2000])
def test_a_curve_is_thinned_to_what_is_taken(length: int) -> None:
    curve = tuple((float(at), at) for at in range(length))
    kept = thinned(curve, CURVE_MAX)
    assert len(kept) <= CURVE_MAX and kept[:1] == curve[:1] and kept[-1:] == curve[-1:]
    assert len(set(kept)) == len(kept)
