"""A seed that cannot start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seed.node import start_seed
from swarm.errors import UnreachableError
from swarm.home import Home
from swarm.objects.memory import MemoryObjectStore
from swarm.peer.node import NodeSettings
from tests.integration.swarm_rig import Swarm


class Broken(MemoryObjectStore):
    """A store that cannot be listed. ``is_closed`` tells whether whoever opened it let go."""

    is_closed = False

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> list[str]:
        raise UnreachableError("the store does not answer")

    def close(self) -> None:
        self.is_closed = True


def test_a_seed_whose_store_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """No lock, no agent that others would ask, nothing open."""

    async def main() -> None:
        async with Swarm(tmp_path) as swarm:
            home = await swarm.enrol("second", role="seed")
            objects = Broken()
            with pytest.raises(UnreachableError):
                await start_seed(NodeSettings(home), objects)
            assert objects.is_closed
            other = Home(home.path)
            assert other.agent() is None
            assert not (home.path / "agent.json").exists()
            other.open()
            other.close()

    asyncio.run(main())
