"""What is left: nothing is foretold before enough is measured, nothing jumps, and nobody who is behind is done."""

from __future__ import annotations

from swarm.tracker.figures import views
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rollouts import RolloutFigures
from tests.reported import ROADS, V1, entry, followed, report, who
from tests.unit.figures.pictured import WALL, fetched

SIZE = 1_000_000


def _fetches(*moments: tuple[float, int, int]) -> tuple[Picture, RolloutFigures]:
    """One peer that fetches since 2.0: at a time it has so many bytes, at such a rate."""
    picture = Picture(0.0, WALL)
    picture.report(who(1), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
    picture.report(who(1), report(2, fetched(total_bytes=SIZE)), 2.0)
    for sequence, (now, done, rate) in enumerate(moments, 3):
        told = fetched(total_bytes=SIZE, done_bytes=done, peers=done, rate_bytes_per_s=rate)
        picture.report(who(1), report(sequence, told), now)
    rollout = picture.tags[(ROADS, "stable")].rollout
    assert rollout is not None
    return picture, rollout


def test_nothing_is_foretold_before_enough_is_measured() -> None:
    picture, rollout = _fetches((3.0, 100, 1))
    told = views.rollout_view(picture, rollout, 3.0)
    assert (told.eta_s, told.stragglers[0].eta_s) == (None, None)
    assert "left" not in told.verdict
    assert _fetches((3.0, SIZE // 2, 500_000))[1].eta_s(3.0) is None
    assert _fetches((8.0, SIZE // 100, 1000))[1].eta_s(8.0) is None
    assert _fetches((8.0, SIZE // 2, 100_000))[1].eta_s(8.0) == 5.0
    assert 989 < (_fetches((40.0, SIZE // 100, 1000))[1].eta_s(40.0) or 0) < 991


def test_one_odd_rate_does_not_move_it_far() -> None:
    _, rollout = _fetches((8.0, SIZE // 2, 100_000), (9.0, SIZE // 2 + 1, 1))
    assert 5.0 < (rollout.eta_s(9.0) or 0) < 7.0


def test_nobody_who_is_behind_has_nothing_left() -> None:
    picture, rollout = _fetches((8.0, SIZE - 1, 500_000))
    told = views.rollout_view(picture, rollout, 8.0)
    assert told.eta_s == 0.1
    assert ", less than a second left," in told.verdict
    picture, rollout = _fetches((8.0, SIZE, 500_000))
    told = views.rollout_view(picture, rollout, 8.0)
    assert told.eta_s is None
    assert "left" not in told.verdict
