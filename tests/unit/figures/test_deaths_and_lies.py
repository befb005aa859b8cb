"""Who dies is gone within seconds; who is there cannot be talked away; and who lies spoils its own figures alone."""

from __future__ import annotations

from swarm.tracker.figures.peer_views import peer_view
from swarm.tracker.figures.picture import BEAT_MIN_S, Picture
from tests.reported import V1, key, link, report, who
from tests.unit.figures.pictured import TAG, WALL, a_picture, begun, current, everything, fetched


def test_a_dead_peer_is_lost_within_fifteen_seconds_of_its_last_word() -> None:
    picture = a_picture()
    begun(picture, 2)
    picture.report(who(1), report(2, fetched()), 2.0)
    at = 2.0
    while picture.peers[key(1)].health != "gone":
        at += 1.0
        picture.report(who(2), report(int(10 * at), fetched()), at)
        for probed in picture.tick(at, WALL + at).probes:
            picture.probed(probed.public, is_there=False, now=at)
        assert at <= 17.0
    rollout = picture.tags[TAG].rollout
    assert rollout is not None
    assert rollout.counts[6] == 1
    found, _ = picture.happenings.after(0, 100)
    assert [event.peer for event in found if event.kind == "died"] == ["peer1"]
    picture.report(who(1), report(3, fetched()), at + 1)
    assert (rollout.counts[6], picture.peers[key(1)].health) == (0, "alive")


def seconds_until_gone(picture: Picture, *missing: int, heard_at: float) -> float:
    """Peer 1 said its last word then; others miss it a second later, and nobody answers at its address."""
    for number in missing:
        picture.report(who(number), report(2, fetched(), missed=(key(1),)), heard_at + 1.0)
    at = heard_at + 1.0
    while picture.peers[key(1)].health != "gone":
        at += 1.0
        for number in (2, 3):
            picture.report(who(number), report(int(10 * at), fetched()), at)
        for probed in picture.tick(at, WALL + at).probes:
            picture.probed(probed.public, is_there=False, now=at)
        assert at < heard_at + 60.0
    return at - heard_at


def test_a_dead_peer_that_its_neighbours_miss_is_gone_in_seconds() -> None:
    picture = a_picture()
    begun(picture, 3)
    picture.report(who(1), report(2, fetched()), 2.0)
    assert seconds_until_gone(picture, 2, 3, heard_at=2.0) <= 5.0
    alone = a_picture()
    begun(alone, 3)
    alone.report(who(1), report(2, fetched()), 2.0)
    # One neighbour may be a liar, and whoever cannot be connected to may be behind address translation.
    assert BEAT_MIN_S < seconds_until_gone(alone, 2, heard_at=2.0) <= 8.0


def test_a_liar_cannot_talk_another_away_who_is_there() -> None:
    picture = a_picture()
    begun(picture, 2)
    picture.report(who(2), report(2, fetched(), missed=(key(1),)), 2.0)
    assert picture.peers[key(1)].health == "doubtful"
    (probed,) = picture.tick(2.2, WALL).probes
    picture.probed(probed.public, is_there=True, now=2.3)
    assert picture.peers[key(1)].health == "alive"
    # And one that cannot be connected to speaks for itself.
    picture.report(who(2), report(3, fetched(), missed=(key(1),)), 3.0)
    picture.report(who(1), report(2, fetched()), 4.0)
    picture.probed(key(1), is_there=False, now=6.0)
    assert picture.peers[key(1)].health == "alive"


def test_a_liar_spoils_its_own_figures_alone() -> None:
    picture = a_picture()
    begun(picture, 2)
    picture.report(who(1), report(2, current(1, V1), links=(link(2, 10**12, 0),)), 2.0)
    picture.report(who(2), report(2, fetched(peers=10), links=(link(1, 0, 10),)), 2.0)
    mine = peer_view(picture, picture.peers[key(2)], everything, "t", 3.0)
    assert mine.received_bytes == 0  # its own word
    assert [(each.received_bytes, each.their_sent_bytes, each.agrees) for each in mine.links] == [(10, 10**12, False)]
    assert sum(picture.flow._open[0].values()) == 10


def agree(picture: Picture) -> list[bool]:
    return [
        each.agrees
        for number in (1, 2)
        for each in peer_view(picture, picture.peers[key(number)], everything, "t", 60.0).links
    ]


def test_who_began_anew_has_forgotten_what_the_other_tells_and_may_not_tell_more() -> None:
    picture = a_picture()
    begun(picture, 2)
    giver = report(2, current(1, V1), links=(link(2, 10**9, 0),), uptime_s=100)
    picture.report(who(1), giver, 50.0)
    picture.report(who(2), report(2, links=(link(1, 0, 10**9),), uptime_s=100), 50.0)
    assert agree(picture) == [True, True]
    picture.report(who(2), report(1, epoch=8, links=(link(1, 0, 10),), uptime_s=1), 60.0)
    assert agree(picture) == [True, True]
    picture.report(who(2), report(2, epoch=8, links=(link(1, 0, 10**10),), uptime_s=1), 60.0)
    assert agree(picture) == [False, False]


def test_a_first_process_has_none_before_it_of_which_another_could_tell() -> None:
    picture = a_picture()
    begun(picture, 2)
    picture.report(who(1), report(2, links=(link(2, 10**9, 0),), uptime_s=100), 60.0)
    picture.report(who(2), report(2, links=(link(1, 0, 10),), uptime_s=10), 60.0)
    assert agree(picture) == [False, False]
