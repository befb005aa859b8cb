"""What members try that have no right: with a signature that they know, another's version, another's grant."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from swarm.claims import LEASES
from swarm.encoding import encode_block
from swarm.errors import NotAllowedError, NotFoundError, RemoteProtocolError
from swarm.log import Move
from swarm.peer.access import Access
from swarm.peer.channels import Channel
from swarm.peer.node import PeerNode
from swarm.peer.upload import SeedClient
from swarm.peer.wire import NOT_HERE, Interest, Message
from swarm.records import Grant, Rule, seal
from swarm.tracker.policy import PolicyRule
from tests.integration.swarm_rig import Swarm, make_tree, run
from tests.integration.test_recalled import asked, change, meet
from tests.integration.tracker_rig import TOTALS, publish, receipt_for, running_tracker, until

ROADS, MINE = "maps/roads", "own/mine"


def test_what_a_member_without_a_right_tries_brings_it_nothing(tmp_path: Path) -> None:
    """It knows signatures and the whole manifest of another's version, shows its log entry, lists its blocks in a
    manifest of its own, asks for its own dataset at that version, and has stolen a grant.
    """

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer", datasets=["maps/*"])
            thief = await swarm.peer("thief", datasets=["own/*"])
            await swarm.publish(producer, make_tree(tmp_path / "source", 1), f"{ROADS}:latest")
            await swarm.publish(thief, make_tree(tmp_path / "mine", 2), f"{MINE}:latest")
            foreign = next(iter(producer.holdings)).manifest
            own = next(iter(thief.holdings)).manifest
            version, signature = foreign.version, foreign.unique[0].signature
            entry = producer.access.entry_of(ROADS, version) or b""
            own_entry = thief.access.entry_of(MINE, own.version) or b""
            for giver in (producer, swarm.seed):
                await nothing_is_given(thief, giver, version, signature, entry, own_entry)
            await nothing_is_kept(thief, swarm.seed, foreign.root_bytes, dict(foreign.segments), signature)
            await nothing_is_ended(thief, producer, swarm, foreign.root_bytes)
            await nothing_is_told(thief, producer, version, entry)
            with pytest.raises(NotFoundError):
                await run(thief, "pull", ref=f"{ROADS}:latest", directory=str(tmp_path / "a"))
            with pytest.raises(NotFoundError):
                await run(thief, "pull", ref=f"{MINE}@{version.hex()}", directory=str(tmp_path / "b"))

    asyncio.run(main())


async def nothing_is_given(
    thief: PeerNode, giver: PeerNode, version: bytes, signature: bytes, entry: bytes, own_entry: bytes
) -> None:
    for dataset, shown in ((ROADS, entry), (ROADS, b""), (MINE, entry), (MINE, own_entry), (MINE, b"")):
        assert await asked(thief, giver, dataset, version, signature, shown) == NOT_HERE
    own_grant = thief.fetcher.grant
    for stolen in (giver.papers.grant, b"", os.urandom(64)):
        thief.fetcher.grant = stolen
        assert await asked(thief, giver, ROADS, version, signature, entry) == NOT_HERE
    thief.fetcher.grant = own_grant


async def nothing_is_kept(
    thief: PeerNode, seed: PeerNode, root: bytes, segments: dict[bytes, bytes], signature: bytes
) -> None:
    """The thief knows the manifest and none of the blocks."""
    client = SeedClient(thief.session, seed.key.peer_id, thief.papers.grant)
    session = await client.begin(MINE)
    assert await client.missing(MINE, session, [signature, *segments]) == [signature, *segments]
    await client.bring(session, [(segment, encode_block(plain)) for segment, plain in segments.items()])
    with pytest.raises(NotFoundError, match="blocks of the version are missing"):
        await client.commit(session, root)
    # ``me`` would be whoever is signed in there, and the seed goes by the grant.
    with pytest.raises(NotAllowedError, match=f"explain peer:{thief.key.peer_id} publish {ROADS}"):
        await client.begin(ROADS)


async def nothing_is_ended(thief: PeerNode, producer: PeerNode, swarm: Swarm, root: bytes) -> None:
    """The claim on what was kept stands until its publisher says that the log names it."""
    seed = swarm.seed.key.peer_id
    own = SeedClient(producer.session, seed, producer.papers.grant)
    before = swarm.objects.list(LEASES)
    session = await own.begin(ROADS)
    await own.commit(session, root)
    claimed = swarm.objects.list(LEASES)
    assert claimed != before
    with pytest.raises(NotFoundError):
        await SeedClient(thief.session, seed, thief.papers.grant).done(session)
    with pytest.raises(NotAllowedError):
        await SeedClient(producer.session, seed, b"").done(session)
    assert swarm.objects.list(LEASES) == claimed
    await own.done(session)
    assert swarm.objects.list(LEASES) == before


async def nothing_is_told(thief: PeerNode, giver: PeerNode, version: bytes, entry: bytes) -> None:
    """Which blocks are here, and what is new."""
    await meet(giver, thief)
    heard = thief.channels.open[giver.key.peer_id]
    seen: list[str] = []
    received = thief.exchange.received

    def noted(channel: Channel, message: Message) -> None:
        seen.append(type(message).__name__)
        received(channel, message)

    thief.exchange.received = noted  # type: ignore[method-assign]
    for dataset in (ROADS, MINE):
        heard.send(Interest(dataset, version, entry))
    own = next(iter(thief.holdings))
    heard.send(Interest(MINE, own.version, own.entry))
    channel = giver.channels.open[thief.key.peer_id]
    await until(lambda: own.version in channel.interests)
    assert version not in channel.interests
    assert "Holding" not in seen
    assert "News" not in seen


def test_a_grant_is_of_use_to_its_peer_alone_in_its_time_and_for_what_it_says(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            home, other = await swarm.enrol("one", datasets=["maps/*"]), await swarm.enrol("two", datasets=["maps/*"])
            access, grant, now = Access(home.trust()), home.papers().grant, time.time()
            peer = home.key().peer_id
            assert access.caller(peer, grant, now).may_read(ROADS)
            assert not access.caller(peer, grant, now).may_read(MINE)
            assert not access.caller(other.key().peer_id, grant, now).may_read(ROADS)
            assert not access.caller(peer, grant, now + 8 * 86_400).may_read(ROADS)
            forged = seal(home.key(), Grant(1, home.key().public, (Rule("read", "*"),), int(now), int(now) + 3600))
            assert not access.caller(peer, forged, now).may_read(ROADS)
            for at in range(0, len(grant), 7):
                changed = bytearray(grant)
                changed[at] ^= 1
                assert not access.caller(peer, bytes(changed), now).may_read(ROADS)

    asyncio.run(main())


def test_each_kind_of_entry_takes_its_own_right(tmp_path: Path) -> None:
    """Who may not publish moves no tag; who may only tag brings no version; the entry of another counts for nobody."""

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            seed, producer = await rig.member("seed"), await rig.member(datasets=["maps/*"])
            one, two = bytes([1]) * 32, bytes([2]) * 32
            await publish(producer, seed, ROADS, "latest", one)
            for right, allowed in (("read", ()), ("tag", ("tag",)), ("delete", ("rm",)), ("publish", ("publish",))):
                member = await rig.member(datasets=["own/*"])
                await change(rig.tracker, allow=(PolicyRule(f"peer:{member.key.peer_id}", right, ROADS),))  # type: ignore[arg-type]
                grant = (await member.client.renew()).grant
                for kind, move in (("tag", Move("new", one)), ("rm", Move("new", None)), ("publish", Move("x", two))):
                    receipt = receipt_for(seed.key, member.key, ROADS, two) if kind == "publish" else b""
                    commit = member.client.commit(
                        ROADS,
                        kind,  # type: ignore[arg-type]
                        [move],
                        grant=grant,
                        receipt=receipt,
                        totals=TOTALS if kind == "publish" else None,
                    )
                    if kind in allowed:
                        await commit
                    else:
                        with pytest.raises((NotAllowedError, RemoteProtocolError)):
                            await commit
                if right == "tag":
                    assert (await producer.client.dataset(ROADS)).tags[-1].tag == "new"
            assert sorted(item.tag for item in (await producer.client.dataset(ROADS)).tags) == ["latest", "x"]

    asyncio.run(main())
