"""What is wrong in a picture, and what is not: each rule at its limit, and everything bounded."""

from __future__ import annotations

import pytest

from swarm.alert_messages import RULES
from swarm.tracker.alerts.picture import Paper, Picture, TrackerSeen
from swarm.tracker.alerts.rules import SUBJECTS_MAX, TIMINGS, found_in
from tests.unit.tracker.alerts.pictures import GIB, NOW, peer, picture, rollout

DAY_S = 86_400


def test_in_a_swarm_that_is_well_nothing_is_found() -> None:
    assert found_in(picture()) == []
    assert set(TIMINGS) == set(RULES)


WRONG = {
    "AetherfsRolloutStalled": (picture(rollouts=(rollout(is_stuck=True),)), "maps/roads:stable"),
    "AetherfsCopiesUnderTwo": (picture(rollouts=(rollout(copies=1),)), "maps/roads:stable"),
    "AetherfsOffloadUnderTarget": (picture(rollouts=(rollout(origin_bytes=GIB // 4),)), "maps/roads:stable"),
    "AetherfsHashFailures": (picture(peers=(peer(bad_blocks=3, bad_takers=1),)), "peer1"),
    "AetherfsCertificateExpires": (picture(peers=(peer(certificate_expires=NOW + 6 * DAY_S),)), "peer1"),
    "AetherfsClockSkew": (picture(peers=(peer(clock_offset_s=-61.0),)), "peer1"),
    "AetherfsDiskNearlyFull": (picture(peers=(peer(disk_free_bytes=4 * GIB),)), "peer1"),
    "AetherfsAnnounceLag": (picture(peers=(peer(role="seed", heard=NOW - 61),)), "peer1"),
    "AetherfsTrackerUnreachable": (picture(trackers=(TrackerSeen("192.0.2.2:7070", NOW - 9),)), "192.0.2.2:7070"),
    "AetherfsStoreUnreachable": (picture(store_away_since=NOW - 5, store_why="503"), "store"),
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_what_it_is_for_and_says_what_to_do(rule: str) -> None:
    seen, subject = WRONG[rule]
    (found,) = found_in(seen)
    assert (found.rule, found.subject, found.is_over) == (rule, subject, True)
    assert found.summary and found.remedy and found.unit


@pytest.mark.parametrize(
    "seen",
    [
        picture(rollouts=(rollout(is_stuck=True, is_paused=True),)),
        picture(rollouts=(rollout(is_stuck=True, behind=0),)),
        picture(rollouts=(rollout(copies=None),)),
        picture(rollouts=(rollout(copies=0, wanted=1),)),
        picture(rollouts=(rollout(origin_bytes=GIB, wanted=9),)),
        picture(rollouts=(rollout(origin_bytes=10, fetched_bytes=10),)),
        picture(rollouts=(rollout(origin_bytes=GIB),), offload_target=0.0),
        picture(peers=(peer(certificate_expires=0.0, clock_offset_s=None, disk_free_bytes=None),)),
        picture(peers=tuple(peer(n, heard=NOW - (200 if n < 2 else 1)) for n in range(100))),
    ],
    ids=["paused", "done", "unknown", "nobody", "few", "little", "no target", "untold", "two of hundred"],
)
def test_what_is_no_reason_for_an_alert(seen: Picture) -> None:
    assert found_in(seen) == []


def test_between_the_two_limits_nothing_begins_and_nothing_ends() -> None:
    seen = picture(
        rollouts=(rollout(origin_bytes=int(GIB * 0.17)),),
        peers=(peer(clock_offset_s=45.0), peer(2, disk_free_bytes=7 * GIB), peer(3, bad_blocks=2, bad_takers=1)),
    )
    assert sorted((one.rule, one.is_over) for one in found_in(seen)) == [
        ("AetherfsClockSkew", False),
        ("AetherfsDiskNearlyFull", False),
        ("AetherfsHashFailures", False),
        ("AetherfsOffloadUnderTarget", False),
    ]


def test_what_is_worse_is_critical() -> None:
    seen = picture(
        peers=(
            peer(1, certificate_expires=NOW - 1),
            peer(2, clock_offset_s=299.0),
            peer(3, disk_free_bytes=GIB // 2),
            peer(4, bad_blocks=2, bad_takers=2),
        ),
        papers=(Paper("the CA's key", NOW + DAY_S, "appoint", 14 * DAY_S),),
    )
    assert {one.severity for one in found_in(seen)} == {"critical"}
    assert "has expired" in next(one.summary for one in found_in(seen) if one.subject == "peer1")


def test_many_silent_peers_are_one_alert() -> None:
    seen = picture(peers=tuple(peer(n, heard=NOW - (80 if n < 10 else 1)) for n in range(100)))
    (found,) = found_in(seen)
    assert (found.subject, found.value) == ("swarm", 80.0)
    assert "10 of 100" in found.summary


def test_of_ten_thousand_some_are_told_apart_and_the_worst_first() -> None:
    full = [peer(n, disk_free_bytes=4 * GIB) for n in range(10_000)]
    full[777] = peer(777, disk_free_bytes=1)
    found = found_in(picture(peers=tuple(full)))
    assert len(found) == SUBJECTS_MAX + 1
    assert found[0].subject == "peer777"
    assert (found[-1].subject, found[-1].value) == ("others", 10_000 - SUBJECTS_MAX)
