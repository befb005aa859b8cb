"""The picture of the swarm: reports that are lost or repeated, and rollouts that go on."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm.log import Entry
from swarm.peer.stats_verb import brought
from swarm.reports import Totals
from swarm.rollout import WHOLE, Plan, Rollout, Stage
from swarm.tracker.alerts import drawing
from swarm.tracker.figures import views
from swarm.tracker.figures.members import CURRENT
from swarm.tracker.figures.peer_views import Asked, peers_view
from swarm.tracker.figures.steps import PEER_STEPS_MAX
from tests.reported import ROADS, V1, V2, entry, followed, key, link, report, who
from tests.unit.figures.pictured import TAG, WALL, a_picture, begun, current, everything, fetched


def test_a_rollout_goes_from_unaware_to_current_and_ends() -> None:
    picture = a_picture()
    begun(picture, 2)
    rollout = picture.tags[TAG].rollout
    assert rollout is not None
    assert rollout.counts[0] == rollout.wanted == 2
    picture.report(who(1), report(2, fetched(done_bytes=500, peers=400, origin=100, rate_bytes_per_s=100)), 3.0)
    assert (rollout.counts[2], rollout.eta_s(3.0), rollout.eta_s(6.0)) == (1, None, 10.0)
    picture.report(who(1), report(3, current(1, V1, 3000, 2900, 500, peers=800, origin=200)), 5.0)
    picture.report(who(2), report(2, current(1, V1, 4000, 3900, 1000, peers=1000)), 6.0)
    due = picture.tick(6.5, WALL + 6.5)
    assert due.ended == (rollout,)
    told = views.rollout_view(picture, rollout, 6.5)
    assert (told.trend, told.counts.current, told.sources.share_origin) == ("well", 2, 0.1)
    assert (told.completion.p50_s, told.completion.last_s) == (3.5, 4.0)
    assert told.verdict == "`stable` of maps/roads: all 2 current, in 4 s, origin 10.0% of the bytes"
    assert [step.state for step in rollout.steps][-1] == CURRENT
    picture.check_invariants()


def test_a_report_that_comes_twice_or_late_changes_nothing() -> None:
    picture = a_picture()
    begun(picture, 1)
    first = report(2, fetched(done_bytes=500, peers=500), totals=Totals(0, 500), links=(link(9, 0, 500),))
    picture.report(who(1), first, 2.0)
    again = [views.overview(picture, everything, 2.0), picture.peers[key(1)].totals, len(picture.flow._open[0])]
    picture.report(who(1), first, 2.0)
    picture.report(who(1), report(1, followed(heard=0)), 2.0)
    assert again == [views.overview(picture, everything, 2.0), picture.peers[key(1)].totals, 1]
    assert sum(picture.flow._open[0].values()) == 500


def test_bytes_of_a_process_that_ended_still_count() -> None:
    picture = a_picture()
    begun(picture, 1)
    picture.report(who(1), report(2, fetched(done_bytes=500, peers=500)), 2.0)
    picture.report(who(1), report(1, fetched(done_bytes=700, peers=200, reused=500), epoch=8), 4.0)
    picture.report(who(1), report(3, fetched(done_bytes=600, peers=600)), 5.0)  # of the process that has ended
    rollout = picture.tags[TAG].rollout
    assert rollout is not None
    assert rollout.sources()[0] == 700


def test_a_tracker_that_missed_something_asks_for_all_of_it() -> None:
    picture = a_picture()
    assert picture.report(who(1), report(5, is_full=False), 1.0)
    assert not picture.report(who(1), report(6), 2.0)
    assert not picture.report(who(1), report(7, is_full=False), 3.0)
    assert picture.report(who(1), report(9, is_full=False), 4.0)


def test_who_takes_blocks_that_need_long_has_a_steady_rate() -> None:
    picture, block = a_picture(), 400_000
    rates = []
    for second in range(1, 30):
        wire = 50_000 * second  # half of what they are when they are open
        whole = 2 * wire // block * block
        picture.report(who(1), report(second, totals=Totals(0, whole, 0, wire)), float(second))
        rates.append(picture.peers[key(1)].rate_in)
    assert all(0.7 * 100_000 < rate < 1.01 * 100_000 for rate in rates[12:])


def test_a_new_tracker_counts_no_rate_of_what_moved_before_it_was_there() -> None:
    picture = a_picture()
    picture.report(who(1), report(50, totals=Totals(0, 10**9), links=(link(2, 0, 10**9),), uptime_s=5000), 1.0)
    picture.tick(1.5, WALL + 1.5)
    assert picture.flow._open[0] == {}
    assert picture.sums.taken_bytes == 10**9
    assert picture.sums.rate_bytes_per_s == 0


def test_what_the_origin_gives_is_never_more_than_all_however_late_a_tick_is() -> None:
    picture, at, moved = a_picture(), 0.0, 0
    picture.report(who(2, "seed"), report(1), 0.0)
    picture.report(who(1), report(1), 0.0)
    rng = random.Random(5)
    seen = 0.0
    for sequence in range(2, 60):
        at, moved = at + rng.choice((0.5, 0.8, 1.0, 1.3)), moved + rng.randrange(10**6)
        picture.report(who(1), report(sequence, links=(link(2, 0, moved),)), at)
        picture.tick(at, WALL + at)
        sums = picture.sums
        assert sums.origin_rate_bytes_per_s == sums.rate_bytes_per_s, at
        seen = max(seen, sums.rate_bytes_per_s)
    assert seen > 10**5


def test_two_trackers_make_one_picture_of_the_same_reports_in_another_order() -> None:
    reports = [(n, report(2, fetched(done_bytes=100 * n, peers=100 * n)), 2.0 + n / 10) for n in range(1, 6)]
    pictures = []
    for seed in (1, 2):
        picture = a_picture()
        begun(picture, 5)
        random.Random(seed).shuffle(reports)
        for number, told, at in reports:
            picture.report(who(number), told, at)
        pictures.append(views.overview(picture, everything, 4.0))
    assert pictures[0] == pictures[1]


def test_who_is_held_back_by_a_rollout_is_not_current_and_says_why() -> None:
    picture = a_picture()
    begun(picture, 2)
    held = followed(serial=1, version=V2, heard=1, target=1, target_version=V2, cause="held-back", words="held back")
    picture.report(who(1), report(2, held), 2.0)
    picture.report(who(2), report(2, current(1, V1)), 2.0)
    rollout = picture.tags[TAG].rollout
    assert rollout is not None
    told = views.rollout_view(picture, rollout, 3.0)
    assert [(each.peer, each.state, each.cause) for each in told.stragglers] == [("peer1", "waiting", "held-back")]


def test_who_is_held_back_and_has_not_got_the_version_before_yet_stalls_no_rollout() -> None:
    picture = a_picture()
    begun(picture, 2)
    picture.report(who(1), report(2, current(1, V1)), 2.0)
    picture.report(who(2), report(2, fetched(version=V2, done_bytes=500, rate_bytes_per_s=100)), 2.0)
    rollout = picture.tags[TAG].rollout
    assert rollout is not None and (rollout.held, rollout.stalled(100.0)) == (1, 0)
    picture.report(who(2), report(3, fetched(version=V2, done_bytes=600, rate_bytes_per_s=100)), 99.0)
    told = views.rollout_view(picture, rollout, 100.0)
    stragglers = [(each.peer, each.state, each.cause, each.reason) for each in told.stragglers]
    assert stragglers == [("peer2", "waiting", "held-back", "held back by the rollout")]
    picture.report(who(2), report(4, fetched(done_bytes=100)), 101.0)
    assert (rollout.held, rollout.counts[2]) == (0, 1), "it is let in"


def test_a_slow_peer_is_found_by_its_reason() -> None:
    picture = a_picture()
    begun(picture, 4)
    rates = {1: 9_000_000, 2: 9_000_000, 3: 120_000, 4: 0}
    for number, rate in rates.items():
        picture.report(who(number), report(2, fetched(rate_bytes_per_s=rate)), 2.0)
    rollout = picture.tags[TAG].rollout
    assert rollout is not None
    for number, rate in rates.items():
        picture.report(who(number), report(3, fetched(rate_bytes_per_s=rate, done_bytes=10)), 6.0)
    reasons = {each.peer: (each.cause, each.reason) for each in views.rollout_view(picture, rollout, 6.0).stragglers}
    assert reasons["peer3"] == ("slow-link", "slow link: 120 kB/s from 3 neighbours")
    assert reasons["peer4"] == ("slow-link", "slow link: no block yet from 3 neighbours")
    assert reasons["peer1"] == ("", "9.0 MB/s from 3 neighbours")


def test_the_last_that_fetches_is_slow_beside_those_that_are_done() -> None:
    picture = a_picture()
    begun(picture, 3)
    for number in (1, 2):
        got = current(1, V1, 3000, 2000, 1000, peers=8_000_000, origin=1_000_000)
        picture.report(who(number), report(2, got), 4.0)
    for at in (4.0, 8.0):
        picture.report(who(3), report(int(at), fetched(rate_bytes_per_s=120_000, done_bytes=int(at))), at)
    rollout = picture.tags[TAG].rollout
    assert rollout is not None
    [behind] = views.rollout_view(picture, rollout, 8.0).stragglers
    assert (behind.peer, behind.cause) == ("peer3", "slow-link")


def test_the_next_move_of_a_tag_overtakes_the_last() -> None:
    picture = a_picture()
    begun(picture, 1)
    picture.moved(entry(2, V2, wall_time=int(WALL) + 3), 3.0)
    due = picture.tick(4.0, WALL + 4)
    assert [(each.serial, each.is_overtaken) for each in due.ended] == [(1, True)]
    picture.report(who(1), report(2, current(2, V2)), 5.0)
    found = picture.book.rollout_of(TAG, 0)
    assert found is not None
    assert (found.serial, found.counts[CURRENT], found.previous) == (2, 1, V1)


def test_who_comes_and_goes_arrives_once_and_uses_up_no_log() -> None:
    picture = a_picture()
    begun(picture, 4)
    for number in (1, 2, 3):
        picture.report(who(number), report(2, current()), 101.0)
    rollout = picture.book.rollout_of(TAG, 1)
    assert rollout is not None
    for turn in range(1, 200):
        at = 4.0 + turn / 100
        picture.report(who(4), report(2 * turn, current()), at)
        picture.report(who(4), report(2 * turn + 1, fetched()), at)
    assert len(rollout.done) == 3
    picture.report(who(4), report(1000, current()), 200.0)
    picture.check_invariants()
    first, *others = rollout.done
    assert (first < 5, len(others), rollout.percentile_s(0.5)) == (True, 3, others[0])
    assert len(rollout.steps) < PEER_STEPS_MAX + 20
    assert rollout.steps.dropped > 200
    picture.left(key(4), 201.0)
    assert rollout.done == others


def test_datasets_that_the_caller_may_not_read_are_not_told() -> None:
    picture = a_picture()
    begun(picture, 1)
    told = views.overview(picture, lambda dataset: False, 2.0)
    assert (told.tags, ROADS in told.verdict) == ((), False)
    allowed = picture.report(who(3), report(1, followed()), 2.0, lambda dataset: False)
    assert (allowed, picture.peers[key(3)].followed) == (False, {})


def test_peers_are_told_page_by_page_and_found() -> None:
    picture = a_picture()
    for number in range(1, 8):
        picture.report(who(number, site="rome" if number % 2 else "paris"), report(1), 1.0)
    cursor, seen = "", []
    while True:
        page = peers_view(picture, Asked(cursor=cursor, limit=3), 1.0)
        seen += [each.id for each in page.peers]
        cursor = page.next
        if not cursor:
            break
    assert seen == [f"peer{number}" for number in range(1, 8)]
    assert peers_view(picture, Asked(site="rome"), 1.0).matching == 4
    assert [each.id for each in peers_view(picture, Asked(search="PEER3"), 1.0).peers] == ["peer3"]


SAID = st.tuples(
    st.integers(1, 4),  # who
    st.integers(1, 6),  # sequence
    st.sampled_from([7, 8]),  # epoch
    st.sampled_from(["heard", "fetching", "current", "failed", "nothing", "left", "move"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SAID, max_size=40))
def test_whatever_comes_in_whatever_order_the_counts_are_right(said: list[tuple[int, int, int, str]]) -> None:
    picture, serial, at = a_picture(), 1, 1.0
    begun(picture, 3)
    for number, sequence, epoch, what in said:
        at += 0.7
        tags = {
            "heard": (followed(heard=serial),),
            "fetching": (fetched(serial),),
            "failed": (fetched(serial, phase="failed"),),
            "current": (current(serial, V1, 900, 500, 100),),
        }.get(what, ())
        if what == "left":
            picture.left(key(number), at)
        elif what == "move":
            serial += 1
            picture.moved(entry(serial, V1, wall_time=int(WALL + at)), at)
        else:
            picture.report(who(number), report(sequence, *tags, epoch=epoch), at)
        for probed in picture.tick(at, WALL + at).probes:
            picture.probed(probed.public, is_there=number % 2 == 0, now=at)
        picture.check_invariants()


def staged(serial: int, state: Any = "running") -> Entry:
    """An entry by which a first stage of two lets peers in."""
    plan = Plan((Stage(("ring=canary",), 0), Stage((), WHOLE)), None, None)
    rollout = Rollout("stable", V2, V1, serial, plan, 0, state, int(WALL), "user:olga", "")
    return msgspec.structs.replace(entry(serial, V2, wall_time=int(WALL)), format=2, rollouts=(rollout,))


def test_whom_a_stage_holds_back_is_not_stalled_and_the_verdict_says_what_it_waits_for() -> None:
    picture = a_picture()
    begun(picture, 2)
    for number in (1, 2):
        picture.report(who(number), report(2, current(1, V1)), 2.0)
    picture.moved(staged(2), 3.0)
    picture.report(who(1), report(3, current(2, V2)), 4.0)
    held = followed(serial=1, version=V1, heard=2, cause="held-back", words="held back by the rollout")
    picture.report(who(2), report(3, held), 4.0)
    rollout = picture.tags[TAG].rollout
    assert rollout is not None
    trend, stalled, _, verdict = views.judged(rollout, 99.0, WALL + 99.0)
    assert (trend, stalled) == ("running", 0)
    assert verdict == "`stable` of maps/roads: 1 of 2 current, stage 1 of 2 done, waits for promote"
    seen = drawing._rollout(rollout, 1, 99.0)
    assert (seen.behind, seen.is_stuck) == (0, False)
    assert [move[0].kind for move in brought([(staged(2), "stable", V2), (steered(3), "stable", V2)])] == ["publish"]


def steered(serial: int) -> Entry:
    return msgspec.structs.replace(staged(2, "paused"), serial=serial, kind="rollout")
