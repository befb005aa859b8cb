"""The online key of a swarm is stolen, and replaced by the root, which is offline: with no peer lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from swarm import log
from swarm.authority import Authority
from swarm.client import TrackerClient
from swarm.errors import AetherError, NotAllowedError
from swarm.home import Home, Papers
from swarm.identity import PeerKey
from swarm.names import parse
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from swarm.roster import root_in
from swarm.tracker import custody, sealed
from swarm.tracker.keys import load_or_create
from swarm.tracker.recalls import Recall, Recalls
from swarm.tracker.replacing import entries_since, planned, replace
from tests.integration.swarm_rig import Swarm, contents, make_tree, run
from tests.integration.test_rotation import is_under, until
from tests.integration.tracker_rig import STORE_KEY, running_tracker

DAY_S = 86_400


def offline_root(swarm: Swarm) -> PeerKey:
    """The root leaves the store."""
    key = custody.root_here(swarm.objects, swarm._store_key)
    custody.take_away(swarm.objects, swarm._store_key)
    return key


def replaced(swarm: Swarm, root: PeerKey) -> None:
    """As `aetherfs root replace` does, on a view of the store of its own."""
    wall_now = time.time()
    keys = load_or_create(swarm.objects, swarm._store_key, wall_now)
    rosters = planned(swarm.objects, swarm._store_key, keys, int(wall_now), DAY_S)
    one, two = (custody.sealed_roster(root, roster) for roster in rosters)
    replace(swarm.objects, keys, (one, two), time.time)
    swarm.tracker.state.keys_rotated.set()


async def thief_is_nobody(swarm: Swarm, stolen: Authority, known: PeerNode, peer: PeerNode) -> None:
    """What it makes now is worth nothing, at trackers and at peers."""
    home = Home(swarm.folder / "thief")
    papers = stolen.admit(home.key().public, "tracker", "", (), time.time())
    home.enrol(Papers(papers.certificate, stolen.certificate, papers.credential, papers.grant), known.home.swarm())
    async with TrackerClient(
        [swarm.tracker.contact], key=home.key(), root=home.papers().root, files=home.tls_files
    ) as client:
        client.trust_root(swarm.tracker.state.keys.authority.certificate)
        with pytest.raises(AetherError):
            await client.datasets()
    assert not peer.access.caller(home.key().peer_id, papers.grant, time.time()).may_read("library/roads")


def test_a_stolen_online_key_is_replaced_with_no_peer_lost(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = make_tree(tmp_path / "one", 1), make_tree(tmp_path / "two", 2)
        async with Swarm(tmp_path) as swarm:
            producer, peer, sleeper = [await swarm.peer(name) for name in ("producer", "peer", "sleeper")]
            await swarm.publish(producer, first, "roads:v1")
            await swarm.pull(peer, "roads:v1", tmp_path / "before")
            await swarm.pull(sleeper, "roads:v1", tmp_path / "slept")
            await swarm.stop(sleeper)
            root = offline_root(swarm)
            keys = swarm.tracker.state.keys
            with pytest.raises(NotAllowedError, match="offline"):
                await swarm.tracker.state.work(keys.rotate_ca, swarm.objects, time.time(), 0, 0)
            stolen = Authority(keys.authority.key, keys.authority.certificate)
            entry = peer.ledger.entry_of_tag("library/roads", "v1")

            await asyncio.to_thread(replaced, swarm, root)
            await until("the tracker knows", lambda: stolen.public in keys.authority.trust.stolen)
            new = keys.authority.public
            nodes = [swarm.seed, producer, peer]
            await until("all are certified anew", lambda: all(is_under(node, new) for node in nodes), *nodes)
            assert all(stolen.public in node.access.authority.stolen for node in nodes)
            assert [e.serial for e in entries_since(swarm.objects, 0)] == [1]

            await thief_is_nobody(swarm, stolen, producer, peer)
            assert entry is not None
            assert not peer.access.shows("library/other", bytes(32), entry)

            # What was there before is vouched for, served and found, also without the tracker's help.
            await until("it is proved again", lambda: bool(peer.ledger.entry_of_tag("library/roads", "v1")), peer)
            await swarm.publish(producer, second, "roads:v2")
            await swarm.pull(peer, "roads:v2", tmp_path / "after")
            returned = await start_peer(swarm.settings(Home(tmp_path / "sleeper")))
            swarm._stack.push_async_callback(swarm.stop, returned)
            assert root_in(returned.keyring.links) == root.public
            await swarm.pull(returned, "roads:v2", tmp_path / "returned")
            assert len((await run(returned, "history", ref="roads:v1"))["entries"]) == 1
            late = await swarm.peer("late")
            await swarm.pull(late, "roads:v1", tmp_path / "of-late")
            version = log.parse_entry(entry)[1].version or b""

            def shows_new_proof() -> bool:
                held = returned.holdings.get("library/roads", version)
                return held is not None and len(log.parse_entry(held.entry)[0].endorsements) == 3

            await until("the directory is served by the new proof", shows_new_proof, returned)
            assert (await returned.finder.resolve(parse("roads:v1"))).serial == 1
            for name, expected in {"after": second, "returned": second, "of-late": first}.items():
                assert contents(tmp_path / name) == contents(expected), name

    asyncio.run(main())


def test_what_a_thief_told_is_forgotten_by_a_tracker_whose_keys_were_read_before(tmp_path: Path) -> None:
    """As for each commit: the tracker sees afterwards that a key of those that it knows was stolen."""

    async def main() -> None:
        async with running_tracker(tmp_path) as rig:
            victim, thief = await rig.member(), await rig.member()
            state, now = rig.tracker.state, time.time()
            forged = Recalls(1, 1000, 0, (Recall(victim.key.public, int(now), True),), 0, int(now))
            forged_data = sealed.seal(state.keys.authority.key, forged)
            await thief.client.calls.call("POST", "/api/v1/recalls", body=forged_data)
            assert state.members.member(victim.key.peer_id) is None
            root = custody.root_here(rig.objects, STORE_KEY)
            rosters = planned(rig.objects, STORE_KEY, state.keys, int(now), DAY_S)
            one, two = (custody.sealed_roster(root, roster) for roster in rosters)
            await asyncio.to_thread(replace, rig.objects, state.keys, (one, two), time.time)
            await rig.tracker.tending.tend_keys()
            assert state.rights.recalls.serial == 0
            assert state.members.member(victim.key.peer_id) is not None

    asyncio.run(main())


def test_the_root_rotates_the_online_key_by_itself_in_time(tmp_path: Path) -> None:
    """A swarm whose root lies in the store: by command, and by the clock."""

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            keys, now = swarm.tracker.state.keys, time.time()
            before = keys.authority.public
            await swarm.tracker.state.work(keys.tend, swarm.objects, now)
            assert keys.authority.trust.newest.public == before, "there is time"
            await swarm.tracker.state.work(keys.tend, swarm.objects, now + 80 * DAY_S)
            following = keys.authority.trust.newest
            assert (keys.authority.public, following.in_force) == (before, keys.authority.trust.anchors[0].until)
            await swarm.tracker.state.work(keys.refresh, swarm.objects, following.in_force)
            assert keys.authority.public == following.public

    asyncio.run(main())


def test_an_old_swarm_goes_on_as_it_is_and_is_put_under_a_root_by_command(tmp_path: Path) -> None:
    """It was made before there were roots: it rotates as it did, and members come to pin the root that it gets."""

    async def main() -> None:
        swarm = Swarm(tmp_path)
        load_or_create(swarm.objects, swarm._store_key, time.time())
        for key in [custody.ROOT_KEY, *swarm.objects.list(custody.ROSTERS)]:
            swarm.objects.delete(key)
        async with swarm:
            producer, sleeper = await swarm.peer("producer"), await swarm.peer("sleeper")
            source = make_tree(tmp_path / "source", 1, files=2, large_bytes=100_000)
            await swarm.publish(producer, source, "roads:v1")
            state, nodes = swarm.tracker.state, [swarm.seed, producer]
            trust = state.keys.authority.trust
            assert (trust.roster, producer.home.keyring().links) == (None, ())
            await swarm.stop(sleeper)

            await state.work(state.keys.rotate_ca, swarm.objects, time.time(), 0, 60)
            state.keys_rotated.set()
            await until("all follow", lambda: all(is_under(node, trust.newest.public) for node in nodes), *nodes)
            assert trust.roster is None
            assert [len(node.access.authority.links) for node in nodes] == [1, 1]

            await state.work(custody.create_root, swarm.objects, swarm._store_key, state.keys.authority, time.time())
            state.keys_rotated.set()
            await until("all pin it", lambda: all(node.access.authority.roster for node in nodes), *nodes)
            returned = await start_peer(swarm.settings(Home(tmp_path / "sleeper")))
            swarm._stack.push_async_callback(swarm.stop, returned)
            await until("who was away as well", lambda: bool(returned.access.authority.roster), returned)
            assert root_in(returned.home.keyring().links) == trust.swarm_root
            await swarm.pull(returned, "roads:v1", tmp_path / "pulled")
            assert contents(tmp_path / "pulled") == contents(source)
            await swarm.publish(await swarm.peer("late"), source, "roads:v2")

    asyncio.run(main())
