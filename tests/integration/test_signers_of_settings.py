"""Settings that require a signer, and an agent that was started without: what reads through it refuses, and says so."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from swarm.cli.mounting import mount
from swarm.cli.syncing import sync
from swarm.config import load
from swarm.errors import IncompleteError, NotAllowedError
from swarm.filesystem import AetherFileSystem
from swarm.peer.agent import start_peer
from swarm.reader_calls import ReaderCalls
from swarm.signers import Moves, Required
from tests.integration.swarm_rig import Swarm, make_tree, run

REFUSES = "a signer is required"


async def command(command: click.Command, *arguments: str) -> None:
    """A command of the program, beside the agent that it asks. Raises what it fails with."""
    await asyncio.to_thread(command.main, arguments, standalone_mode=False)


def test_mounts_and_fsspec_refuse_an_agent_that_takes_more_than_their_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with Swarm(tmp_path) as swarm:
            producer = await swarm.peer("producer")
            await swarm.publish(producer, make_tree(tmp_path / "tree", 1, files=1, large_bytes=10), "roads:live")
            key = producer.key.peer_id
            target = "/fs/library/roads/live/?info=1"

            async def is_refused(home: Path, address: str | None, moves: str = "own") -> bool:
                settings = load({"home": str(home), "require_signer": key, "signer_moves": moves}, {})
                calls = ReaderCalls(address=address, settings=settings)
                try:
                    await asyncio.to_thread(calls.json, target)
                except PermissionError as error:
                    assert REFUSES in str(error.strerror)
                    return True
                return False

            async def agent(name: str, moves: Moves) -> tuple[Path, str]:
                required = Required(frozenset({producer.key.public}), moves)
                node = await start_peer(replace(swarm.settings(await swarm.enrol(name)), required=required))
                swarm._stack.push_async_callback(swarm.stop, node)
                return node.home.path, f"http://{node.agent_address}"

            lax = await swarm.peer("lax")
            strict, strict_address = await agent("strict", "own")
            moved, _ = await agent("moved", "published")
            assert [await is_refused(home, None) for home in (lax.home.path, moved, strict)] == [True, True, False]
            assert [await is_refused(home, None, "published") for home in (moved, strict)] == [False, False]
            assert not await is_refused(strict, strict_address)
            assert await is_refused(strict, f"http://{lax.agent_address}"), "one that cannot be asked"

            # The same by what a user touches.
            home, config = str(lax.home.path), tmp_path / "config.toml"
            config.write_text(f'require_signer = "{key}"\n')
            place = str(tmp_path / "nowhere")
            with pytest.raises(NotAllowedError, match=REFUSES):
                await command(mount, "library/roads:live", place, "--home", home, "--config", str(config))
            monkeypatch.setenv("AETHERFS_REQUIRE_SIGNER", key)
            with pytest.raises(PermissionError, match=REFUSES):
                await asyncio.to_thread(AetherFileSystem(home=home).info, "library/roads:live/large.bin")
            monkeypatch.delenv("AETHERFS_REQUIRE_SIGNER")
            assert (await asyncio.to_thread(AetherFileSystem(home=home).info, "library/roads:live/large.bin"))["size"]

    asyncio.run(work())


def test_sync_requires_the_signers_of_the_settings_for_all_that_names_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        async with Swarm(tmp_path) as swarm:
            producer, other, consumer = [await swarm.peer(name) for name in ("producer", "other", "consumer")]
            await swarm.publish(other, make_tree(tmp_path / "tree", 1, files=1, large_bytes=10), "roads:live")
            wants, config = tmp_path / "aetherfs.toml", tmp_path / "config.toml"
            config.write_text(f'require_signer = "{producer.key.peer_id}"\nsigner_moves = "published"\n')
            entry = '[[subscription]]\nref = "roads:live"\ndirectory = '
            own = f'{entry}"b"\nrequire_signer = "{other.key.peer_id}"\n'
            wants.write_text(f'{entry}"a"\n{own}')
            home = str(consumer.home.path)
            with pytest.raises(IncompleteError):
                await command(sync, str(wants), "--json", "--home", home, "--config", str(config))
            failed: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])["failed"]
            assert list(failed) == [str(tmp_path / "a")]
            assert "no required signer" in failed[str(tmp_path / "a")]
            told = (await run(consumer, "subscriptions"))["subscriptions"]
            assert {(each["require_signer"], each["signer_moves"]) for each in told} == {
                (producer.key.peer_id, "published"),
                (other.key.peer_id, "own"),
            }

    asyncio.run(work())
