"""A swarm of real parts: cold pulls, new versions, life without tracker and seed, grants."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import AetherError, NotAllowedError, NotFoundError
from swarm.peer.scheduler import Scheduler
from swarm.peer.wire import BLOCK, RunRequest
from swarm.tree import verify_tree
from tests.datasets import left_alone
from tests.integration.swarm_rig import Swarm, contents, make_tree, run


def test_four_peers_pull_at_once_and_the_origin_is_spared(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 1, large_bytes=24_000_000)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            published = await swarm.publish(producer, source, "maps/roads:v1")
            peers = [await swarm.peer(f"peer-{number}") for number in range(4)]
            targets = [tmp_path / f"out-{number}" for number in range(4)]
            results = await asyncio.gather(
                *(swarm.pull(peer, "maps/roads:v1", target) for peer, target in zip(peers, targets, strict=True))
            )
            for target in targets:
                assert contents(target) == contents(source)
            total = published["bytes"]
            assert sum(result["from"]["origin"] for result in results) <= 1.5 * total
            assert sum(result["wasted"] for result in results) <= 0.05 * 4 * total
            for result in results:
                assert sum(result["from"].values()) == total

    asyncio.run(main())


def test_a_second_version_moves_only_what_changed(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 2, large_bytes=40_000_000)
        async with Swarm(tmp_path) as swarm:
            producer, peer = await swarm.peer("producer"), await swarm.peer("peer")
            await swarm.publish(producer, source, "maps/roads:latest")
            await swarm.pull(peer, "maps/roads:latest", tmp_path / "out")
            with open(source / "large.bin", "r+b") as file:
                file.seek(17_000_000)
                file.write(b"x" * 400_000)
            published = await swarm.publish(producer, source, "maps/roads:latest")
            result = await swarm.pull(peer, "maps/roads:latest", tmp_path / "out")
            assert contents(tmp_path / "out") == contents(source)
            assert result["wire"] <= 0.03 * published["bytes"]
            assert 400_000 <= result["from"]["peers"] + result["from"]["origin"] <= 0.03 * published["bytes"]

    asyncio.run(main())


def test_an_empty_peer_needs_neither_tracker_nor_seed_nor_producer(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 3)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, source, "maps/roads:latest")
            holders = [await swarm.peer(f"holder-{number}") for number in range(2)]
            for number, holder in enumerate(holders):
                await swarm.pull(holder, "maps/roads:latest", tmp_path / f"held-{number}")
                await holder.announcer.announce_records()
            late = await swarm.enrol("late")
            for part in (producer, swarm.seed, swarm.tracker):
                await swarm.stop(part)
            from swarm.peer.agent import start_peer

            node = await start_peer(swarm.settings(late))
            try:
                result = await swarm.pull(node, "maps/roads:latest", tmp_path / "out")
            finally:
                await node.close()
            assert contents(tmp_path / "out") == contents(source)
            assert result["stale"] is True
            assert result["from"]["origin"] == 0

    asyncio.run(main())


def test_a_member_without_a_grant_learns_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 4)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, source, "maps/roads:latest")
            stranger = await swarm.peer("stranger", datasets=["mine/*"])
            with pytest.raises(NotFoundError):
                await swarm.pull(stranger, "maps/roads:latest", tmp_path / "stolen")
            assert not (tmp_path / "stolen").exists()

            holding = next(iter(producer.holdings))
            block = holding.manifest.unique[0].signature
            await stranger.announcer.beat()  # it is told where the seed is
            await stranger.channels.connect(swarm.seed.key.peer_id)
            for dataset, version, signature in (
                ("maps/roads", holding.version, block),  # knows everything, lacks the grant
                ("mine/x", holding.version, block),  # claims the version for its own dataset
                ("mine/x", b"v" * 32, b"s" * 32),  # nothing of it exists
            ):
                request = RunRequest(1, 1, dataset, version, holding.entry, False, (signature,))
                answers = [answer async for answer in stranger.fetcher.run(swarm.seed.key.peer_id, request)]
                assert answers == [(1, b"")], "a refusal tells one case from another"

    asyncio.run(main())


def test_a_signature_listed_in_a_manifest_of_ones_own_gets_nothing(tmp_path: Path) -> None:
    """The publisher must bring every block that it may not read: its manifest alone makes nothing readable."""

    async def main() -> None:
        source = make_tree(tmp_path / "source", 5)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, source, "maps/roads:latest")
            manifest = next(iter(producer.holdings)).manifest
            stranger = await swarm.peer("stranger", datasets=["mine/*"])
            from swarm.peer.upload import SeedClient

            await stranger.announcer.beat()
            client = SeedClient(stranger.session, swarm.seed.key.peer_id, stranger.papers.grant)
            session = await client.begin("mine/copy")
            wanted = [block.signature for block in manifest.unique]
            assert await client.missing("mine/copy", session, wanted) == wanted
            with pytest.raises(NotFoundError):
                await client.commit(session, manifest.root_bytes)
            with pytest.raises(NotAllowedError):
                await client.begin("maps/roads")

    asyncio.run(main())


def test_tags_move_back_and_forth_and_are_removed(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 6)
        async with Swarm(tmp_path) as swarm:
            producer, peer = await swarm.peer("producer"), await swarm.peer("peer")
            first = await swarm.publish(producer, source, "maps/roads:v1", "maps/roads:latest")
            (source / "new").write_bytes(b"new")
            second = await swarm.publish(producer, source, "maps/roads:v2", "maps/roads:latest")
            assert (first["serial"], second["serial"]) == (1, 2)
            rolled = await run(peer, "rollback", name="maps/roads:latest")
            assert rolled["tags"] == {"latest": first["version"]}
            await swarm.pull(peer, "maps/roads:latest", tmp_path / "out")
            assert not (tmp_path / "out" / "new").exists()
            await run(peer, "tag", ref="maps/roads:v2", names=["maps/roads:stable"])
            history = await run(peer, "history", ref="maps/roads:latest")
            assert [entry["kind"] for entry in history["entries"]] == ["publish", "publish", "rollback"]
            await run(peer, "rm", names=["maps/roads:latest"])
            with pytest.raises(NotFoundError):
                await run(peer, "inspect", ref="maps/roads:latest")
            assert (await run(peer, "inspect", ref="maps/roads:stable"))["version"] == second["version"]

    asyncio.run(main())


def test_a_file_altered_in_a_pulled_directory_is_not_served(tmp_path: Path) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 7)
        async with Swarm(tmp_path) as swarm:
            producer, peer = await swarm.peer("producer"), await swarm.peer("peer")
            await swarm.publish(producer, source, "maps/roads:latest")
            await swarm.pull(peer, "maps/roads:latest", tmp_path / "out")
            altered = tmp_path / "out" / "large.bin"
            altered.write_bytes(b"\0" + altered.read_bytes()[1:])
            asker = await swarm.peer("asker")
            holding = next(iter(peer.holdings))
            manifest = holding.manifest
            first = next(manifest.blocks_of(manifest.find("large.bin") or 0))[0]
            asker.resolver.learn(peer.key.peer_id, peer.addresses())
            wanted = (manifest.unique[first].signature, manifest.unique[first + 1].signature)
            request = RunRequest(1, 1, "maps/roads", holding.version, holding.entry, False, wanted)
            statuses = [status async for status, _ in asker.fetcher.run(peer.key.peer_id, request)]
            assert statuses == [1, BLOCK]
            assert verify_tree(tmp_path / "out", manifest)

    asyncio.run(main())


def test_what_was_just_published_is_given_without_another_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        source = make_tree(tmp_path / "source", 8)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await asyncio.to_thread(left_alone, source)
            await swarm.publish(producer, source, "maps/roads:latest")
            holding = next(iter(producer.holdings))
            index = holding.manifest.find("large.bin") or 0
            wanted = {holding.manifest.unique[number].signature for number, *_ in holding.manifest.blocks_of(index)}
            monkeypatch.setattr("swarm.tree.signature_of", lambda data: b"")
            given = [await holding.read(signature) for signature in wanted]
            assert sum(len(encoded) - 1 for encoded in given if encoded is not None) == 3_000_000
            with (source / "large.bin").open("r+b") as file:
                file.write(b"!")
            assert [await holding.read(signature) for signature in wanted] == [None] * len(wanted)

    asyncio.run(main())


def test_one_home_one_process(tmp_path: Path) -> None:
    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            peer = await swarm.peer("peer")
            from swarm.peer.agent import start_peer

            with pytest.raises(AetherError, match="another process"):
                await start_peer(swarm.settings(peer.home))

    asyncio.run(main())


def test_a_download_whose_clock_breaks_says_so_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = 0

    def breaks(scheduler: Scheduler, now: float) -> list[Any]:
        nonlocal ticks
        ticks += 1
        if ticks > 1:
            raise ZeroDivisionError("a defect")
        return []

    async def main() -> None:
        source = make_tree(tmp_path / "source", 8)
        async with Swarm(tmp_path, stall_s=3600.0) as swarm:
            producer, peer = await swarm.peer("producer"), await swarm.peer("peer")
            await swarm.publish(producer, source, "maps/roads:latest")
            monkeypatch.setattr(Scheduler, "tick", breaks)
            monkeypatch.setattr(Scheduler, "_schedule", lambda scheduler, now, insist=False: [])
            with pytest.raises(AetherError, match="this is a defect"):
                async with asyncio.timeout(60):
                    await swarm.pull(peer, "maps/roads:latest", tmp_path / "out")

    asyncio.run(main())


def test_a_command_that_is_repeated_counts_once(tmp_path: Path) -> None:
    """Its process may have been killed between the commit and the answer; then the repetition finds the entry."""

    async def main() -> None:
        source = make_tree(tmp_path / "source", 7)
        async with Swarm(tmp_path) as swarm:
            producer, other = await swarm.peer("producer"), await swarm.peer("other")
            began = int(time.time())
            commands: list[tuple[str, dict[str, Any]]] = [
                ("publish", {"path": str(source), "names": ["maps/roads:v1", "maps/roads:latest"]}),
                ("tag", {"ref": "maps/roads:v1", "names": ["maps/roads:a", "maps/roads:b"]}),
                ("rm", {"names": ["maps/roads:a", "maps/roads:b"]}),
            ]
            for serial, (verb, arguments) in enumerate(commands, 1):
                seen = {"if_serial": serial - 1}
                assert (await run(producer, verb, **arguments, **seen))["serial"] == serial
                again = await run(producer, verb, **arguments, **seen, since=began)
                assert again["serial"] == serial
            (source / "new").write_bytes(b"new")
            second = await swarm.publish(producer, source, "maps/roads:latest")
            rolled = await run(producer, "rollback", name="maps/roads:latest", since=began)
            again = await run(producer, "rollback", name="maps/roads:latest", since=began)
            assert (rolled["serial"], again) == (second["serial"] + 1, rolled)
            assert rolled["tags"] != {"latest": second["version"]}
            # Somebody else's entry, an older one and one with other moves are not this command's.
            tags = {"ref": "maps/roads:v1", "names": ["maps/roads:a"]}
            assert (await run(producer, "tag", **tags, since=began))["serial"] == 6
            moved = {"ref": f"maps/roads@{second['version']}", "names": ["maps/roads:a"]}
            assert (await run(other, "tag", **moved))["serial"] == 7
            assert (await run(other, "tag", **tags, since=began))["serial"] == 8
            await run(other, "tag", **moved)
            assert (await run(producer, "tag", **tags, since=began + 1000))["serial"] == 10

    asyncio.run(main())
