"""What is taken away: grants are recalled everywhere while a tracker lives, and members that are removed stay so."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from swarm.errors import NotAllowedError, UnreachableError
from swarm.limits import ANNOUNCE_INTERVAL_S
from swarm.peer.agent import start_peer
from swarm.peer.announce import RETRY_S
from swarm.peer.node import PeerNode
from swarm.peer.wire import NOT_HERE, Interest, RunRequest
from swarm.records import Grant, open_sealed
from swarm.tracker.policy import PolicyRule, added, without
from swarm.tracker.rights import MAX_AGE_S, Rights
from swarm.tracker.server import Tracker
from tests.integration.swarm_rig import Swarm, make_tree, run
from tests.integration.tracker_rig import until

ROADS = "maps/roads"
ALL = PolicyRule("members", "read", "*")


async def change(tracker: Tracker, *, allow: tuple[PolicyRule, ...] = (), remove: tuple[PolicyRule, ...] = ()) -> None:
    """As ``aetherfs access`` does it."""
    state = tracker.state
    await state.work(
        lambda: state.rights.change(
            lambda policy: (added(without(policy.rules, remove), allow), policy.grant_lifetime_s),
            by="user:test",
            what="a test",
            members=state.members.principals,
            wall_now=time.time(),
        )
    )


async def asked(asker: PeerNode, giver: PeerNode, dataset: str, version: bytes, signature: bytes, entry: bytes) -> int:
    """What a peer is answered when it asks another for a block."""
    asker.resolver.learn(giver.key.peer_id, giver.addresses())
    request = RunRequest(1, 1, dataset, version, entry, True, (signature,))
    answers = [status async for status, _ in asker.fetcher.run(giver.key.peer_id, request)]
    return answers[0]


async def meet(*nodes: PeerNode) -> None:
    """Each of the others has a channel with the first one, which stays."""
    first, *others = nodes
    for other in others:
        other.resolver.learn(first.key.peer_id, first.addresses())
        await other.channels.connect(first.key.peer_id)
    await until(lambda: all(have_met(first, other) for other in others))


def have_met(one: PeerNode, other: PeerNode) -> bool:
    """Whether they have the two ends of one channel. Each may dial the other at the same moment: of these two channels
    one is closed, and until both know which, each may take its own for the one that stays.
    """
    ends = [a.channels.open.get(b.key.peer_id) for a, b in ((one, other), (other, one))]
    dials = other.key.peer_id in one.channels._dialling or one.key.peer_id in other.channels._dialling
    return None not in ends and not dials and {end.dialled for end in ends if end is not None} == {True, False}


def grant_of(node: PeerNode) -> Grant:
    return open_sealed(node.papers.grant, Grant, authority=node.access.authority, wall_now=time.time())


def test_what_is_taken_away_is_given_by_nobody_any_more_and_what_is_left_is(tmp_path: Path) -> None:
    """The reader withholds its heartbeats and keeps its old grant, as a peer with malice would: it is another who hears
    of the list, and does not give. What the others still may read they are given all the same.
    """

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            await change(swarm.tracker, allow=(ALL,))
            producer = await swarm.peer("producer", datasets=["maps/*"])
            reader, honest = [await swarm.peer(name, datasets=["own/*"]) for name in ("reader", "honest")]
            await swarm.publish(producer, make_tree(tmp_path / "source", 1), f"{ROADS}:latest")
            for number, node in enumerate((reader, honest)):
                await run(node, "pull", ref=f"{ROADS}:latest", directory=str(tmp_path / f"copy{number}"))
            holding = next(iter(producer.holdings))
            version, signature = holding.version, holding.manifest.unique[0].signature
            entry = producer.access.entry_of(ROADS, version) or b""
            await meet(producer, reader, honest)

            async def give() -> list[int]:
                return [await asked(node, producer, ROADS, version, signature, entry) for node in (reader, honest)]

            assert NOT_HERE not in await give()
            reader.channels.open[producer.key.peer_id].send(Interest(ROADS, version, entry))
            channel = producer.channels.open[reader.key.peer_id]
            await until(lambda: version in channel.interests)
            stolen = reader.papers.grant
            await change(swarm.tracker, allow=(PolicyRule(f"peer:{honest.key.peer_id}", "read", ROADS),), remove=(ALL,))
            await producer.announcer._renewed_beat()
            await until(lambda: honest.access.recalls.serial == producer.access.recalls.serial > 0)
            await until(lambda: not grant_of(honest).allows("read", "maps/lakes"))
            assert grant_of(honest).allows("read", ROADS)
            reader.fetcher.grant = stolen
            assert [status == NOT_HERE for status in await give()] == [True, False]
            assert not channel.caller.may_read(ROADS)
            assert version not in channel.interests

    asyncio.run(main())


def test_who_is_removed_is_met_by_nobody_also_after_restarts_and_a_restored_store(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            backup = {key: swarm.objects.get(key) for key in swarm.objects.list("swarm/")}
            honest, gone = await swarm.peer("honest"), await swarm.peer("gone")
            await meet(honest, gone)
            member = swarm.objects.get(f"swarm/members/{gone.key.peer_id}")
            await swarm.tracker.state.work(swarm.tracker.state.members.remove, gone.key.peer_id)
            await honest.announcer._renewed_beat()
            assert gone.key.peer_id not in honest.channels.open
            with pytest.raises(NotAllowedError):
                await honest.channels.connect(gone.key.peer_id)
            await until(lambda: honest.key.peer_id not in gone.channels.open)
            with pytest.raises(UnreachableError):
                await gone.channels.connect(honest.key.peer_id)

            # A tracker over a store from before knows nothing of it, but who has heard of it says so.
            await swarm.stop(swarm.tracker)
            for key in swarm.objects.list("swarm/"):
                if key not in backup:
                    swarm.objects.delete(key)
            swarm.objects.put(f"swarm/members/{gone.key.peer_id}", member)
            await swarm.start_tracker()
            members = swarm.tracker.state.members
            assert members.member(gone.key.peer_id) is not None
            honest.tracker.set_trackers([swarm.tracker.contact])
            await honest.announcer.rotation.renew()
            await honest.announcer._renewed_beat()
            assert members.member(gone.key.peer_id) is None
            # Its papers, under the CA's seal, do not make it one again; nor does a restart.
            swarm.objects.delete(f"swarm/members/{gone.key.peer_id}")
            gone.tracker.set_trackers([swarm.tracker.contact])
            with pytest.raises(NotAllowedError, match="was removed"):
                await gone.announcer.rotation.renew()
            swarm.objects.put(f"swarm/members/{gone.key.peer_id}", member)
            again = Rights(swarm.objects, swarm.tracker.state.keys.authority)
            again.known()
            assert again.is_removed(gone.key.public)

            home = honest.home
            await swarm.stop(honest)
            returned = await start_peer(swarm.settings(home))
            swarm._stack.push_async_callback(swarm.stop, returned)
            assert returned.access.is_removed(gone.key.peer_id)

    asyncio.run(main())


def test_whatever_is_taken_away_is_known_everywhere_within_a_minute() -> None:
    """The tracker that hands out work sees what another has written, and each peer hears it with its next heartbeat."""
    assert MAX_AGE_S + ANNOUNCE_INTERVAL_S + RETRY_S < 60
