"""What of a rollout rules get to see."""

from __future__ import annotations

import pytest

from swarm.records import Address
from swarm.tracker.alerts import drawing
from swarm.tracker.alerts.picture import RolloutSeen
from swarm.tracker.alerts.rules import found_in
from swarm.tracker.figures.picture import Picture
from swarm.tracker.listing import Listing
from tests.reported import ROADS, V1, entry, followed, report, who
from tests.unit.tracker.alerts.pictures import picture as well

WALL = 1_700_000_000.0


def seen_after_failures(*, is_pull: bool) -> RolloutSeen:
    """One peer is current, and two fail for good."""
    picture = Picture(0.0, WALL)
    picture.report(who(1), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
    picture.report(who(1), report(2, followed(serial=1, version=V1, phase="current")), 2.0)
    words = "cannot write to /etc/x: permission denied"
    told = followed(target=1, target_version=V1, phase="failed", is_pull=is_pull, cause="error", words=words)
    for number in (2, 3):
        picture.report(who(number), report(1, told), 3.0)
    rollout = picture.tags[ROADS, "stable"].rollout
    assert rollout is not None
    return drawing._rollout(rollout, 1, 99.0)


@pytest.mark.parametrize(
    ("is_pull", "expected"),
    [(True, set()), (False, {"AetherfsRolloutStalled", "AetherfsCopiesUnderTwo"})],
    ids=["pull", "subscription"],
)
def test_a_single_pull_that_failed_is_its_users_matter_and_no_alert(is_pull: bool, expected: set[str]) -> None:
    seen = seen_after_failures(is_pull=is_pull)
    assert {found.rule for found in found_in(well(rollouts=(seen,)))} == expected
    assert (seen.wanted, seen.behind, seen.failed) == ((1, 0, 0) if is_pull else (3, 2, 2))


def test_a_tracker_that_was_made_anew_at_its_address_is_not_missed() -> None:
    def listing(number: int, port: int, since: int) -> Listing:
        return Listing(2, bytes([number]) * 32, (Address("192.0.2.1", port),), (), since, since)

    before, anew, beside = listing(1, 7070, 100), listing(2, 7070, 200), listing(3, 7080, 300)
    listings = (before, anew, beside)
    assert [drawing._is_replaced(one, listings) for one in listings] == [True, False, False]
