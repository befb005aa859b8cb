"""Copies of blocks, rings, flow, event logs, and what a stream says to whom."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest
import zstandard

from swarm import canonical
from swarm.errors import NotFoundError, UsageError
from swarm.figure_messages import STATES, Blocks
from swarm.identity import peer_id_of
from swarm.objects.bill import DEFAULT
from swarm.objects.memory import MemoryObjectStore
from swarm.reports import Step
from swarm.tracker.figures import keeping, views
from swarm.tracker.figures.copies import FileSpan, Layout, Tally, _runs, counted, seen
from swarm.tracker.figures.flow import EDGES_MAX, PEERS_MAX, FlowFigures
from swarm.tracker.figures.happenings import Happenings
from swarm.tracker.figures.members import CURRENT, FAILED, VERIFYING
from swarm.tracker.figures.picture import Picture
from swarm.tracker.figures.rings import Ring, Rings
from swarm.tracker.figures.rollouts import RolloutFigures, standing
from swarm.tracker.figures.steps import KeptLog, LoggedStep, StepLog, decode_log
from swarm.tracker.figures.swarm_views import origin_view
from swarm.tracker.figures.topics import topic_of
from tests.reported import ROADS, V1, V2, entry, followed, held, key, report, who

WALL = 1_700_000_000.0


def test_copies_are_counted_as_one_by_one() -> None:
    rng = random.Random(3)
    sets = [rng.getrandbits(64) for _ in range(37)]
    tally = Tally()
    for each in sets:
        tally.add(each)
    counts = [sum(each >> index & 1 for each in sets) for index in range(64)]
    among = rng.getrandbits(64) | 1
    chosen = [count for index, count in enumerate(counts) if among >> index & 1]
    assert tally.fewest(among) == min(chosen)
    assert tally.total(among) == sum(chosen)
    run = tally.cut(64)(13, 30)
    assert (run.fewest((1 << 30) - 1), run.total((1 << 30) - 1)) == (min(counts[13:43]), sum(counts[13:43]))
    assert Tally().none(0b101) == 0b101
    assert list(_runs(0b1101110)) == [(1, 3), (5, 2)]


def blocks_of(*holders: tuple[int, int, bytes], origin: bool = True) -> Picture:
    picture = Picture(0.0, WALL)
    if origin:
        picture.report(who(90, role="seed"), report(1), 1.0)
    for number, count, bits in holders:
        picture.report(who(number), report(1, holdings=(held(8, count, bits),)), 1.0)
    return picture


def blocks_view(picture: Picture, layout: Layout | None, now: float) -> Blocks | None:
    found = seen(picture, ROADS, V1, layout, now)
    return counted(found, 4) if found is not None else None


def test_what_would_be_lost_with_the_origin() -> None:
    layout = Layout(8, 80, [10] * 8, [FileSpan("a", 40, 0, 4), FileSpan("b", 40, 4, 4)])
    found = blocks_view(blocks_of((1, 3, b"\x07"), (2, 2, b"\x0c")), layout, 2.0)
    assert found is not None
    assert (found.survival.answer, found.survival.lost, found.survival.lost_bytes) == ("no", ((4, 4),), 40)
    assert [(each.fewest, each.origin) for each in found.ranges] == [(1, 1), (1, 1), (0, 1), (0, 1)]
    assert [(each.path, each.fewest) for each in found.files] == [("b", 0), ("a", 1)]
    together = blocks_view(blocks_of((1, 4, b"\x0f"), (2, 4, b"\xf0")), None, 2.0)
    assert together is not None
    assert together.survival.answer == "yes"
    vague = blocks_view(blocks_of((1, 4, b"")), None, 2.0)
    assert vague is not None
    assert (vague.survival.answer, vague.exact) == ("unknown", False)


def test_one_peer_cannot_say_how_many_blocks_a_version_has() -> None:
    picture = blocks_of((1, 8, b""), (2, 8, b""))
    picture.report(who(3), report(1, holdings=(held(8_000_000, 8_000_000),)), 1.0)
    found = blocks_view(picture, None, 2.0)
    assert found is not None
    assert (found.blocks, found.complete_peers) == (8, 2)


def test_what_one_peer_alone_says_of_a_version_is_bounded() -> None:
    picture = blocks_of()
    picture.report(who(3), report(1, holdings=(held(8_000_000, 8_000_000),)), 1.0)
    assert blocks_view(picture, None, 2.0) is None
    picture.report(who(1), report(1, holdings=(held(8, 8),)), 1.0)
    found = blocks_view(picture, None, 2.0)
    assert found is not None
    assert found.blocks == 8
    picture.report(who(90, role="seed"), report(2, holdings=(held(9, 9),)), 3.0)
    found = blocks_view(picture, None, 4.0)
    assert found is not None
    assert found.blocks == 9


def test_a_ring_keeps_means_and_no_more_than_it_holds() -> None:
    ring = Ring(10, 3)
    for at in range(100):
        ring.put(float(at), float(at))
    assert list(ring.points) == [(70.0, 74.5), (80.0, 84.5), (90.0, 94.5)]
    rings = Rings(("peers",))
    for at in range(1000):
        rings.put(float(at), {"peers": 1.0})
    assert rings.read("peers", 900.0, 1000.0)[0] == 1
    assert rings.read("peers", 200.0, 1000.0)[0] == 10
    assert len(rings.read("peers", 700.0, 1000.0)[1]) <= 300


def test_flow_is_bounded_and_by_site_in_a_large_swarm() -> None:
    flow = FlowFigures()
    flow.tick(0.0, 10)
    for number in range(2 * EDGES_MAX):
        flow.add("a", f"b{number}", 1 + number)
    flow.tick(1.0, 10)
    assert flow.last is not None
    assert len(flow.last.edges) == EDGES_MAX
    assert flow.last.bytes == sum(range(1, 2 * EDGES_MAX + 1))
    flow.tick(2.0, PEERS_MAX + 1)
    assert flow.by_site
    assert [frame.at for frame in flow.since(0.5)] == [1.0]


def test_events_are_numbered_and_the_oldest_go() -> None:
    happenings = Happenings(most=3)
    for number in range(5):
        happenings.add("joined", float(number), "a peer", peer=f"peer {number}")
    found, missed = happenings.after(0, 10)
    assert ([event.number for event in found], missed) == ([3, 4, 5], True)
    assert [event.number for event in happenings.after(4, 10)[0]] == [5]
    assert happenings.since(3.5) == 4


def test_the_origin_is_told_in_copies_of_what_one_consumer_fetches() -> None:
    picture = Picture(0.0, WALL)
    assert origin_view(picture, DEFAULT, 0.0).copies is None
    for number in range(1, 5):
        picture.report(who(number), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
    for number, (peers, origin) in enumerate(((600, 400), (400, 600), (200, 0)), 1):
        done = followed(serial=1, version=V1, heard=1, phase="current", peers=peers, origin=origin)
        picture.report(who(number), report(2, done), 1.5)
    told = origin_view(picture, DEFAULT, 2.0)
    assert (told.copies, told.items[0].copies) == (1.0, 1.0)
    assert told.offload == pytest.approx(1200 / 2200, abs=1e-4)


def test_a_log_that_is_kept_gives_the_same_rollout_when_it_is_played() -> None:
    picture = Picture(0.0, WALL)
    for number in (1, 2):
        picture.report(who(number), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
    for number in (1, 2):
        done = followed(serial=1, version=V1, heard=1, phase="current", peers=300, origin=100)
        picture.report(who(number), report(2, done), 2.0 + number)
    picture.tick(5.0, WALL + 5)
    rollout = picture.book.rollout_of((ROADS, "stable"), 1)
    assert rollout is not None
    data = canonical.encode(keeping.kept_of(picture, rollout))
    kept = decode_log(data)
    assert kept is not None
    played = keeping.replayed(kept, picture.offset)
    before, after = (views.rollout_view(picture, each, 5.0) for each in (rollout, played))
    for name in ("counts", "sources", "completion", "wanted", "serial", "version"):
        assert getattr(before, name) == getattr(after, name), name
    page = keeping.log_of(kept, 0, 3)
    assert (len(page.steps), page.next, page.states) == (3, 3, STATES)
    living = keeping.living_log(picture, rollout, 0, 100)
    assert [(step.t_s, step.state) for step in living.steps] == [(step.t_ms / 1000, step.state) for step in kept.steps]
    assert decode_log(data[:-1]) is None
    for cut in ({"peers": kept.peers[:1]}, {"states": ()}):
        assert decode_log(canonical.encode(msgspec.structs.replace(kept, **cut))) is None


def test_who_began_to_follow_late_takes_no_longer_when_its_rollout_is_played() -> None:
    picture = Picture(0.0, WALL)
    picture.report(who(1), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
    ways = (Step(1, "fetching", 2000), Step(2, "current", 1000))
    for number, at in ((1, 6.0), (2, 300.0)):
        done = followed(serial=1, version=V1, heard=1, phase="current", steps=ways, age_ms=3000)
        picture.report(who(number), report(2, done), at)
    rollout = picture.book.rollout_of((ROADS, "stable"), 1)
    assert rollout is not None and rollout.done == [2.0, 4.0]
    played = keeping.replayed(keeping.kept_of(picture, rollout), picture.offset)
    assert played.done == pytest.approx([2.0, 4.0])


def test_a_page_of_a_log_names_the_peers_of_its_steps_alone_and_its_last_steps_are_told() -> None:
    picture = Picture(0.0, WALL)
    for number in range(1, 41):
        picture.report(who(number), report(1, followed(heard=0)), 0.5)
    picture.moved(entry(1, V1, wall_time=int(WALL)), 1.0)
    for number in range(1, 41):
        picture.report(who(number), report(2, followed(serial=1, version=V1, heard=1, phase="current")), 2.0 + number)
    rollout = picture.book.rollout_of((ROADS, "stable"), 1)
    assert rollout is not None
    kept, total = keeping.kept_of(picture, rollout), len(rollout.steps)
    for page in (keeping.living_log(picture, rollout, 0, 100, 3), keeping.log_of(kept, 0, 100, 3)):
        assert (page.first, page.total, page.next) == (total - 3, total, None)
        assert [page.peers[step.peer].peer for step in page.steps] == [
            peer_id_of(who(number).public) for number in (38, 39, 40)
        ]
        assert len(page.peers) == 3
    assert keeping.living_log(picture, rollout, total - 1, 100, 3).first == total - 1
    beyond = keeping.log_of(kept, total + 5, 100)
    assert (beyond.steps, beyond.peers, beyond.next) == ((), (), None)
    assert keeping.living_log(picture, rollout, 0, 100).ended is None


def test_a_log_that_is_damaged_is_none_and_goes_with_a_purge() -> None:
    objects = MemoryObjectStore()
    for data in (b"garbage", zstandard.compress(b"garbage")):
        objects.put(keeping.key_of(ROADS, "stable", 1), data)
        with pytest.raises(NotFoundError, match="is damaged"):
            keeping.read(objects, ROADS, "stable", 1)
    assert keeping.purge(objects, ROADS, V1) == 1
    assert objects.list("") == []


class Busy(StepLog):
    """One to which a peer's first step comes while it is read, and half of another."""

    def __iter__(self) -> Iterator[LoggedStep]:
        self.add(2.0, key(len(self.logged)), "rome", 0)
        self._times.append(2500)
        yield from super().__iter__()


def test_a_log_is_whole_though_steps_come_while_it_is_read() -> None:
    picture, steps = Picture(0.0, WALL), Busy()
    rollout = RolloutFigures(ROADS, "stable", 1, V1, b"", "", 1.0, steps=steps)
    steps.add(1.0, key(0), "paris", 0)
    kept = decode_log(canonical.encode(keeping.kept_of(picture, rollout)))
    assert kept is not None
    assert ([each.public for each in kept.peers], [each.peer for each in kept.steps]) == ([key(0), key(1)], [0, 1])


def test_who_has_a_version_whose_hook_fails_has_failed_at_it_and_at_no_other() -> None:
    failing = followed(serial=2, version=V2, heard=2, target=2, target_version=V2, phase="failed", cause="hook")
    running = msgspec.structs.replace(failing, phase="verifying")
    assert [standing(told, 2, V2) for told in (failing, running)] == [FAILED, VERIFYING]
    # The hook of the next version says nothing of this one, nor does a steering entry of one that is current.
    assert standing(msgspec.structs.replace(failing, version=V1, serial=1), 1, V1) == CURRENT
    assert standing(msgspec.structs.replace(failing, phase="waiting", cause="", heard=3, target=3), 2, V2) == CURRENT


def kept_log(dataset: str, tag: str, serial: int, ended_ms: int) -> KeptLog:
    return KeptLog(1, dataset, tag, serial, V1, b"", "", 1000, ended_ms, 0, (0, 0, 0, 0, 0), STATES, (), (), 0)


def test_the_rows_of_the_latest_are_the_latest_of_what_may_be_read() -> None:
    objects, kept = MemoryObjectStore(), keeping.Kept(lambda tag, serial: None)
    ended = 0
    for serial in range(1, 31):
        for dataset in ("a/secret", "b/often", "maps/roads"):
            ended += 1000
            assert keeping.write(objects, kept_log(dataset, "latest", serial + (0 if dataset > "b" else 5000), ended))
    for number in range(40):  # keys that come first are of rollouts long ago
        keeping.write(objects, kept_log("a/old", f"t{number:02}", 9000, 2000))
    objects.put(keeping.key_of("maps/roads", "latest", 99), b"garbage")
    rows = kept.items(objects, lambda dataset: dataset != "a/secret")
    assert len(rows) == keeping.KEPT_MAX
    assert [(row.dataset, row.serial) for row in rows[:3]] == [("maps/roads", 30), ("b/often", 30), ("maps/roads", 29)]
    assert {row.dataset for row in rows} == {"b/often", "maps/roads"}
    assert keeping.purge(objects, "maps/roads", V1)
    assert {row.dataset for row in kept.items(objects, lambda dataset: dataset > "b")} == {"b/often"}


def test_a_replay_is_at_hand_as_long_as_its_log_is_there_unaltered() -> None:
    objects, kept = MemoryObjectStore(), keeping.Kept(lambda tag, serial: None)
    for serial in range(1, keeping.REPLAYED_MAX + 2):
        assert keeping.write(objects, kept_log(ROADS, "stable", serial, 2000))
    last = kept.replayed(objects, (ROADS, "stable"), 0, 5.0)
    assert last is kept.replayed(objects, (ROADS, "stable"), keeping.REPLAYED_MAX + 1, 5.001)
    assert last is not kept.replayed(objects, (ROADS, "stable"), 0, 7.0)  # the wall clock was set
    for serial in range(1, keeping.REPLAYED_MAX + 2):
        kept.replayed(objects, (ROADS, "stable"), serial, 7.0)
    assert len(kept._replayed) == keeping.REPLAYED_MAX
    assert keeping.purge(objects, ROADS, V1)
    with pytest.raises(NotFoundError):
        kept.replayed(objects, (ROADS, "stable"), 3, 7.0)


@pytest.mark.parametrize(
    "text", ["", "nothing", "rollout:maps", "blocks:x", "series:nothing", "peer:abc", "overview:x"]
)
def test_what_is_no_topic_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        topic_of(text)


def test_every_figure_is_json_with_when_first() -> None:
    picture = Picture(0.0, WALL)
    data = msgspec.json.encode(views.overview(picture, lambda dataset: True, 1.0))
    assert data.startswith(b'{"at":1700000001.0,')
