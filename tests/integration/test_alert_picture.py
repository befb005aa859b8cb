"""What alerts are found in is drawn from what peers report: stuck rollouts, copies, the share of the origin, disks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from swarm.tracker.alerts.bad_blocks import BadBlocks
from swarm.tracker.alerts.drawing import draw
from swarm.tracker.alerts.picture import Picture
from swarm.tracker.alerts.rules import found_in
from swarm.tracker.figures.picture import Picture as Figures
from tests.integration.tracker_rig import running_tracker
from tests.reported import ROADS, ROOM, V1, entry, followed, held, key, link, report, who

GIB = 1 << 30


def drawn(tmp_path: Path, tell: Callable[[Figures, float], None], later_s: float = 0.0) -> Picture:
    """The picture that a tracker draws when peers have told it this."""
    found: list[Picture] = []

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            state, bad = rig.tracker.state, BadBlocks()
            tell(state.figures.picture, time.monotonic() - later_s)
            found.append(draw(state, bad, 0.8, time.time()))

    asyncio.run(main())
    return found[0]


def test_a_rollout_that_nobody_moves_on_is_stuck_and_whoever_is_gone_holds_nobody_up(tmp_path: Path) -> None:
    def tell(figures: Figures, now: float) -> None:
        figures.moved(entry(1, V1), now)
        for number in (1, 2):
            figures.report(who(number), report(1, followed(target=1, phase="fetching", target_version=V1)), now)
        figures.report(who(3), report(1, followed(serial=1, version=V1, phase="current")), now)
        figures.book.loses((ROADS, "stable"), figures.peers[key(2)], now)

    (rollout,) = drawn(tmp_path, tell, later_s=40.0).rollouts
    assert (rollout.dataset, rollout.tag, rollout.wanted, rollout.behind) == (ROADS, "stable", 3, 1)
    assert rollout.is_stuck
    (moving,) = drawn(tmp_path / "moving", tell, later_s=5.0).rollouts
    assert not moving.is_stuck
    assert moving.copies is None


def test_copies_are_peers_that_have_all_and_one_for_the_store(tmp_path: Path) -> None:
    def tell(figures: Figures, now: float) -> None:
        figures.moved(entry(1, V1), now)
        current = followed(serial=1, version=V1, phase="current", peers=30, origin=70)
        figures.report(who(1), report(1, current, holdings=(held(10, 10),)), now)
        figures.report(who(2), report(1, current, holdings=(held(10, 9),)), now)
        for number in (5, 6):
            figures.report(who(number, "seed"), report(1, holdings=(held(10, 10, is_origin=True),)), now)

    (rollout,) = drawn(tmp_path, tell).rollouts
    assert rollout.copies == 2
    assert (rollout.fetched_bytes, rollout.origin_bytes) == (200, 140)

    def without_seeds(figures: Figures, now: float) -> None:
        tell(figures, now)
        for number in (5, 6):
            figures.left(key(number), now)

    (alone,) = drawn(tmp_path / "alone", without_seeds).rollouts
    assert alone.copies == 1


def test_disks_clocks_and_who_gave_bad_blocks_are_told_by_peers(tmp_path: Path) -> None:
    def tell(figures: Figures, now: float) -> None:
        room = msgspec.structs.replace(ROOM, disk_free_bytes=GIB, disk_total_bytes=100 * GIB)
        gave = msgspec.structs.replace(link(2, received=10), bad=3)
        ahead = int((time.time() + 100) * 1000)
        figures.report(who(1), report(1, room=room, links=(gave,), wall_time_ms=ahead), now)
        figures.report(who(2), report(1, wall_time_ms=int(time.time() * 1000)), now)

    picture = drawn(tmp_path, tell)
    found = {(one.rule, one.subject) for one in found_in(picture)}
    assert found == {
        ("AetherfsDiskNearlyFull", "peer1"),
        ("AetherfsClockSkew", "peer1"),
        ("AetherfsHashFailures", "peer2"),
    }


def test_a_seed_that_dies_is_missed_and_one_that_says_goodbye_is_not(tmp_path: Path) -> None:
    def tell(figures: Figures, now: float) -> None:
        for number in (1, 2):
            figures.report(who(number, "seed"), report(1, wall_time_ms=int((time.time() - 100) * 1000)), now)
        figures.left(key(2), now)

    found = found_in(drawn(tmp_path, tell, later_s=100.0))
    assert [(one.rule, one.subject) for one in found] == [("AetherfsAnnounceLag", "peer1")]
