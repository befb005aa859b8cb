"""What takes a look at thousands of peers is found out once, or kept as they change, and is what a look would find."""

from __future__ import annotations

import gc
import random
import statistics
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from swarm.reports import Followed
from swarm.tracker.alerts import drawing
from swarm.tracker.figures import views
from swarm.tracker.figures.flow import PEERS_MAX
from swarm.tracker.figures.members import CURRENT, FETCHING, STALLED_S, Member
from swarm.tracker.figures.peer_views import Asked, peers_view
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rollouts import Look, RolloutFigures
from swarm.tracker.figures.sources import NOTHING, Sources, plus, total
from swarm.tracker.figures.swarm_views import flow_view
from swarm.tracker.hearing import heard_of
from tests.reported import ROADS, V1, V2, entry, followed, held, key, link, report, who

WALL = 1_700_000_000.0
TAG = (ROADS, "stable")
PEERS = 400


def everything(dataset: str) -> bool:
    return True


def told(lots: random.Random, now: float) -> Followed:
    """Anything that a peer may say of itself."""
    version, done = lots.choice((V1, V1, V1, V2)), lots.randrange(1001)
    if lots.random() < 0.25:
        return followed(serial=1, version=version, phase="current", peers=done, origin=lots.randrange(9))
    more: dict[str, Any] = {"peers": done, "origin": lots.randrange(9), "wire": done, "reused": lots.randrange(9)}
    phase = lots.choice(("waiting", "fetching", "fetching", "fetching", "verifying", "failed"))
    more |= {"done_bytes": done, "rate_bytes_per_s": lots.randrange(300), "cause": lots.choice(("", "held-back"))}
    return followed(target=1, target_version=lots.choice((version, version, b"")), phase=phase, **more)


def a_rollout() -> RolloutFigures:
    return RolloutFigures(*TAG, 1, V1, b"", "", 0.0)


def looked_at(rollout: RolloutFigures, now: float) -> tuple[int, int, float | None]:
    """Stalled ones, their rate and seconds left, as a look at each member in turn finds them."""
    members, fetching = list(rollout.members.values()), []
    for member in members:
        if member.state == FETCHING and member.told is not None:
            fetching.append(member)
    late = [m for m in members if m.state != CURRENT and not m.is_held and now - m.moved_at >= STALLED_S]
    known = [(left, m.rate) for m in fetching if (left := m.left_s(now)) is not None]
    eta = max((left for left, _ in known), default=None)
    if eta is not None and (rollout.counts[0] or rollout.counts[1]):
        eta = max(eta, rollout.total_bytes / sorted(rate for _, rate in known)[len(known) // 2])
    return len(late), sum(m.told.rate_bytes_per_s for m in fetching if m.told is not None), eta


def forgets(rollout: RolloutFigures, public: bytes) -> Sources:
    """Who pulled once goes, and is counted no more as somebody: what it had fetched stays."""
    member = rollout.members[public]
    member.is_pull = True
    rollout.leave(public)
    return member.sources


@pytest.mark.parametrize("seed", range(5))
def test_sums_that_are_kept_are_those_of_all_members(seed: int) -> None:
    lots, rollout, gone, now = random.Random(seed), a_rollout(), NOTHING, 0.0
    kept = a_rollout()
    kept.fetched = (400, 5, 6, 7, 400)
    for number in (1, 2):
        kept.replay(key(number), "paris", CURRENT, 3.0, "")
    rollout.remember(kept)
    for _ in range(600):
        now += lots.random()
        public, epoch = key(lots.randrange(1, 12)), lots.choice((7, 7, 7, 8))
        match lots.randrange(20):
            case 0:
                rollout.leave(public)
            case 1:
                rollout.lose(public, now)
            case 2 if public in rollout.members:
                gone = plus(gone, forgets(rollout, public))
            case 3:
                rollout.expect(public, "paris", now, told(lots, now), 7)
            case _:
                rollout.put(public, "paris", epoch, told(lots, now), now)
        everybody = [*rollout.members.values(), *rollout.away.values()]
        others = total(each.sources for each in everybody if not each.is_of_kept)
        of_kept = total(each.sources for each in everybody if each.is_of_kept)
        assert rollout.sources() == total((gone, others, max(kept.fetched, of_kept, key=lambda bytes: sum(bytes[:2]))))
        look = rollout.look(now)
        assert (look.stalled, look.rate_bytes_per_s, look.eta_s) == looked_at(rollout, now)
        rollout.check_invariants()
    assert gone != NOTHING


def a_swarm() -> Picture:
    """So many peers at many sites, in the middle of a rollout."""
    picture, lots = Picture(0.0, WALL), random.Random(1)
    for number in range(1, PEERS + 1):
        picture.report(who(number, site=f"site-{number % 9}"), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
    picture.tick(1.5, WALL + 1.5)
    for number in range(1, PEERS + 1):
        telling = report(2, told(lots, 2.0), links=(link(number - 1, 0, 1000),), holdings=(held(8, 4, bytes([15])),))
        picture.report(who(number, site=f"site-{number % 9}"), telling, 2.0)
    picture.tick(2.5, WALL + 2.5)
    return picture


def test_who_tells_of_the_same_moment_looks_at_all_members_once() -> None:
    picture = a_swarm()
    rollout = picture.tags[TAG].rollout
    assert rollout is not None
    looks: list[float] = []
    look = RolloutFigures._look

    def counted(self: RolloutFigures, now: float) -> Look:
        looks.append(now)
        return look(self, now)

    with patch.object(RolloutFigures, "_look", counted):
        views.overview(picture, everything, 3.0)
        views.rollout_view(picture, rollout, 3.0)
        assert looks == [3.0]
        views.overview(picture, everything, 4.0)
        rollout.put(key(1), "paris", 7, followed(target=1, target_version=V1, phase="fetching"), 4.0)
        views.overview(picture, everything, 4.0)
        assert looks == [3.0, 4.0, 4.0], "time, and a word of a member, change it"


class Unseen(dict[bytes, Any]):
    """Members that nobody may look through."""

    def values(self) -> Any:
        raise AssertionError("all are looked at")

    items = __iter__ = values


def test_what_flows_between_sites_and_what_was_fetched_take_no_look_at_all_peers() -> None:
    picture = a_swarm()
    rollout = picture.tags[TAG].rollout
    assert rollout is not None and PEERS > PEERS_MAX
    expected = rollout.sources()
    picture.peers, rollout.members = Unseen(picture.peers), Unseen(rollout.members)
    flow = flow_view(picture, picture.flow.since(0.0), 3.0)
    assert flow.by_site and sum(node.peers for node in flow.nodes) == PEERS
    assert rollout.sources() == expected != NOTHING


def tracked(look: Any) -> int:
    """Objects more that garbage collections have to look at while what was found is kept."""
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        found = look()
        return len(gc.get_objects()) - before if found is not None else 0
    finally:
        gc.enable()


def test_a_look_at_thousands_is_no_work_for_the_garbage_collector() -> None:
    picture = a_swarm()
    presence = SimpleNamespace(latest=lambda now: [])
    state: Any = SimpleNamespace(figures=SimpleNamespace(picture=picture), presence=presence)
    assert tracked(lambda: heard_of(picture, TAG, 3.0)) < PEERS // 4
    assert tracked(lambda: drawing._peers(state, {}, 3.0, WALL)) < PEERS // 4
    assert len(heard_of(picture, TAG, 3.0)) == len(drawing._peers(state, {}, 3.0, WALL)) == PEERS


def test_members_are_ordered_by_what_they_say_last() -> None:
    member = Member("paris", FETCHING, 0.0, 0.0)
    member.told = followed(target=1, target_version=V1, phase="fetching", done_bytes=250)
    member.settle()
    assert (member.order, member.usual_rate) == ((2, 0.25), 0)


def test_what_is_usual_in_a_rollout_is_found_out_once_for_a_page_of_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Picture(0.0, WALL)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 0.0)
    fetching = followed(target=1, target_version=V1, phase="fetching", rate_bytes_per_s=1000)
    for number in range(1, 21):
        picture.report(who(number), report(1, fetching), 1.0)
    looked: list[int] = []

    def median(rates: list[float]) -> float:
        looked.append(len(rates))
        return statistics.median(rates)

    monkeypatch.setattr(views, "statistics", SimpleNamespace(median=median))
    assert len(peers_view(picture, Asked(), 2.0).peers) == 20
    assert looked == [20], "all members are looked at once, not for each row"
    picture.report(who(21), report(1, fetching), 2.0)
    peers_view(picture, Asked(), 2.0)
    assert looked == [20, 21], "a report changes it"
