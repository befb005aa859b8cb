"""Neighbours and news between real peers, with the tracker dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from swarm.home import Home
from swarm.log import Move
from swarm.peer import channels as channels_module
from swarm.peer.agent import start_peer
from swarm.peer.channels import Channel, Events
from swarm.peer.node import PeerNode
from swarm.peer.wire import Message
from tests.integration.swarm_rig import Swarm, contents, make_tree

DEADLINE_S = 60.0


async def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for something that must come about, however slow the machine."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


def without_friends(home: Home) -> None:
    """A home that remembers the tracker only."""
    home.remember(msgspec.structs.replace(home.swarm(), bootstrap=()))


async def standing(swarm: Swarm, count: int) -> list[PeerNode]:
    """Peers that all know of each other, in one mesh."""
    peers = [await swarm.peer(f"peer-{number}") for number in range(count)]
    ids = {peer.key.peer_id for peer in peers}
    # The seed is a neighbour too: that each has as many is not enough.
    await until(lambda: all(ids <= {*peer.channels.open, peer.key.peer_id} for peer in peers), "the mesh does not form")
    return peers


def know(peers: Sequence[PeerNode], dataset: str, serial: int) -> bool:
    return all(peer.ledger.head(dataset) == serial for peer in peers)


def test_who_knows_one_neighbour_gets_to_know_others_and_completes(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 1)
        async with Swarm(tmp_path) as swarm:
            producer, *holders = await standing(swarm, 4)
            await swarm.publish(producer, source, "maps/roads:latest")
            for number, holder in enumerate(holders[1:]):
                await swarm.pull(holder, "maps/roads:latest", tmp_path / f"held-{number}")
            late = await swarm.enrol("late")
            without_friends(late)
            for part in (producer, swarm.seed, swarm.tracker):
                await swarm.stop(part)
            node = await start_peer(swarm.settings(late))
            try:
                only = holders[0]
                assert not list(only.holdings), "the one that it knows holds nothing itself"
                node.meeting.learn(only.key.peer_id, only.addresses())
                result = await swarm.pull(node, "maps/roads:latest", tmp_path / "out")
                known = {holder.key.peer_id for holder in holders}
                await until(lambda: set(node.channels.open) == known, "it gets to know no others")
            finally:
                await node.close()
            assert contents(tmp_path / "out") == contents(source)
            assert result["stale"] is True

    asyncio.run(main())


def test_a_moved_tag_reaches_standing_peers_and_who_comes_back_without_a_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        pass

    async def main() -> None:
        source = make_tree(tmp_path / "source", 2)
        async with Swarm(tmp_path) as swarm:
            producer, *peers = await standing(swarm, 4)
            published = await swarm.publish(producer, source, "maps/roads:v1")
            await until(lambda: know(peers, "maps/roads", 1), "the first version is not heard of")
            away = peers.pop()
            await swarm.stop(away)
            for node in (*peers, swarm.seed):  # or a heartbeat of now would bring it
                monkeypatch.setattr(node.announcer, "_catch_up", nothing)
            move = [Move("latest", bytes.fromhex(published["version"]))]
            raw, entry = await producer.tracker.commit("maps/roads", "tag", move, grant=producer.papers.grant)
            await swarm.stop(swarm.tracker)
            assert know(peers, "maps/roads", 1)
            producer.ledger.record(entry, raw)
            producer.exchange.announce(raw)
            await until(lambda: know(peers, "maps/roads", 2), "standing peers do not hear of the tag")
            back = await start_peer(replace(swarm.settings(away.home), port_base=0))
            try:
                await until(lambda: know([back], "maps/roads", 2), "who was away is not told")
            finally:
                await back.close()

    asyncio.run(main())


def test_news_of_what_one_may_not_read_do_not_reach_it(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 3)
        async with Swarm(tmp_path) as swarm:
            stranger = await swarm.peer("stranger", datasets=["mine/*"])
            producer, *peers = await standing(swarm, 3)
            await until(lambda: len(stranger.channels.open) >= 3, "the stranger is in no mesh")
            await swarm.publish(producer, source, "maps/roads:v1")
            await until(lambda: know([*peers, swarm.seed], "maps/roads", 1), "the version is not heard of")
            await swarm.publish(producer, source, "mine/roads:v1")
            await until(lambda: know([stranger], "mine/roads", 1), "the stranger hears nothing at all")
            assert know([stranger], "maps/roads", 0)

    asyncio.run(main())


def test_near_is_who_has_our_site_in_its_credential_or_is_seen_in_our_network(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            sites = {"a": "lab", "b": "lab", "c": "plant", "d": "", "e": ""}
            peers = {name: await swarm.peer(name, site=site) for name, site in sites.items()}
            ids = {peer.key.peer_id for peer in peers.values()}
            await until(
                lambda: all(ids <= {*peer.channels.open, peer.key.peer_id} for peer in peers.values()), "no mesh forms"
            )
            for name, peer in peers.items():
                for other, far in peers.items():
                    if name != other:
                        assert peer.channels.open[far.key.peer_id].near == (sites[name] == sites[other])

    asyncio.run(main())


def test_a_tracker_passes_on_what_is_committed_to_it_through_the_peer_of_its_process(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 5)
        async with Swarm(tmp_path) as swarm:
            swarm.tracker.state.on_commit = swarm.seed.exchange.announce
            producer, *peers = await standing(swarm, 3)
            published = await swarm.publish(producer, source, "maps/roads:v1")
            move = [Move("latest", bytes.fromhex(published["version"]))]
            await producer.tracker.commit("maps/roads", "tag", move, grant=producer.papers.grant)
            assert know([swarm.seed], "maps/roads", 2), "it is told before the publisher is answered"
            await until(lambda: know([producer, swarm.seed, *peers], "maps/roads", 2), "the tracker tells nobody")

    asyncio.run(main())


def test_an_entry_that_one_peer_finds_at_the_tracker_is_known_to_all(tmp_path: Path) -> None:
    """Committed by a process that ended before it could tell anybody."""

    async def main() -> None:
        source = make_tree(tmp_path / "source", 4)
        async with Swarm(tmp_path) as swarm:
            producer, *peers = await standing(swarm, 3)
            published = await swarm.publish(producer, source, "maps/roads:v1")
            await until(lambda: know(peers, "maps/roads", 1), "the first version is not heard of")
            move = [Move("latest", bytes.fromhex(published["version"]))]
            await producer.tracker.commit("maps/roads", "tag", move, grant=producer.papers.grant)
            await peers[0].announcer.beat()
            await until(lambda: know([producer, *peers], "maps/roads", 2), "the log was not compared")

    asyncio.run(main())


class Silent:
    """Counts what was heard on channels beside messages, and passes everything on."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.count = 0

    def opened(self, channel: Channel) -> None:
        self._events.opened(channel)

    def closed(self, channel: Channel) -> None:
        self._events.closed(channel)

    def heard(self, channel: Channel) -> None:
        self.count += 1
        self._events.heard(channel)

    def received(self, channel: Channel, message: Message) -> None:
        self.count -= 1
        self._events.received(channel, message)


def test_every_ping_is_answered_and_who_answers_is_in_doubt_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            one, other = await standing(swarm, 2)
            channels, pulse, name = one.channels, one.meeting.mesh.pulse, other.key.peer_id
            channels._events = silent = Silent(channels._events)
            pulse.due(time.monotonic() + 100.0)
            pulse.due(time.monotonic() + 200.0)
            assert pulse.is_in_doubt(name)
            for _ in range(8):  # more than heartbeats come before a channel breaks
                channels.open[name].ping()
            await until(lambda: silent.count >= 8, "pings are not answered")
            assert not pulse.is_in_doubt(name)

    asyncio.run(main())


def test_who_falls_silent_loses_the_channel_and_is_not_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "HEARTBEAT_S", 0.5)

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            one, other = await standing(swarm, 2)

            async def never(channel: Channel, data: bytes) -> None:
                pass

            lost = other.channels.open[one.key.peer_id]
            monkeypatch.setattr(other.channels, "_pong", never)
            monkeypatch.setattr(one.channels, "_pong", never)
            await until(lambda: lost.socket.closed, "the channel does not break")
            assert not one.channels.is_banned(other.key.peer_id)
            assert not other.channels.is_banned(one.key.peer_id)

    asyncio.run(main())
