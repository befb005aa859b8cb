"""A swarm of real parts in a thread of this process, for clients that block: what they read comes from an agent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from swarm.limits import MIB
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from tests.integration.swarm_rig import Swarm

T = TypeVar("T")


class SwarmThread:
    """A producer, and a reader that holds nothing at first; ``agent`` is the reader's address. ``cache_bytes`` bounds
    what that keeps in memory; then it keeps next to nothing on disk.
    """

    def __init__(self, folder: Path, cache_bytes: int | None = None) -> None:
        self.folder = folder
        self._cache_bytes = cache_bytes
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.swarm = Swarm(folder)
        self.producer: PeerNode
        self.reader: PeerNode

    def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have something done in the thread."""

        async def main() -> T:
            return await work()

        return asyncio.run_coroutine_threadsafe(main(), self._loop).result(120)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Have something called in the thread, soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    async def start(self) -> None:
        await self.swarm.__aenter__()
        self.producer = await self.swarm.peer("producer")
        settings = self.swarm.settings(await self.swarm.enrol("reader"))
        if self._cache_bytes is not None:
            settings = replace(settings, memory_bytes=self._cache_bytes, disk_bytes=MIB)
        self.reader = await start_peer(settings)

    @property
    def agent(self) -> str:
        return f"http://{self.reader.agent_address}"

    def publish(self, path: Path, *names: str) -> dict[str, Any]:
        return self.do(lambda: self.swarm.publish(self.producer, path, *names))

    def close(self) -> None:
        try:
            if hasattr(self, "reader"):
                self.do(self.reader.close)
            self.do(lambda: self.swarm.__aexit__(None, None, None))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


@contextmanager
def swarm_thread(folder: Path, cache_bytes: int | None = None) -> Iterator[SwarmThread]:
    """A swarm that ends with the ``with``."""
    running = SwarmThread(folder, cache_bytes)
    try:
        running.do(running.start)
        yield running
    finally:
        running.close()
