"""Which reports of peers count for a rollout, and as what."""

from __future__ import annotations

import pytest

from swarm.reports import Followed, Step
from swarm.rollout import Who
from swarm.rollout_health import Heard
from swarm.tracker.figures.picture import BEAT_MIN_S, Picture
from swarm.tracker.hearing import HINDERED_S, LISTENS_S, HeardLately, heard_of, listens_until
from tests.reported import ROADS, V1, V2, followed, report, who

TAG = (ROADS, "stable")


def heard(told: Followed, now: float = 1.0) -> list[tuple[frozenset[bytes], frozenset[bytes]]]:
    picture = Picture(0.0, 1_800_000_000.0)
    picture.report(who(1), report(1, told), 1.0)
    return [(each.has, each.failed) for each in heard_of(picture, TAG, now)]


def failing(cause: str, age_s: float) -> Followed:
    steps = (Step(1, "failed", round(age_s * 1000)),)
    return followed(
        serial=1, version=V1, heard=2, target=2, target_version=V2, phase="failed", cause=cause, steps=steps
    )


@pytest.mark.parametrize(
    ("told", "has", "failed"),
    [
        (followed(), set(), set()),
        (followed(serial=1, version=V1, phase="current"), {V1}, set()),
        (followed(serial=1, version=V1, heard=2, target=2, target_version=V2, phase="fetching"), {V1}, set()),
        (failing("refused", 0.0), {V1}, {V2}),
        (failing("hook", 0.0), {V1}, {V2}),
        (failing("error", 1.0), {V1}, set()),  # the next try may get it
        (failing("disk-full", HINDERED_S + 1), {V1}, {V2}),
    ],
)
def test_what_a_follower_has_and_could_not_take(told: Followed, has: set[bytes], failed: set[bytes]) -> None:
    assert heard(told) == [(frozenset(has), frozenset(failed))]


def test_what_hinders_for_long_counts_though_nothing_more_is_heard() -> None:
    assert heard(failing("error", 1.0), now=1.0 + HINDERED_S) == [(frozenset({V1}), frozenset({V2}))]


def test_who_pulls_once_or_follows_another_tag_does_not_count() -> None:
    assert heard(followed(is_pull=True, serial=1, version=V1, phase="current")) == []
    assert heard(followed(tag="next", serial=1, version=V1, phase="current")) == []


def test_a_site_is_a_label() -> None:
    picture = Picture(0.0, 1_800_000_000.0)
    picture.report(who(1, site="paris"), report(1, followed()), 1.0)
    assert heard_of(picture, TAG, 1.0)[0].who.labels == ("rack=r1", "site=paris")


def test_what_was_heard_of_many_is_kept_for_a_moment_of_few_hardly() -> None:
    lately, looks = HeardLately(), [0]

    def look(many: int) -> list[Heard]:
        looks[0] += 1
        return [Heard(Who(str(number), ()), frozenset(), frozenset()) for number in range(many)]

    tag = (ROADS, "stable")
    for now in (0.0, 1.0, 2.7, 2.9):
        assert len(lately.of(tag, now, lambda: look(10_000))) == 10_000
    assert looks == [2], "once in 2.8 s, however many ask"
    assert len(lately.of((ROADS, "other"), 2.9, lambda: look(10))) == 10
    assert len(lately.of((ROADS, "other"), 2.91, lambda: look(11))) == 11


@pytest.mark.parametrize(
    ("since_s", "now_s", "until_s"),
    [
        (-60, 1, LISTENS_S),
        (-1, LISTENS_S - 1, LISTENS_S),
        (-1, LISTENS_S, None),  # it has heard everybody
        (0, 1, None),  # nobody had it before this tracker began
        (5, 6, None),
    ],
)
def test_what_is_older_than_a_tracker_is_judged_once_it_has_listened(
    since_s: int, now_s: float, until_s: float | None
) -> None:
    wall = 1_800_000_000
    until = listens_until(Picture(50.0, float(wall)), wall + since_s, wall + now_s)
    assert until == (wall + until_s if until_s is not None else None)


def test_what_is_published_just_after_a_tracker_began_anew_waits_until_it_has_heard_of_as_many_as_there_are() -> None:
    wall = 1_800_000_000
    picture = Picture(50.0, float(wall))
    picture.is_new_swarm = False
    assert listens_until(picture, wall + 3, wall + 9) == wall + 2 * BEAT_MIN_S
    assert listens_until(picture, wall + 3, wall + 10) is None
    for number in range(1000):
        picture.heard(who(number), 55.0)
    assert listens_until(picture, wall + 3, wall + 10) == wall + 40, "of so many each speaks every 20 s"
    assert listens_until(picture, wall + 3, wall + 40) is None
