"""A swarm whose object store is away, and back: what goes on meanwhile, what waits, and what fails at once."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from seed import node as seed_node
from swarm.errors import NotFoundError, UnreachableError
from swarm.identity import PeerKey
from swarm.log import Move
from swarm.names import parse
from swarm.objects.memory import MemoryObjectStore
from swarm.peer import find
from swarm.tracker.server import Tracker
from tests.away import LeavingStore
from tests.integration.swarm_rig import Swarm, contents, make_tree, run


def test_peers_pull_from_peers_and_from_the_seeds_memory(tmp_path: Path) -> None:
    async def main() -> None:
        store = LeavingStore()
        source = make_tree(tmp_path / "source", 1)
        async with Swarm(tmp_path, objects=store) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, source, "maps/roads:v1")
            one, two, three = [await swarm.peer(name) for name in ("one", "two", "three")]
            await swarm.stop(producer)
            await swarm.pull(one, "maps/roads:v1", tmp_path / "out" / "one")
            store.is_away = True
            await swarm.pull(two, "maps/roads:v1", tmp_path / "out" / "two")
            await swarm.stop(one)
            await swarm.stop(two)
            await swarm.pull(three, "maps/roads:v1", tmp_path / "out" / "three")
            for name in ("one", "two", "three"):
                assert contents(tmp_path / "out" / name) == contents(source)
            with pytest.raises(UnreachableError, match="store is away"):
                await swarm.publish(three, tmp_path / "out" / "three", "maps/roads:v2")
            store.is_away = False
            await swarm.publish(three, tmp_path / "out" / "three", "maps/roads:v2")

    asyncio.run(main())


@pytest.mark.parametrize("is_known", [True, False])
def test_a_pull_that_only_the_store_can_serve_waits_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_known: bool
) -> None:
    """A seed that has the first bytes of a version in memory, and one that has not looked at it yet."""
    monkeypatch.setattr(seed_node, "LOOK_S", 0.05)

    async def nothing(extension: object, node: object) -> None:
        """Do not look at what there is to announce."""

    if not is_known:
        monkeypatch.setattr(seed_node.SeedExtension, "announce_all", nothing)

    async def main() -> None:
        store = LeavingStore()
        source = make_tree(tmp_path / "source", 1, large_bytes=20_000_000)
        async with Swarm(tmp_path, objects=store, stall_s=60.0) as swarm:
            producer = await swarm.peer("producer")
            published = await swarm.publish(producer, source, "maps/roads:v1")
            await swarm.stop(producer)
            await swarm.stop(swarm.seed)
            await swarm.start_seed("another seed")
            late = await swarm.peer("late")
            while is_known and not list(swarm.seed.holdings):
                await asyncio.sleep(0.01)
            await swarm.tracker.state.work(swarm.tracker.state.catalogue.head, "maps/roads")
            store.is_away = True
            assert is_known == bool(list(swarm.seed.holdings))
            pulling = asyncio.create_task(swarm.pull(late, "maps/roads:v1", tmp_path / "out" / "late"))
            while swarm.seed.key.peer_id not in late.channels.open or not store.asked:
                await asyncio.sleep(0.01)
            done, _ = await asyncio.wait([pulling], timeout=1.0)
            assert not done
            store.is_away = False
            pulled = await pulling
            assert contents(tmp_path / "out" / "late") == contents(source)
            assert pulled["version"] == published["version"]

    asyncio.run(main())
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_version_is_looked_up_in_memory_while_the_store_is_away(tmp_path: Path) -> None:
    async def main() -> None:
        store = LeavingStore()
        async with Swarm(tmp_path, objects=store) as swarm:
            producer = await swarm.peer("producer")
            published = await swarm.publish(producer, make_tree(tmp_path / "source", 1), "maps/roads:v1")
            await producer.tracker.lookup(parse("maps/roads:v1"))
            store.is_away = True
            found = await producer.tracker.lookup(parse(f"maps/roads@{published['version']}"))
            assert found.data

    asyncio.run(main())


def test_a_tracker_without_its_store_takes_nobody_back_behind_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tracker, whose way to the store is open, has committed an entry meanwhile. Who saw it stays there,
    and is told that what it gets may be old.
    """
    monkeypatch.setattr(find, "FRESH_S", 0)

    async def main() -> None:
        store = LeavingStore()
        source = make_tree(tmp_path / "source", 1)
        async with Swarm(tmp_path, objects=store) as swarm:
            producer = await swarm.peer("producer")
            first = await swarm.publish(producer, source, "maps/roads:latest")
            reader = await swarm.peer("reader")
            assert (await run(reader, "inspect", ref="maps/roads"))["stale"] is False
            reachable = MemoryObjectStore()
            reachable._objects = store._objects
            other = await Tracker.start(reachable, swarm._store_key, PeerKey(os.urandom(32)), "127.0.0.1", 0)
            try:
                alone = swarm.tracker.contact
                store.is_away = True
                told = await run(reader, "inspect", ref="maps/roads")
                while not told["stale"]:  # The age is told in whole seconds.
                    told = await run(reader, "inspect", ref="maps/roads")
                assert told["version"] == first["version"]
                producer.tracker.set_trackers([other.contact])
                moved = await producer.tracker.commit(
                    "maps/roads", "rm", [Move("latest", None)], grant=producer.papers.grant
                )
                producer.exchange.announce(moved[0])
                while reader.ledger.head("maps/roads") < 2:
                    await asyncio.sleep(0.01)
                reader.tracker.set_trackers([alone])
                with pytest.raises(NotFoundError, match="was removed"):
                    await run(reader, "inspect", ref="maps/roads")
            finally:
                await other.close()

    asyncio.run(main())
