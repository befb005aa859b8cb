"""Which neighbours a peer tells of one by one, and of what kind it says that a problem is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from swarm.encoding import encode_block
from swarm.errors import AetherError, FullError, IntegrityError, UnreachableError
from swarm.identity import peer_id_of
from swarm.peer.commands import HookError, RefusedError
from swarm.peer.following import Following
from swarm.peer.own_following import OwnFollowing
from swarm.peer.own_report import NAMED_MAX, OwnReport, Told
from swarm.peer.pace import Pace, Paces
from swarm.peer.timetable import parse_timetable
from swarm.peer.traffic import Traffic
from swarm.peer.works import Work
from swarm.reports import LINKS_TOLD_MAX
from swarm.signature import signature_of
from swarm.store.disk import DiskStore
from swarm.store.memory import MemoryStore
from swarm.subscription import Followed, Wanted
from tests.datasets import seeded
from tests.reported import V1, V2, key


def a_report(met: int) -> tuple[OwnReport, Traffic]:
    """One that has met so many neighbours and has told of some."""
    traffic = Traffic()
    for number in range(met):
        traffic.received[peer_id_of(key(number))] = 1000 + number
    node: Any = SimpleNamespace(traffic=traffic, channels=SimpleNamespace(open={}))
    report = OwnReport(node, 1, "0")
    report._links(Told())
    return report, traffic


def test_a_neighbour_that_gives_bad_blocks_is_told_however_many_were_met_before() -> None:
    report, traffic = a_report(NAMED_MAX + 10)
    bad = peer_id_of(key(9000))
    traffic.received[bad], traffic.bad_from[bad] = 1, 3
    told = report._links(Told())[0]
    assert (told[0].public, told[0].bad, len(told)) == (key(9000), 3, LINKS_TOLD_MAX)


def test_who_moves_most_is_told_one_by_one_and_the_others_as_one_sum() -> None:
    report, traffic = a_report(NAMED_MAX)
    late, little = peer_id_of(key(9000)), peer_id_of(key(9001))
    traffic.received[late], traffic.received[little] = 1_000_000, 1100
    links, _, others = report._links(Told())
    assert links[0].public == key(9000)
    # The least moved made room; who has moved hardly more than another takes nobody's place.
    assert others == 1000 + 1100
    assert len(report._named) == NAMED_MAX


def a_follower(tmp_path: Path, *, hook: str = "", known: bytes = V2) -> tuple[OwnFollowing, Following]:
    """It has version 1, and has heard of the entry that brings version 2."""
    finder = SimpleNamespace(known=lambda reference: SimpleNamespace(version=known))
    ledger = SimpleNamespace(serial_of_tag=lambda dataset, tag: 2)
    works = SimpleNamespace(by_version={}, pulls={})
    node: Any = SimpleNamespace(finder=finder, ledger=ledger, works=works, subscriptions=[])
    wanted = Wanted(ref="ci/webhooks:latest", directory=str(tmp_path), hook=hook)
    followed = Followed(wanted=wanted, recent=(V1,), serial=1)
    following = Following(node, followed, lambda: None, lambda _: None, asyncio.Semaphore())
    node.subscriptions.append(following)
    return OwnFollowing(node), following


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (UnreachableError("no holder of ci/webhooks answers"), "error"),
        (IntegrityError("the hook-list of ci/webhooks is damaged"), "error"),
        (FullError("no room for ci/webhooks"), "disk-full"),
        (HookError("it ended with 3"), "hook"),
        (RefusedError("no"), "refused"),
    ],
)
def test_a_problem_is_of_the_kind_of_its_error_whatever_its_words_name(
    tmp_path: Path, error: AetherError, cause: str
) -> None:
    report, following = a_follower(tmp_path)
    following._aim = V2
    following._fails(error)
    assert report.standing(following)[1:3] == ("failed", cause)


def test_what_a_version_met_with_is_not_said_of_the_next(tmp_path: Path) -> None:
    report, following = a_follower(tmp_path, known=bytes(32))
    following._aim = V2
    following._fails(RefusedError("no"))
    assert report.standing(following)[1:3] == ("waiting", "")
    following._aim = b""
    following._fails(UnreachableError("no tracker answers"))
    assert report.standing(following)[1:3] == ("failed", "error")


def test_a_hook_that_is_due_did_not_fail_if_something_else_did(tmp_path: Path) -> None:
    report, following = a_follower(tmp_path, hook="true")
    following.followed = following.followed.switched(V2, 2)
    following._say("runs its hook")
    assert report.standing(following)[1:3] == ("verifying", "hook")
    following._fails(UnreachableError("no tracker answers"))
    assert report.standing(following)[1:3] == ("failed", "error")
    following._fails(HookError("it ended with 3"))
    assert report.standing(following)[1:3] == ("failed", "hook")
    following._say("runs its hook")
    assert report.standing(following)[1:3] == ("failed", "hook")
    following.followed = msgspec.structs.replace(following.followed, hooked=V2)
    following._say("", "")
    assert report.standing(following)[1:3] == ("current", "")


def test_who_fetches_as_fast_as_it_may_says_that_its_own_limit_holds_it_up(tmp_path: Path) -> None:
    report, following = a_follower(tmp_path)
    node: Any = report._node
    following._say("fetches")
    work = node.works.by_version["ci/webhooks", V2] = Work(rate=95_000.0)
    told = {}
    for limit in ("", "800kbit", "8mbit"):
        node.paces = Paces(download=Pace(parse_timetable(limit, "download_limit")))
        [followed] = report.followed().values()
        told[limit] = (followed.phase, followed.cause, followed.words)
    held_up = "held to 100 kB/s by its own download limit"
    assert told == {
        "": ("fetching", "", "fetches"),
        "800kbit": ("fetching", "own-limit", held_up),
        "8mbit": ("fetching", "", "fetches"),
    }
    node.paces = Paces(download=Pace(parse_timetable("800kbit", "download_limit")))
    work.is_ended = True
    [followed] = report.followed().values()
    assert (followed.phase, followed.cause) == ("verifying", "")


def test_nothing_is_kept_of_a_subscription_that_is_no_more(tmp_path: Path) -> None:
    report, following = a_follower(tmp_path)
    report.look()
    steps = report._steps[following.wanted.id]
    report.look()
    assert report._steps == {following.wanted.id: steps}
    report._node.subscriptions.clear()  # type: ignore[attr-defined]
    report.look()
    assert not report._steps


def test_what_its_stores_had_and_dropped_is_told_of_both_together(tmp_path: Path) -> None:
    memory, disk = MemoryStore(1500), DiskStore(tmp_path / "blocks", 1500)
    plain = [seeded(f"block{number}", 1000) for number in range(2)]
    for store in (memory, disk):
        for number in (0, 1, 0):  # each makes room for itself, and the first comes again
            store.put(signature_of(plain[number]), encode_block(plain[number]))
        for each in plain:
            store.get(signature_of(each))
    settings = SimpleNamespace(disk_bytes=1, memory_bytes=100)
    node: Any = SimpleNamespace(memory=memory, blocks=disk, settings=settings, home=SimpleNamespace(path=tmp_path))
    room = OwnReport(node, 1, "0")._room_now()
    assert (room.hits, room.misses) == (2, 1), "what is not in memory is looked for on disk: that counts once"
    assert (room.evicted, room.regretted, room.regretted_bytes) == (4, 2, 2002)
