"""What a swarm of real parts tells its trackers of itself, and what these make of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
import pytest

from swarm.dht.keys import tag_key
from swarm.figure_messages import Blocks, DhtFigures, Events, Flow, Overview, Peer, Peers, Rollout, RolloutLog
from swarm.home import Home
from swarm.http.tls import peer_client_context
from swarm.identity import server_name_of
from swarm.peer.layouts import Layouts
from swarm.peer.node import PeerNode
from swarm.peer.settings import NodeSettings
from swarm.peer.status import status_of
from swarm.reports import REPORT_ANSWER_MAX_BYTES, REPORT_PATH, ReportAnswer, Totals
from swarm.tracker.figures.laying import NOBODY
from swarm.tracker.figures.peers import KnownPeer
from tests.integration.swarm_rig import Swarm, make_tree, run
from tests.integration.tracker_rig import FixedResolver, Rig, running_tracker
from tests.reported import V1, followed, report

PATIENCE_S: Final = 30.0
ROADS: Final = "/api/v1/figures/rollouts/maps/roads/stable"

T = TypeVar("T", bound=msgspec.Struct)


class Following(Swarm):
    """A swarm whose peers stay, and so follow what they subscribe to."""

    def settings(self, home: Home) -> NodeSettings:
        return NodeSettings(home=home, stall_s=self.stall_s, follows=True)


class Looks:
    """Somebody who asks a tracker for figures."""

    def __init__(self, session: aiohttp.ClientSession, tracker: str) -> None:
        self._session = session
        self._base = f"https://{server_name_of(tracker)}"

    async def at(self, path: str, kind: type[T], **query: str) -> T:
        async with self._session.get(self._base + path, params=query) as response:
            data = await response.read()
            assert response.status == 200, data
            return msgspec.json.decode(data, type=kind)

    async def until(self, path: str, kind: type[T], holds: Callable[[T], bool]) -> T:
        """Ask until it is so."""
        end = time.monotonic() + PATIENCE_S
        while not holds(found := await self.at(path, kind)):
            assert time.monotonic() < end, found
            await asyncio.sleep(0.1)
        return found

    async def stream(self, topics: str, last_id: str = "") -> AsyncGenerator[tuple[str, str, Any], None]:
        """Events of a stream as (id, topic, data)."""
        headers = {"Last-Event-ID": last_id} if last_id else {}
        url = f"{self._base}/api/v1/figures/stream"
        async with self._session.get(url, params={"topics": topics}, headers=headers) as response:
            assert response.status == 200, await response.text()
            told: dict[str, str] = {}
            async for line in response.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name:
                    told[name] = value
                elif "data" in told:
                    yield told.get("id", ""), told["event"], msgspec.json.decode(told["data"])
                    told = {}


async def looking(swarm: Swarm, node: PeerNode, use: Callable[[Looks], Awaitable[None]]) -> None:
    connector = aiohttp.TCPConnector(
        ssl=peer_client_context(node.home.tls_files), resolver=FixedResolver(swarm.tracker.port)
    )
    async with aiohttp.ClientSession(connector=connector) as session:
        await use(Looks(session, swarm.tracker.contact.peer_id))


@pytest.fixture(name="quick")
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.peer.reporting.PAUSE_S", 0.2)
    monkeypatch.setattr("swarm.tracker.figures.picture.PAUSE_MIN_S", 0.2)


def test_a_rollout_is_seen_from_its_first_peer_to_its_last(tmp_path: Path, quick: None) -> None:
    async def scenario() -> None:
        async with Following(tmp_path) as swarm:
            begun = int(time.time())
            producer = await swarm.peer("producer")
            consumers = [await swarm.peer(f"consumer{number}", site="paris") for number in range(2)]
            tree = make_tree(tmp_path / "tree", 1)
            published = await swarm.publish(producer, tree, "maps/roads:stable")
            for number, node in enumerate(consumers):
                await run(node, "subscribe", ref="maps/roads:stable", directory=str(tmp_path / f"at{number}"))

            async def look(ask: Looks) -> None:
                await first_version(ask)
                # A report may have told of the first half of it.
                one = await ask.until(
                    f"/api/v1/figures/peers/{producer.key.peer_id}",
                    Peer,
                    lambda peer: peer.uploaded_bytes >= published["uploaded"],
                )
                assert one.uploaded_bytes == published["uploaded"]
                assert one.joined is not None
                assert begun <= one.joined <= time.time()
                await next_version(ask, swarm, producer, tree)
                beside = await swarm.peer("beside")
                await links(ask, swarm, producer, consumers, beside)
                await lookups(ask, [swarm.seed, producer, beside, *consumers])
                await death(ask, swarm, consumers[1])

            await looking(swarm, consumers[0], look)

    asyncio.run(scenario())


async def first_version(ask: Looks) -> None:
    whole = await ask.until(ROADS, Rollout, lambda found: found.counts.current == 2)
    assert (whole.wanted, whole.serial, whole.trend) == (2, 1, "well")
    assert whole.sources.peers + whole.sources.origin > 0
    seen = await ask.at("/api/v1/figures/overview", Overview)
    assert [(row.dataset, row.tag, row.current) for row in seen.tags] == [("maps/roads", "stable", 2)]
    assert "all 2 current" in seen.verdict


async def next_version(ask: Looks, swarm: Swarm, producer: PeerNode, tree: Path) -> None:
    (tree / "large.bin").write_bytes(b"another" * 500_000)
    stream = ask.stream("overview,rollout:maps/roads:stable,events,flow")
    await anext(stream)
    await swarm.publish(producer, tree, "maps/roads:stable")
    async for _, topic, data in stream:
        if topic == "overview" and data["tags"] and data["tags"][0]["serial"] == 2:
            break
    await stream.aclose()
    whole = await ask.until(ROADS, Rollout, lambda found: found.serial == 2 and found.counts.current == 2)
    assert whole.completion.p50_s is not None
    log = await ask.at(ROADS + "/events", RolloutLog)
    last = {step.peer: log.states[step.state] for step in log.steps}
    assert set(last.values()) == {"current"}
    assert len(log.peers) == 2


async def links(ask: Looks, swarm: Swarm, producer: PeerNode, consumers: list[PeerNode], beside: PeerNode) -> None:
    # Frames close once a second.
    flow = await ask.until("/api/v1/figures/flow", Flow, lambda told: any(frame.edges for frame in told.frames))
    givers = {flow.nodes[edge.giver].id for frame in flow.frames for edge in frame.edges}
    assert givers <= {node.key.peer_id for node in (swarm.seed, producer, *consumers)}
    listed = await ask.at("/api/v1/figures/peers", Peers, site="paris")
    assert {each.id for each in listed.peers} == {node.key.peer_id for node in consumers}
    received = consumers[0].traffic.received
    one = await ask.until(
        f"/api/v1/figures/peers/{consumers[0].key.peer_id}",
        Peer,
        lambda peer: peer.received_bytes == sum(received.values()),
    )
    assert one.received_bytes > 0
    assert one.following[0].serial == 2
    copies = await ask.at("/api/v1/figures/blocks/maps/roads", Blocks)
    assert (copies.files, copies.why_no_files) == ((), NOBODY)
    swarm.tracker.state.figures.laying.find = Layouts(beside)
    copies = await ask.until("/api/v1/figures/blocks/maps/roads", Blocks, lambda found: not found.why_no_files)
    assert (copies.survival.answer, copies.complete_peers, copies.origins) == ("yes", 2, 2)
    assert sum(each.count for each in copies.ranges) == copies.blocks
    assert "large.bin" in {each.path for each in copies.files}


async def lookups(ask: Looks, nodes: list[PeerNode]) -> None:
    """Each lookup in the DHT is counted once, by whether it found anybody."""
    asker = nodes[-1]
    before, failed = asker.dht.lookups.lookups, asker.dht.lookups.failed
    assert await asker.dht.find_providers(lambda secret: tag_key(secret, "maps/roads", "stable"))
    assert not await asker.dht.find_providers(lambda secret: tag_key(secret, "maps/roads", "nobody-has-it"))
    assert (asker.dht.lookups.lookups - before, asker.dht.lookups.failed - failed) == (2, 1)
    assert status_of(asker)["dht"]["failed_lookups"] == failed + 1

    def is_told(found: DhtFigures) -> bool:
        rows = {row.peer: (row.lookups, row.failed_lookups) for row in found.rows}
        counted = {node.key.peer_id: (node.dht.lookups.lookups, node.dht.lookups.failed) for node in nodes}
        return counted.items() <= rows.items()

    told = await ask.until("/api/v1/figures/dht", DhtFigures, is_told)
    sums = (sum(row.lookups for row in told.rows), sum(row.failed_lookups for row in told.rows))
    assert (told.lookups, told.failed_lookups) == sums
    assert told.lookup_p50_s is not None and told.lookup_p95_s is not None
    assert 0 < told.lookup_p50_s <= told.lookup_p95_s


async def death(ask: Looks, swarm: Swarm, dying: PeerNode) -> None:
    dying.announcer._was_answered = False  # it says no goodbye

    def has_died(found: Events) -> bool:
        return any(event.kind == "died" and event.peer == dying.key.peer_id for event in found.events)

    await swarm.stop(dying)
    await ask.until("/api/v1/figures/events", Events, has_died)
    assert (await ask.at(ROADS, Rollout)).wanted == 1


def test_a_missed_neighbour_is_told_of_however_rarely_others_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarm.peer.reporting.MISSED_PAUSE_S", 0.2)
    # As in a swarm of many, all of them behind.
    monkeypatch.setattr("swarm.tracker.figures.picture.BEAT_MIN_S", 60.0)
    monkeypatch.setattr("swarm.tracker.figures.picture.PAUSE_MIN_S", 10_000.0)

    async def scenario() -> None:
        async with Swarm(tmp_path) as swarm:
            one, other = await swarm.peer("one"), await swarm.peer("other")
            reporter = one.reporter
            await until(lambda: other.key.peer_id in one.channels.open and reporter._pause_s == 10_000.0)
            told = reporter._sequence
            await swarm.stop(other)
            await until(lambda: reporter._sequence > told)

    asyncio.run(scenario())


async def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def test_trackers_show_one_picture_and_one_that_starts_has_it_after_a_beat(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_tracker(tmp_path / "a") as first:
            member = await first.member(site="rome")
            told = followed(serial=1, version=V1, heard=1, phase="current", peers=10)

            async def report_to(sequence: int, *, is_full: bool) -> ReportAnswer:
                said = report(sequence, *([told] if is_full else []), is_full=is_full, totals=Totals(0, 10 * sequence))
                return await member.client.beat(REPORT_PATH, said, ReportAnswer, REPORT_ANSWER_MAX_BYTES)

            async def shown_by(rig: Rig, sequence: int) -> KnownPeer:
                peers = rig.tracker.state.figures.picture.peers
                end = time.monotonic() + PATIENCE_S
                while (peer := peers.get(member.key.public)) is None or peer.sequence < sequence:
                    assert time.monotonic() < end
                    await asyncio.sleep(0.05)
                return peer

            assert not (await report_to(1, is_full=True)).needs_full
            async with running_tracker(tmp_path / "b", first.objects) as second:
                sequence, needs_full = 1, False
                # What is reported before the first knows of the second reaches the first alone.
                while member.key.public not in second.tracker.state.figures.picture.peers:
                    needs_full |= (await report_to((sequence := sequence + 1), is_full=False)).needs_full
                    await asyncio.sleep(0.05)
                lacking = await shown_by(second, 2)
                assert (lacking.followed, lacking.who.site) == ({}, "rome")
                assert lacking.totals.received == 10 * lacking.sequence
                while not needs_full:
                    needs_full = (await report_to((sequence := sequence + 1), is_full=False)).needs_full
                    await asyncio.sleep(0.05)
                await report_to(sequence + 1, is_full=True)
                peer = await shown_by(second, sequence + 1)
                assert peer.followed == first.tracker.state.figures.picture.peers[member.key.public].followed != {}
                assert peer.totals == first.tracker.state.figures.picture.peers[member.key.public].totals

    asyncio.run(scenario())
