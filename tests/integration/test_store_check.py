"""store check: what is damaged is named, and mended with what another peer holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seed.backfill import INDEXES, PACKS
from seed.check import Checker, Findings
from swarm.objects import ObjectStore
from tests.integration.swarm_rig import Swarm, contents, make_tree, run


def check(swarm: Swarm, *, quick: bool = False) -> Findings:
    authority = swarm.tracker.state.keys.authority.trust
    return Checker(swarm.objects, authority).run(time.time(), quick=quick)


def flip(objects: ObjectStore, prefix: str) -> str:
    """Change one byte near the end of the largest object: its key."""
    key = max(objects.list(prefix), key=lambda key: len(objects.get(key)))
    data = bytearray(objects.get(key))
    data[-100] ^= 1
    objects.put(key, bytes(data))
    return key


def cut(objects: ObjectStore, prefix: str) -> str:
    key = max(objects.list(prefix), key=lambda key: len(objects.get(key)))
    objects.put(key, objects.get(key)[:-1000])
    return key


def lose(objects: ObjectStore, prefix: str) -> str:
    key = max(objects.list(prefix), key=lambda key: len(objects.get(key)))
    objects.delete(key)
    return key


DAMAGES: list[tuple[Callable[[ObjectStore, str], str], str, bool]] = [
    (flip, PACKS, False),
    (cut, PACKS, True),
    (lose, PACKS, True),
    (flip, INDEXES, True),
    (lose, INDEXES, True),
]


@pytest.mark.parametrize(
    ("damage", "prefix", "quick_sees"), DAMAGES, ids=lambda value: getattr(value, "__name__", value)
)
def test_damage_is_named_and_mended(
    tmp_path: Path, damage: Callable[[ObjectStore, str], str], prefix: str, quick_sees: bool
) -> None:
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm") as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, data, "maps/roads:v1")
            (data / "more").write_bytes(b"more" * 50_000)
            await swarm.publish(producer, data, "maps/roads:v2")
            assert check(swarm).is_whole
            key = damage(swarm.objects, prefix)
            assert check(swarm, quick=True).is_whole is not quick_sees
            found = check(swarm)
            assert found.lacking
            if damage is not lose or prefix == PACKS:
                assert key in {one.key for one in found.damage}
            # A seed that has not read the blocks before: what it had in memory would serve as well.
            await swarm.stop(swarm.seed)
            await swarm.start_seed("fresh seed")
            told = await run(swarm.seed, "repair")
            assert told["ok"], told
            assert told["repaired_blocks"] + told["repaired_indexes"]
            assert check(swarm).is_whole
            await swarm.stop(producer)
            await swarm.stop(swarm.seed)
            await swarm.start_seed("seed after")
            for tag in ("v1", "v2"):
                peer = await swarm.peer(f"peer {tag}")
                await swarm.pull(peer, f"maps/roads:{tag}", tmp_path / tag)
            assert contents(tmp_path / "v2") == contents(data)

    asyncio.run(main())


def test_what_nobody_holds_is_said(tmp_path: Path) -> None:
    data = make_tree(tmp_path / "data", 1)

    async def main() -> None:
        async with Swarm(tmp_path / "swarm", stall_s=1.0) as swarm:
            producer = await swarm.peer("producer")
            result = await swarm.publish(producer, data, "maps/roads:v1")
            await swarm.stop(producer)
            await swarm.stop(swarm.seed)
            flip(swarm.objects, PACKS)
            await swarm.start_seed("fresh seed")
            told = await run(swarm.seed, "repair")
            assert not told["ok"]
            assert told["incomplete"] == [{"dataset": "maps/roads", "version": result["version"], "blocks": 1}]

    asyncio.run(main())
