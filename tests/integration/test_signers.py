"""A consumer that requires a signer: every verb that reads, a subscription, and a whole peer that is set so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from swarm.errors import IntegrityError, UsageError
from swarm.peer import operations
from swarm.peer.agent import start_peer
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
