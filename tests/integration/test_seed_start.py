"""A seed that cannot start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seed.node import start_seed
from swarm.errors import UnreachableError
from swarm.home import Home
from swarm.objects.memory import MemoryObjectStore
from swarm.peer.settings import NodeSettings
from tests.integration.swarm_rig import Swarm


class Broken(MemoryObjectStore):
    """A store that cannot be listed."""

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        raise UnreachableError("the store does not answer")


def test_a_seed_whose_store_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """No lock, no agent that others would ask."""

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            home = await swarm.enrol("second", role="seed")
            with pytest.raises(UnreachableError):
                await start_seed(NodeSettings(home), Broken())
            other = Home(home.path)
            assert other.agent() is None
            assert not (home.path / "agent.json").exists()
            other.open()
            other.close()

    asyncio.run(main())
