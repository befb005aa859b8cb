"""What the bench reckons that a range costs is what a reader receives."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from bench.ranges import FRAME_BYTES, cost_of
from swarm import names
from swarm.limits import MIB
from swarm.peer.node import PeerNode
from tests.integration.swarm_rig import Swarm
from tests.integration.test_neighbours import until


def test_a_range_from_nothing_costs_what_the_manifest_says(tmp_path: Path) -> None:
    async def main() -> None:
        source = tmp_path / "source"
        source.mkdir()
        rng = random.Random(14)
        for number in range(3):
            (source / f"{number}.bin").write_bytes(rng.randbytes(6_000_000))
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, source, "maps/roads:latest")
            manifest = next(iter(producer.holdings)).manifest
            for number in range(3):
                reader = await swarm.peer(f"reader-{number}")
                offset = rng.randrange(5_000_000)
                snapshot = await reader.snapshots.open(names.parse("maps/roads:latest"))
                file = await snapshot.look(f"{number}.bin")
                assert file is not None
                async for _ in snapshot.read(file, offset, MIB):
                    pass
                await check(reader, cost_of(manifest, number, offset, MIB))

    async def check(reader: PeerNode, reckoned: int) -> None:
        # A root and segments of hashes may still be a little compressible, and frames are not counted. A block is
        # counted when its run has told of it, which may be after it was read.
        least = reckoned - 20 * FRAME_BYTES - 2000
        await until(lambda: reader.traffic.wire_received_bytes >= least, "it receives less")
        assert reader.traffic.wire_received_bytes <= reckoned

    asyncio.run(main())
