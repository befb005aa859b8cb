"""Pulling into a directory that a pull has made: what is not read again, and what is let go."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.errors import ConflictError
from swarm.rooted import Tree
from swarm.tree import TreeStore
from tests.integration.swarm_rig import Swarm, contents, make_tree


def open_below(directory: Path) -> list[str]:
    """Files of a directory, removed ones included, that this process has open."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue
        if target.startswith(f"{directory}/"):
            found.append(target)
    return found


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def test_an_unchanged_directory_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 2)
        async with Swarm(tmp_path) as swarm:
            producer, peer = await swarm.peer("producer"), await swarm.peer("peer")
            await swarm.publish(producer, source, "maps/roads:latest")
            await swarm.pull(peer, "maps/roads:latest", tmp_path / "out")
            # What the last pull placed is noted behind its back.
            await until(lambda: bool(list(peer.home.scans.glob("[0-9a-f]*"))))
            hashed: list[str] = []
            hash_of = Tree.hash_of

            def counted(tree: Tree, path: str, *rest: object) -> bytes | None:
                hashed.append(path)
                return hash_of(tree, path, *rest)  # type: ignore[arg-type]

            monkeypatch.setattr(Tree, "hash_of", counted)
            # What came in the last moments before its placing is hashed once more, and noted then, in its own time.
            async with asyncio.timeout(20):
                while True:
                    hashed.clear()
                    await swarm.pull(peer, "maps/roads:latest", tmp_path / "out")
                    if not hashed:
                        break
                    await asyncio.sleep(0.1)
            (tmp_path / "out/d0/f0").write_bytes(b"mine")
            with pytest.raises(ConflictError):
                await swarm.pull(peer, "maps/roads:latest", tmp_path / "out")

    asyncio.run(main())


def test_the_version_that_was_there_is_let_go(tmp_path: Path) -> None:
    """Its store and its files are closed; what the directory still has of it is given on."""

    async def main() -> None:
        source = make_tree(tmp_path / "source", 3, files=30)
        async with Swarm(tmp_path) as swarm:
            producer, peer = await swarm.peer("producer"), await swarm.peer("peer")
            first = bytes.fromhex((await swarm.publish(producer, source, "maps/roads:v1"))["version"])
            await swarm.pull(peer, "maps/roads:v1", tmp_path / "out")
            holding = peer.holdings.get("maps/roads", first)
            assert holding is not None
            for block in holding.manifest.unique:
                assert await holding.read(block.signature) is not None
            for number in range(0, 30, 3):
                (source / f"d{number % 3}/f{number}").write_bytes(os.urandom(30_000))
            await swarm.publish(producer, source, "maps/roads:v2")
            await swarm.pull(peer, "maps/roads:v2", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(source)
            stores = [store for store in peer.store._stores if isinstance(store, TreeStore)]
            assert len(stores) == 1
            # It may be reading them yet, to note what they look like.
            await until(lambda: open_below(tmp_path / "out") == [])
            left = peer.holdings.get("maps/roads", first)
            assert left is not None
            assert left.held is not None
            assert 0 < len(left.held) < len(left.manifest.unique)
            for index, block in enumerate(left.manifest.unique):
                assert (await left.read(block.signature) is not None) == (index in left.held)

    asyncio.run(main())
