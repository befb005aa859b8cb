"""Trackers and seeds as a process of the program runs them, in this process: started from the swarm secret."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

from swarm.cli.enrol import remember
from swarm.cli.program import Program
from swarm.cli.roles import Role, Running, prepare, running
from swarm.home import Home
from swarm.joining import join
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from swarm.peer.settings import NodeSettings
from swarm.token import parse_token
from tests.integration.swarm_rig import run
from tests.integration.tracker_rig import until


class Keepers:
    """``async with Keepers(tmp_path, store_url) as keepers``; all that was started ends with it."""

    def __init__(self, folder: Path, store: str = "") -> None:
        self.folder = folder
        self.store = store or (folder / "store").as_uri()
        self.secret = folder / "secret"
        self._stack = AsyncExitStack()
        self._parts: dict[str, AsyncExitStack] = {}

    async def __aenter__(self) -> Keepers:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def start(self, name: str, *, tracker: bool = False, seed: bool = False) -> Running:
        """A process on a home of this name, fresh if there is none, with nothing but store and secret."""
        program, role = Program(), Role(tracker=tracker, seed=seed)
        program.flags = {
            "home": str(self.folder / name),
            "store": self.store,
            "secret_file": str(self.secret),
            "port_base": "0",
        }
        prepare(program, role)
        stack = self._parts[name] = await self._stack.enter_async_context(AsyncExitStack())
        return await stack.enter_async_context(running(program, role))

    async def tracker(self, name: str) -> Running:
        return await self.start(name, tracker=True)

    async def seed(self, name: str) -> PeerNode:
        return (await self.start(name, seed=True)).node

    async def peers(self, by: Running, count: int) -> list[PeerNode]:
        """Peers that join by a token of a tracker, each answered once."""
        token = (await run(by.node, "token", uses=count))["token"]
        found = []
        for number in range(count):
            home = Home(self.folder / f"peer-{len(self._parts)}-{number}")
            remember(home, await join(parse_token(token), home.key()))
            node = await start_peer(NodeSettings(home=home, stall_s=20.0))
            found.append(node)
            stack = self._parts[node.key.peer_id] = await self._stack.enter_async_context(AsyncExitStack())
            stack.push_async_callback(node.close)
        await until(lambda: all(node.announcer.is_answered for node in found))
        return found

    async def stop(self, name: str) -> None:
        """End a process in order, or a peer by its id."""
        await self._parts[name].aclose()

    async def kill(self, name: str, part: Running) -> None:
        """End a process so that it says nothing to anybody: what it has listed stays as it is."""
        if part.tracker is not None:
            part.tracker.state.is_closing = True  # its own way of ending is over
            part.tracker._tending.cancel()
            await asyncio.gather(part.tracker._tending, return_exceptions=True)
            await part.tracker.state.pushes.close()
            await part.tracker.listener.close()
            part.tracker.state.pool.shutdown(wait=False)
        part.node.announcer._was_answered = False  # so that it does not say that it leaves
        await self.stop(name)
