"""What a rollout came to stays so, whoever goes and comes again during it or after: a peer, a tracker, or all."""

from __future__ import annotations

from typing import Any

import pytest

from swarm.objects.memory import MemoryObjectStore
from swarm.peer.stats_verb import rollout_told
from swarm.reports import Followed, Step
from swarm.tracker.figures import keeping, rollouts
from swarm.tracker.figures.performance import move_of, moves_of
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rollouts import RolloutFigures
from swarm.tracker.figures.views import rollout_view
from tests.reported import ROADS, V1, entry, followed, key, report, who

WALL = 1_700_000_000.0
TAG = (ROADS, "stable")


def had(peers: int = 0, origin: int = 0, **more: Any) -> Followed:
    """What a peer tells that is current: what its process fetched, nothing where it began later."""
    return followed(serial=1, version=V1, heard=1, phase="current", peers=peers, origin=origin, **more)


def gone_out(*after_s: float) -> tuple[Picture, RolloutFigures]:
    """A rollout that began at second 10; each peer had it so much later. The first took it from the origin."""
    picture = Picture(0.0, WALL)
    for number in range(1, len(after_s) + 1):
        picture.report(who(number), report(1, followed(heard=0)), 1.0)
    picture.moved(entry(1, V1), 10.0)
    for number, after in enumerate(after_s, 1):
        said = had(origin=1000) if number == 1 else had(peers=1000)
        picture.report(who(number), report(2, said), 10.0 + after)
    ticked(picture, 10.0 + max(after_s))
    rollout = picture.book.rollout_of(TAG, 1)
    assert rollout is not None
    return picture, rollout


def ticked(picture: Picture, now: float) -> None:
    picture.tick(now, WALL + now)
    picture.check_invariants()


def outcome(picture: Picture, rollout: RolloutFigures) -> dict[str, Any]:
    """What is told of how it went: by ``stats`` and ``history``, and by the dashboard, which say the same."""
    told, move = rollout_view(picture, rollout, 500.0), move_of(rollout, picture.offset)
    said = rollout_told(told)
    assert (said.wanted, said.current) == (move.wanted, move.current)
    assert (told.completion, told.sources) == (move.completion, move.sources)
    return {
        "peers": (move.current, move.wanted),
        "fetched": move.sources,
        "offload": move.offload,
        "took": [round(at, 6) for at in rollout.arrivals()],
        "last_s": move.completion.last_s,
        "lasted_s": round(rollout.ended - rollout.started, 6) if rollout.ended is not None else None,
    }


@pytest.mark.parametrize("is_dead", [True, False])
@pytest.mark.parametrize("epoch", [7, 8])
def test_who_had_it_and_goes_counts_and_counts_once_when_it_comes_again(epoch: int, is_dead: bool) -> None:
    """As another process, which has fetched nothing, or as the same, which was not heard for a while."""
    picture, rollout = gone_out(1.0, 3.0)
    before = outcome(picture, rollout)
    assert before["peers"] == (2, 2) and before["took"] == [1.0, 3.0] and before["offload"] == 0.5
    if is_dead:
        ticked(picture, 200.0)  # nobody was heard since
    else:
        picture.left(key(2), 20.0)
        assert (rollout.wanted, rollout.behind) == (1, 0), "how it stands is another matter"
    assert outcome(picture, rollout) == before and ((*TAG[1:], 1) in moves_of(picture, ROADS))
    for number in (1, 2):
        again = {1: had(origin=1000), 2: had(peers=1000)}[number] if epoch == 7 else had()
        picture.report(who(number), report(9, again, epoch=epoch), 300.0)
    ticked(picture, 301.0)
    assert outcome(picture, rollout) == before and rollout.wanted == 2 and not rollout.away


def test_who_begins_anew_while_it_fetches_has_wanted_it_since_the_move() -> None:
    picture, rollout = gone_out(1.0, 2.0, 3.0)
    picture.moved(entry(2, V1), 100.0)
    second = picture.book.rollout_of(TAG, 2)
    assert second is not None
    some = followed(heard=2, target=2, target_version=V1, phase="fetching", peers=400, done_bytes=400)
    picture.report(who(1), report(3, some), 110.0)
    picture.left(key(1), 120.0)
    ways = (Step(1, "fetching", 900), Step(2, "current", 100))
    done = followed(serial=2, version=V1, heard=2, phase="current", peers=600, age_ms=1000, steps=ways)
    picture.report(who(1), report(1, done, epoch=8), 150.0)
    ticked(picture, 151.0)
    assert second.done == pytest.approx([49.9]), "not the second since it began anew"
    assert second.sources()[0] == 1000
    assert (rollout.wanted, rollout.done) == (3, [1.0, 2.0, 3.0]), "the one before is over"


def test_who_pulled_once_or_never_had_it_is_counted_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, rollout = gone_out(1.0, 3.0)
    picture.report(who(3), report(1, had(peers=1000, is_pull=True)), 20.0)
    picture.report(who(4), report(1, followed(heard=1, target=1, target_version=V1, phase="fetching", peers=9)), 20.0)
    for number in (3, 4):
        picture.left(key(number), 21.0)
    assert outcome(picture, rollout)["peers"] == (2, 2)
    assert rollout.sources()[:2] == (2009, 1000)
    monkeypatch.setattr(rollouts, "PRESENCE_MAX_PEERS", 2)
    for number in (1, 2):
        picture.left(key(number), 30.0)
        picture.check_invariants()
    assert outcome(picture, rollout)["peers"] == (2, 2) and list(rollout.away) == [key(1), key(2)]
    assert rollout.sources()[:2] == (2009, 1000)


@pytest.mark.parametrize("comes", [(), (1,), (2,), (1, 2)])
@pytest.mark.parametrize("is_same", [True, False])
def test_a_tracker_that_begins_anew_tells_the_same_whoever_is_there(comes: tuple[int, ...], is_same: bool) -> None:
    """Peers' processes that go on tell of what they fetched, others of nothing."""
    seen, first = gone_out(1.25, 3.0)
    objects, before = MemoryObjectStore(), outcome(seen, first)
    assert keeping.write(objects, keeping.kept_of(seen, first))
    anew = Picture(300.0, WALL + 300.0)
    for number in comes:
        said = {1: had(origin=1000), 2: had(peers=1000)}[number] if is_same else had()
        anew.report(who(number), report(1, said), 301.0)
    anew.found(TAG, entry(1, V1), V1, 303.0, keeping.before(objects, *TAG, 1))
    again = anew.book.rollout_of(TAG, 1)
    assert again is not None
    for at in (305.0, 320.0):
        ticked(anew, at)
    told = outcome(anew, again)
    if not comes:
        before["lasted_s"] = None  # it may not be over for who comes
    assert told == before
    anew.report(who(3), report(1, had(peers=500)), 321.0)
    assert again.sources()[:2] == (1500, 1000), "what another fetched since comes to it"
