"""The look at a bucket from outside: what is broken on purpose is told, and what nothing names is found."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

from seed.histories import collector
from swarm.claims import claim
from swarm.objects.memory import MemoryObjectStore
from tests.bucket import Bucket, Lying
from tests.integration.swarm_rig import Swarm, make_tree, run

LEASE_S = 3600
ORPHANS = {"packs/" + "0" * 32: b"of a publish that was killed"}


def look(objects: MemoryObjectStore) -> Bucket:
    # Whoever runs beside it writes in threads: what is there is taken at once.
    there = dict(objects._objects)
    return Bucket({key: Lying(len(data), 0.0) for key, data in there.items()}, objects.get)


def changed(objects: MemoryObjectStore, key: str, data: bytes | None) -> Bucket:
    """What it would be with one object changed or gone."""
    other = MemoryObjectStore()
    other._objects = {**objects._objects}
    if data is None:
        del other._objects[key]
    else:
        other._objects[key] = data
    return look(other)


def check_gc_finds(swarm: Swarm, objects: MemoryObjectStore, wall_now: float) -> None:
    """gc finds all that is garbage from outside, and nothing that a version needs."""
    bucket = look(objects)
    told = collector(objects, swarm.tracker.state.keys.authority.trust).dry_run(time.time())[1]
    assert bucket.garbage(wall_now).keys() <= {*told.goes, *told.later}
    assert bucket.without(told.goes + told.later).broken() == []


def test_what_is_broken_and_what_nothing_names(tmp_path: Path) -> None:
    objects = MemoryObjectStore()

    async def main() -> None:
        async with Swarm(tmp_path, objects=objects) as swarm:
            producer = await swarm.peer("producer")
            source = make_tree(tmp_path / "source", 3)
            await swarm.publish(producer, source, "maps/roads:v1", "maps/roads:latest")
            (source / "more").write_bytes(b"more")
            await swarm.publish(producer, source, "maps/roads:latest")
            await run(producer, "tag", ref="maps/roads:v1", names=["maps/roads:old"])

    asyncio.run(main())
    whole = look(objects)
    assert whole.broken() == []
    assert sorted(serial for serial in whole.published().values()) == [1, 2]
    assert whole.garbage(time.time()) == {}
    for kind, said in (
        ("packs/", "not whole"),
        ("indexes/", "not whole"),
        ("datasets/maps/roads/log/", "does not follow"),
    ):
        first = whole.below(kind)[0]
        assert any(said in text for text in changed(objects, first, None).broken()), kind
    pack = max(whole.below("packs/"), key=lambda key: whole.objects[key].size_bytes)
    data = objects.get(pack)
    flipped = data[:1000] + bytes([data[1000] ^ 1]) + data[1001:]
    assert len(changed(objects, pack, flipped).broken()) >= 1
    assert len(changed(objects, pack, data[:-1]).broken()) >= 1


def test_garbage_is_what_neither_log_nor_index_nor_lease_names(tmp_path: Path) -> None:
    objects = MemoryObjectStore()

    async def main() -> None:
        async with Swarm(tmp_path, objects=objects) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, make_tree(tmp_path / "source", 3), "maps/roads:v1")
            before = set(objects._objects)
            await swarm.publish(producer, make_tree(tmp_path / "other", 4), "maps/lost:v1")
            # As if the publisher had been killed before the commit: all is there but the entry.
            made = {key for key in set(objects._objects) - before if not key.startswith("swarm/")}
            for key in [key for key in made if key.startswith("datasets/")]:
                objects.delete(key)
                made.remove(key)
            made -= {key for key in made if key.startswith("names/")}
            for key, data in ORPHANS.items():
                objects.put(key, data)
            assert set(look(objects).garbage(time.time())) == made | set(ORPHANS)
            check_gc_finds(swarm, objects, math.inf)
            claim(objects, "1" * 32, "maps/lost", b"", time.time() + LEASE_S)
            objects.put(f"probes/{int(time.time()):012}-1/a", b"of a start that was killed")
            assert set(look(objects).garbage(time.time())) == set(objects.list("probes/"))
            later = time.time() + LEASE_S + 1
            expected = made | set(ORPHANS) | {"uploads/" + "1" * 32}
            assert set(look(objects).garbage(later)) - {objects.list("probes/")[0]} == expected
            check_gc_finds(swarm, objects, math.inf)
            check_gc_finds(swarm, objects, later)

    asyncio.run(main())
