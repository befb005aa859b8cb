"""Versions carried in files: to a peer that nobody reaches, and into another swarm."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import ConflictError, NotAllowedError, NotFoundError, RemoteProtocolError, UsageError
from swarm.home import Home
from swarm.peer import look_verbs, operations
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from tests.integration.swarm_rig import Swarm, contents, make_tree, run


async def export(node: PeerNode, path: Path, **arguments: Any) -> Path:
    with path.open("wb") as file:
        async for part in operations.stream(node, "export", arguments):
            file.write(part)
    return path


def test_a_peer_without_a_network_holds_and_serves_what_it_was_brought(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 1)
        async with Swarm(tmp_path) as swarm:
            producer, remote = await swarm.peer("producer"), await swarm.peer("remote")
            await swarm.stop(remote)
            await swarm.publish(producer, source, "maps/roads:v1")
            file = await export(producer, tmp_path / "roads.export", ref="maps/roads:v1")
            by_puller = await export(swarm.seed, tmp_path / "again.export", ref="maps/roads:v1")
            assert len(by_puller.read_bytes()) > 0
            for part in (swarm.seed, producer, swarm.tracker):
                await swarm.stop(part)

            remote = await start_peer(swarm.settings(Home(tmp_path / "remote")))
            swarm._stack.push_async_callback(swarm.stop, remote)
            brought = await run(remote, "import", file=str(file))
            assert (brought["own_swarm"], brought["published"], brought["serial"]) == (True, None, 1)
            pulled = await swarm.pull(remote, "maps/roads:v1", tmp_path / "out")
            assert pulled["from"]["reused"] == pulled["bytes"]
            assert contents(tmp_path / "out") == contents(source)
            data = [part async for part in look_verbs.cat(remote, "maps/roads:v1/large.bin")]
            assert b"".join(data) == (source / "large.bin").read_bytes()
            await swarm.stop(remote)

            # Started again it serves it, and another peer beside it gets it there.
            remote = await start_peer(swarm.settings(Home(tmp_path / "remote")))
            swarm._stack.push_async_callback(swarm.stop, remote)
            held = [holding for holding in remote.holdings if holding.dataset == "maps/roads"]
            assert [holding.is_complete for holding in held] == [True]

    asyncio.run(main())


def test_only_what_is_new_is_carried_since_a_version(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 2, large_bytes=6_000_000)
        async with Swarm(tmp_path) as swarm:
            producer, remote, empty = [await swarm.peer(name) for name in ("producer", "remote", "empty")]
            await swarm.publish(producer, source, "roads:v1")
            first = await export(producer, tmp_path / "v1", ref="roads:v1")
            (source / "new.bin").write_bytes(bytes(range(256)) * 100)
            await swarm.publish(producer, source, "roads:v2")
            second = await export(producer, tmp_path / "v2", ref="roads:v2", since="roads:v1")
            assert second.stat().st_size < first.stat().st_size / 20
            await run(remote, "import", file=str(first), directory=str(tmp_path / "kept"))
            await run(remote, "import", file=str(second), directory=str(tmp_path / "kept"))
            assert contents(tmp_path / "kept") == contents(source)
            with pytest.raises(NotFoundError, match="pull or import that version first"):
                await run(empty, "import", file=str(second))
            await swarm.publish(producer, source, "rivers:v1")
            with pytest.raises(UsageError, match="--since"):
                await export(producer, tmp_path / "v3", ref="roads:v2", since="rivers:v1")

    asyncio.run(main())


def test_what_another_swarm_sealed_is_published_as_ones_own_or_not_taken(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 3)
        async with Swarm(tmp_path / "theirs") as theirs, Swarm(tmp_path / "ours") as ours:
            producer, importer = await theirs.peer("producer"), await ours.peer("importer")
            published = await theirs.publish(producer, source, "roads:v1")
            file = await export(producer, tmp_path / "file", ref="roads:v1")
            with pytest.raises(NotAllowedError, match="another swarm"):
                await run(importer, "import", file=str(file))
            assert list(importer.holdings) == []
            result = await run(importer, "import", file=str(file), name="copies/roads:v1")
            assert not result["own_swarm"]
            assert result["publisher"] == producer.key.peer_id
            assert result["published"]["version"] == published["version"], "it is the same version"
            assert importer.ledger.head("library/roads") == 0
            other = await ours.peer("other")
            await ours.pull(other, "copies/roads:v1", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(source)
            history = await run(other, "history", ref="copies/roads:v1")
            assert producer.key.peer_id[:12] in history["entries"][0]["message"]

    asyncio.run(main())


def test_a_file_that_was_damaged_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 4)
        async with Swarm(tmp_path) as swarm:
            producer, remote = await swarm.peer("producer"), await swarm.peer("remote")
            await swarm.publish(producer, source, "roads:v1")
            file = await export(producer, tmp_path / "file", ref="roads:v1")
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
            target = tmp_path / "target"
            with pytest.raises(RemoteProtocolError):
                await run(remote, "import", file=str(file), directory=str(target))
            assert not target.exists()
            assert list(remote.holdings) == []
            with pytest.raises(NotFoundError):
                await run(remote, "import", file=str(tmp_path / "nowhere"))
            (target / "mine").mkdir(parents=True)
            (target / "large.bin").write_bytes(b"the user's")
            whole = await export(producer, tmp_path / "whole", ref="roads:v1")
            with pytest.raises(ConflictError):
                await run(remote, "import", file=str(whole), directory=str(target))

    asyncio.run(main())
