"""Rollouts in a swarm of real parts: who goes ahead, who is held back, and what operators do with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from swarm.errors import ConflictError
from swarm.peer.node import PeerNode
from tests.integration.swarm_rig import Swarm, make_tree, run
from tests.integration.test_subscriptions import REF, at, follower, until

CANARY = {"stages": [{"share": 0.0, "labels": ["ring=canary"]}, {"share": 1.0}]}


@asynccontextmanager
async def followers(swarm: Swarm, folder: Path, **labels: str) -> AsyncIterator[dict[str, PeerNode]]:
    """Peers that stay and follow the tag, by name, each with a label."""
    async with AsyncExitStack() as stack:
        found = {}
        for name, label in labels.items():
            home = await swarm.enrol_with(name, await swarm.token(labels=[label.replace("__", "=")]))
            found[name] = await stack.enter_async_context(follower(swarm, home))
            await found[name].admitted.heard()
            await run(found[name], "subscribe", ref=REF, directory=str(folder / f"{name}-dir"))
        yield found


def held_at(version: str) -> Any:
    return lambda following: following.told().version == version and following.told().held and not following.phase


def test_only_the_canary_goes_ahead_until_somebody_promotes_it(tmp_path: Path) -> None:
    async def main() -> None:
        make_tree(tmp_path / "source", 1, large_bytes=100_000)
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            first = (await swarm.publish(producer, tmp_path / "source", REF))["version"]
            async with followers(swarm, tmp_path, canary="ring=canary", other="ring=late") as nodes:
                (tmp_path / "source" / "new").write_text("new")
                published = await run(producer, "publish", path=str(tmp_path / "source"), names=[REF], plan=CANARY)
                second = published["version"]
                assert published["staged"] == ["stable"]
                await until(nodes["canary"], at(second))
                await until(nodes["other"], held_at(first))
                # However it reads the tag.
                assert (await swarm.pull(nodes["other"], REF, tmp_path / "pulled"))["version"] == first
                assert (await swarm.pull(nodes["canary"], REF, tmp_path / "pulled2"))["version"] == second
                told = await run(producer, "rollout", name=REF)
                assert (told["state"], told["stage"], told["version"]) == ("running", 0, second)
                promoted = await run(producer, "rollout", name=REF, action="promote")
                assert promoted["state"] == "done"
                await until(nodes["other"], at(second))
                with pytest.raises(ConflictError):
                    await run(producer, "rollout", name=REF, action="pause")
                await run(producer, "rollout", name=REF, action="rollback", reason="it is bad")
                for node in nodes.values():
                    await until(node, at(first))

    asyncio.run(main())
