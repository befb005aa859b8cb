"""A consumer that requires a signer: every verb that reads, a subscription, and a whole peer that is set so."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from swarm.errors import AetherError, IntegrityError, UsageError
from swarm.peer import operations
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from swarm.signers import Required
from tests.integration.swarm_rig import Swarm, contents, make_tree, run


def test_who_requires_a_signer_is_given_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        first = make_tree(tmp_path / "one", 1, files=2, large_bytes=100_000)
        second = make_tree(tmp_path / "two", 2, files=2, large_bytes=100_000)
        async with Swarm(tmp_path) as swarm:
            producer, other, consumer = [await swarm.peer(name) for name in ("producer", "other", "consumer")]
            signer = {"require_signer": producer.key.peer_id}
            await swarm.publish(producer, first, "roads:live")
            followed = tmp_path / "followed"
            asked = {"ref": "roads:live", "directory": str(followed)}
            with pytest.raises(UsageError):
                await run(consumer, "subscribe", **asked, require_signer="nobody")
            await run(consumer, "subscribe", **asked, **signer)
            assert contents(followed / "current") == contents(first)

            await swarm.publish(other, second, "roads:live")
            for verb, arguments in {
                "pull": {"directory": str(tmp_path / "pulled")},
                "inspect": {},
                "ls": {},
                "verify": {"directory": str(tmp_path / "one")},
            }.items():
                with pytest.raises(IntegrityError, match="no required signer"):
                    await run(consumer, verb, ref="roads:live", **arguments, **signer)
            with pytest.raises(IntegrityError, match="no required signer"):
                await anext(operations.stream(consumer, "cat", {"ref": "roads:live/large.bin", **signer}))
            with pytest.raises(IntegrityError, match="no required signer"):
                await next(iter(consumer.subscriptions)).round()
            assert contents(followed / "current") == contents(first)
            await swarm.pull(consumer, "roads:live", tmp_path / "anybody")
            assert contents(tmp_path / "anybody") == contents(second), "who requires nobody is served"

            home = await swarm.enrol("strict")
            required = Required(frozenset({producer.key.public}))
            strict = await start_peer(replace(swarm.settings(home), required=required))
            swarm._stack.push_async_callback(swarm.stop, strict)
            with pytest.raises(IntegrityError, match="no required signer"):
                await swarm.pull(strict, "roads:live", tmp_path / "strict-pulled")
            await run(producer, "rollback", name="roads:live")
            await swarm.pull(strict, "roads:live", tmp_path / "strict-pulled")
            assert contents(tmp_path / "strict-pulled") == contents(first)

    asyncio.run(main())


@dataclass
class Scene:
    """Two publishers of one dataset: the producer's version at the tag ``origin``, another's at ``live`` since."""

    swarm: Swarm
    producer: PeerNode
    consumer: PeerNode
    dataset: str
    own: str
    foreign: str
    data: dict[str, bytes]

    @property
    def signer(self) -> dict[str, str]:
        return {"require_signer": self.producer.key.peer_id}

    async def strict(self) -> PeerNode:
        """A peer that requires the producer, and has heard of everything."""
        required = Required(frozenset({self.producer.key.public}))
        strict = await start_peer(replace(self.swarm.settings(await self.swarm.enrol("strict")), required=required))
        self.swarm._stack.push_async_callback(self.swarm.stop, strict)
        for raw in self.consumer.ledger.above(self.dataset, 0):
            strict.ledger.record(strict.access.learn(raw), raw, is_news=True)
        return strict

    async def cat(self, ref: str, **told: str) -> bytes:
        parts = operations.stream(self.consumer, "cat", {"ref": ref, **told})
        return b"".join([part async for part in parts])


@asynccontextmanager
async def two_publishers(folder: Path) -> AsyncIterator[Scene]:
    trees = {name: make_tree(folder / name, seed, files=2, large_bytes=100_000) for seed, name in enumerate("po")}
    async with Swarm(folder) as swarm:
        producer, other, consumer = [await swarm.peer(name) for name in ("producer", "other", "consumer")]
        own = (await swarm.publish(producer, trees["p"], "roads:live", "roads:origin"))["version"]
        foreign = (await swarm.publish(other, trees["o"], "roads:live"))["version"]
        dataset = ""
        for ref in ("roads:origin", "roads:live"):
            dataset = (await run(consumer, "inspect", ref=ref))["dataset"]
        data = {own: trees["p"], foreign: trees["o"]}
        yield Scene(
            swarm, producer, consumer, dataset, own, foreign,
            {version: (tree / "large.bin").read_bytes() for version, tree in data.items()},
        )  # fmt: skip


async def get(node: PeerNode, path: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{node.agent_address}{path}") as answer:
        return answer.status, await answer.read()


FACES = {
    "/fs": "/fs/{dataset}/@{version}/large.bin",
    "/webdav": "/webdav/{dataset}/@{version}/large.bin",
    "/hf": "/hf/{dataset}/resolve/{commit}/large.bin",
    "/hf, whole": "/hf/{dataset}/resolve/{version}/large.bin",
    "/v2": "/v2/{dataset}/blobs/sha256:{sha256}",
}


def test_no_face_gives_a_version_of_somebody_else_to_a_peer_that_requires_a_signer(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_publishers(tmp_path) as scene:
            strict = await scene.strict()
            assert bytes.fromhex(scene.foreign) in strict.ledger.versions(scene.dataset)

            async def given(node: PeerNode, face: str, version: str) -> tuple[int, bytes]:
                sha256 = hashlib.sha256(scene.data[version]).hexdigest()
                said = {"dataset": scene.dataset, "version": version, "commit": version[:40], "sha256": sha256}
                return await get(node, FACES[face].format_map(said))

            for face in FACES:
                status, body = await given(strict, face, scene.foreign)
                assert status == 422, (face, status)
                assert b"no required signer" in body, face
            for face in FACES:
                assert await given(strict, face, scene.own) == (200, scene.data[scene.own]), face
                assert await given(scene.consumer, face, scene.foreign) == (200, scene.data[scene.foreign]), face

    asyncio.run(main())


def test_a_version_that_is_open_for_others_is_refused_to_who_requires_a_signer(tmp_path: Path) -> None:
    async def main() -> None:
        async with two_publishers(tmp_path) as scene:
            foreign = f"roads@{scene.foreign}/large.bin"
            assert await scene.cat(foreign) == scene.data[scene.foreign]
            with pytest.raises(IntegrityError, match="no required signer"):
                await scene.cat(foreign, **scene.signer)
            published = {**scene.signer, "signer_moves": "published"}
            with pytest.raises(IntegrityError, match="no required signer"):
                await scene.cat(foreign, **published)
            assert await scene.cat(f"roads@{scene.own}/large.bin", **scene.signer) == scene.data[scene.own]
            assert await scene.cat(foreign) == scene.data[scene.foreign]

    asyncio.run(main())


@pytest.mark.parametrize("away", [False, True])
def test_readers_who_require_different_signers_share_no_look(tmp_path: Path, away: bool) -> None:
    async def main() -> None:
        async with two_publishers(tmp_path) as scene:

            async def outcome(**told: str) -> Any:
                try:
                    return await scene.cat("roads:live/large.bin", **told)
                except AetherError as error:
                    return type(error)

            if away:
                assert await outcome() == scene.data[scene.foreign]
                await scene.swarm.stop(scene.swarm.tracker)
                # One after the other: what the first was told is still fresh enough for its like.
                told = [await outcome(**each) for each in ({}, scene.signer, {})]
            else:
                told = await asyncio.gather(*(outcome(**each) for each in ({}, scene.signer, {}, scene.signer, {})))
            # Without a tracker the signer's own last entry is what this home knows.
            strict = scene.data[scene.own] if away else IntegrityError
            assert told == [scene.data[scene.foreign] if at % 2 == 0 else strict for at in range(len(told))]

    asyncio.run(main())
