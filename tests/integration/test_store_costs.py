"""What publishes and rollouts cost the object store, as a seed counts it and keeps it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from seed.node import start_seed
from swarm.errors import NotAllowedError
from swarm.objects.counted import CountedStore
from swarm.objects.memory import MemoryObjectStore
from swarm.peer.shares import group_of
from swarm.peer.upload import BATCH_BYTES
from tests.integration.swarm_rig import Swarm, make_tree, run


def test_each_publish_and_each_rollout_has_its_cost(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 1, large_bytes=20_000_000)
        async with Swarm(tmp_path, objects=CountedStore(MemoryObjectStore())) as swarm:
            producer = await swarm.peer("producer")
            published = await swarm.publish(producer, source, "maps/roads:v1")
            store = published["store"]
            # One or two packs, the index, the lease, and the claim on the version.
            assert 4 <= store["requests"]["put"] <= 5
            assert published["uploaded"] <= store["bytes"]["sent"] <= 1.01 * published["uploaded"]
            again = await swarm.publish(producer, source, "maps/roads:v2")
            assert again["store"]["bytes"]["sent"] < 100_000
            hub = await start_seed(swarm.settings(await swarm.enrol("hub", role="tracker")), swarm.objects)
            own = await swarm.publish(hub, make_tree(tmp_path / "own", 2), "maps/own:v1")
            await swarm.stop(hub)
            assert 4 <= own["store"]["requests"]["put"] <= 5
            assert own["uploaded"] <= own["store"]["bytes"]["sent"] <= 1.01 * own["uploaded"] + 4_000

            await swarm.stop(producer)
            await swarm.stop(swarm.seed)
            await swarm.start_seed("another seed")
            for name in ("one", "two"):
                await swarm.pull(await swarm.peer(name), "maps/roads:v1", tmp_path / "out" / name)
            costs = await run(swarm.seed, "store-cost")
            rollout = next(each for each in costs["rollouts"] if each["version"] == published["version"])
            groups = -(-published["blocks"] // group_of(published["blocks"]))
            # Where one request or pack ends a group may go on elsewhere; root and segments are read besides.
            requests = -(-published["uploaded"] // BATCH_BYTES)
            assert rollout["requests"]["get"] <= groups + requests + 1 + (store["requests"]["put"] - 3)
            assert 0.99 * published["uploaded"] <= rollout["bytes"]["received"] <= 1.01 * published["uploaded"]
            assert costs["stored"]["bytes"] > published["uploaded"] + own["uploaded"]
            assert [each["version"] for each in costs["publishes"]].count(published["version"]) == 1
            assert costs["store"]["requests"]["get"] >= rollout["requests"]["get"]

            await swarm.stop(swarm.seed)
            await swarm.start_seed("another seed again")
            kept = (await run(swarm.seed, "store-cost"))["rollouts"]
            # A request that came late may have been counted since.
            known = next(each for each in kept if each["version"] == rollout["version"])
            assert known["time"] == rollout["time"]
            assert known["requests"]["get"] >= rollout["requests"]["get"]
            try:
                await run(await swarm.peer("three"), "store-cost")
            except NotAllowedError as error:
                assert "tracker or a seed" in str(error)
            else:
                raise AssertionError("a peer without a store told of its costs")

    asyncio.run(main())
