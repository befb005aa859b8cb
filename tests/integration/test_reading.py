"""Reading on demand between real peers: any range, by what is needed of manifest and blocks, each block once."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from swarm import names
from swarm.errors import NotFoundError
from swarm.limits import MIB
from swarm.peer import snapshot as snapshot_module
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from swarm.peer.snapshot import File, Snapshot
from tests.integration.swarm_rig import Swarm, make_tree
from tests.integration.test_neighbours import until


async def all_of(parts: AsyncIterator[memoryview]) -> bytes:
    return b"".join([bytes(part) async for part in parts])


async def opened(node: PeerNode, ref: str) -> Snapshot:
    return await node.snapshots.open(names.parse(ref))


async def file_of(snapshot: Snapshot, path: str) -> File:
    file = await snapshot.look(path)
    assert file is not None
    return file


def make_source(folder: Path) -> Path:
    source = make_tree(folder, 5, large_bytes=4_000_000)
    os.symlink("large.bin", source / "link")
    (source / "d0.txt").write_text("it comes before what lies in d0")
    os.symlink("../d0", source / "d1" / "up")
    os.symlink("round", source / "round")
    (source / "empty").mkdir()
    return source


def test_ranges_links_and_lists_of_a_version_that_lies_elsewhere(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_source(tmp_path / "source")
        large = (source / "large.bin").read_bytes()
        async with Swarm(tmp_path) as swarm:
            producer, reader = await swarm.peer("producer"), await swarm.peer("reader")
            await swarm.publish(producer, source, "maps/roads:latest")
            await swarm.stop(producer)
            snapshot = await opened(reader, "maps/roads:latest")
            await reads(snapshot, source, large)
            await links_and_names(snapshot, source, large)
            await concurrent_readers_share(swarm, large)

    async def reads(snapshot: Snapshot, source: Path, large: bytes) -> None:
        rng = random.Random(1)
        for path in ("large.bin", "d0/f3", "d2/f5"):
            data = (source / path).read_bytes()
            file = await file_of(snapshot, path)
            for _ in range(10):
                offset, length = rng.randrange(len(data) + 2), rng.randrange(1, 200_000)
                assert await all_of(snapshot.read(file, offset, length)) == data[offset : offset + length]
            assert await all_of(snapshot.read(file)) == data

    async def links_and_names(snapshot: Snapshot, source: Path, large: bytes) -> None:
        assert (await file_of(snapshot, "link")).entry.size == len(large)
        assert (await file_of(snapshot, "d1/up/f3")).entry.path == "d0/f3"
        assert await snapshot.look("d1/up") is None
        for missing in ("nothing", "d0/f", "large.bin/below", "round"):
            with pytest.raises(NotFoundError):
                await snapshot.look(missing)
        top = await snapshot.names("", limit=100)
        assert sorted(item.name for item in top) == sorted(p.name for p in source.iterdir())
        assert [item.name for item in top][:2] == ["d0.txt", "d0"]
        assert [item.name for item in top if item.is_directory] == ["d0", "d1", "d2", "empty"]
        assert [item.name for item in await snapshot.names("", after="d1/", limit=2)] == ["d2", "empty"]
        below = [file.entry.path async for file in snapshot.walk("d2")]
        assert below == sorted(str(p.relative_to(source)) for p in (source / "d2").iterdir())

    async def concurrent_readers_share(swarm: Swarm, large: bytes) -> None:
        reader = await swarm.peer("another")
        snapshot = await opened(reader, "maps/roads:latest")
        file = await file_of(snapshot, "large.bin")
        before = reader.traffic.wire_received_bytes
        found = await asyncio.gather(*(all_of(snapshot.read(file)) for _ in range(5)))
        assert set(found) == {large}
        await until(lambda: reader.traffic.wire_received_bytes - before >= len(large), "not all is counted")
        assert reader.traffic.wire_received_bytes - before < 1.1 * len(large), "each block came once"

    asyncio.run(main())


def test_a_range_takes_what_it_touches_and_a_reader_that_leaves_no_more_than_its_window(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 6, large_bytes=20_000_000)
        async with Swarm(tmp_path) as swarm:
            producer, reader = await swarm.peer("producer"), await swarm.peer("reader")
            await swarm.publish(producer, source, "maps/roads:latest")
            snapshot = await opened(reader, "maps/roads:latest")
            file = await file_of(snapshot, "large.bin")
            before = reader.traffic.wire_received_bytes
            await all_of(snapshot.read(file, 7_000_000, 10))
            assert reader.traffic.wire_received_bytes - before <= 1_200_000
            async for _ in snapshot.read(file):
                break
            assert reader.traffic.wire_received_bytes - before < 8_000_000

    asyncio.run(main())


def test_a_snapshot_stays_while_its_tag_moves_and_what_was_read_is_there_without_anybody(tmp_path: Path) -> None:
    async def main() -> None:
        one, two = make_tree(tmp_path / "one", 7), make_tree(tmp_path / "two", 8)
        async with Swarm(tmp_path) as swarm:
            producer, reader = await swarm.peer("producer"), await swarm.peer("reader")
            await swarm.publish(producer, one, "maps/roads:latest")
            old = await opened(reader, "maps/roads:latest")
            await all_of(old.read(await file_of(old, "large.bin"), 0, 10))
            await swarm.publish(producer, two, "maps/roads:latest")
            new = await opened(reader, "maps/roads:latest")
            for snapshot, source in ((old, one), (new, two)):
                file = await file_of(snapshot, "large.bin")
                assert await all_of(snapshot.read(file)) == (source / "large.bin").read_bytes()
            for part in (producer, swarm.seed, swarm.tracker):
                await swarm.stop(part)
            by_signature = await opened(reader, f"maps/roads@{old.version.hex()}")
            assert (await all_of(by_signature.read(await file_of(old, "large.bin"))))[:9] == (
                (one / "large.bin").read_bytes()[:9]
            )

    asyncio.run(main())


def test_who_wants_a_block_again_just_as_it_was_given_out_gets_it(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 9)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, source, "maps/roads:latest")
            snapshot = await opened(producer, "maps/roads:latest")
            file = await file_of(snapshot, "large.bin")
            data = (source / "large.bin").read_bytes()

            async def again() -> None:
                for _ in range(20):
                    assert await all_of(snapshot.read(file, 0, 1_000_000)) == data[:1_000_000]

            await asyncio.gather(*(again() for _ in range(6)))

    asyncio.run(main())


def test_readers_that_stand_still_hold_no_more_than_the_memory_that_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows: list[snapshot_module._Window] = []
    enter = snapshot_module._Window.__enter__

    def entered(self: snapshot_module._Window) -> snapshot_module._Window:
        windows.append(self)
        return enter(self)

    monkeypatch.setattr(snapshot_module._Window, "__enter__", entered)

    async def main() -> None:
        source = make_tree(tmp_path / "source", 6, large_bytes=20_000_000)
        async with Swarm(tmp_path) as swarm:
            producer, home = await swarm.peer("producer"), await swarm.enrol("edge")
            await swarm.publish(producer, source, "maps/roads:latest")
            edge = await start_peer(replace(swarm.settings(home), memory_bytes=4 * MIB))
            try:
                snapshot = await opened(edge, "maps/roads:latest")
                file = await file_of(snapshot, "large.bin")
                large = (source / "large.bin").read_bytes()
                readers: list[Any] = [
                    snapshot.read(file, number * MIB) for number in range(edge.snapshots.allowance.readers_max)
                ]
                firsts = await asyncio.gather(*map(anext, readers))
                assert sum(window.size_bytes for window in windows) <= 4 * MIB
                url = f"http://{edge.agent_address}/fs/maps/roads/latest/large.bin"
                async with aiohttp.ClientSession() as session:
                    async with session.get(url) as answer:
                        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
                        assert "try again soon" in (await answer.json(content_type=None))["detail"]
                    async with session.head(url) as answer:
                        assert answer.status == 200
                # Whoever has nothing ahead of it reads on all the same.
                assert bytes(firsts[-1]) + await all_of(readers[-1]) == large[15 * MIB :]
                for one in readers:
                    await one.aclose()
                assert (edge.snapshots.allowance.readers, edge.snapshots.allowance.taken_bytes) == (0, 0)
            finally:
                await swarm.stop(edge)

    asyncio.run(main())
