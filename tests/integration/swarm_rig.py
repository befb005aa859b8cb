"""A swarm of real parts in one process: tracker, seed and peers, each on a home of its own, over TLS on 127.0.0.1."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from seed.node import start_seed
from swarm.cli.enrol import remember
from swarm.home import Home
from swarm.identity import PeerKey
from swarm.joining import join
from swarm.messages import TokenRequest
from swarm.objects import ObjectStore
from swarm.objects.folder import FolderObjectStore
from swarm.peer import operations
from swarm.peer.agent import start_peer
from swarm.peer.node import PeerNode
from swarm.peer.settings import NodeSettings
from swarm.records import Role
from swarm.token import parse_token
from swarm.tracker.server import Tracker


class Swarm:
    """``async with Swarm(tmp_path) as swarm``; everything ends with it, also on failure.

    ``objects`` is what tracker and seed have in common, by default a folder. It stays its maker's to close.
    """

    def __init__(self, folder: Path, *, stall_s: float = 20.0, objects: ObjectStore | None = None) -> None:
        self.folder = folder
        self.stall_s = stall_s
        self.objects = objects or FolderObjectStore(folder / "objects")
        self._store_key = os.urandom(32)
        self.tracker: Tracker
        self.seed: PeerNode
        self._stack = AsyncExitStack()
        self._closed: set[int] = set()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _start(self) -> None:
        await self.start_tracker()
        await self.start_seed("seed")

    async def start_tracker(self) -> None:
        """A tracker with a key of its own, over what is in the store."""
        key = PeerKey(os.urandom(32))
        self.tracker = await Tracker.start(self.objects, self._store_key, key, "127.0.0.1", 0)
        self._stack.push_async_callback(self.stop, self.tracker)

    async def start_seed(self, name: str) -> None:
        """A seed on a home of its own."""
        home = await self.enrol(name, role="seed")
        self.seed = await start_seed(self.settings(home), self.objects)
        self._stack.push_async_callback(self.stop, self.seed)
        await self.seed.announcer.beat()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def stop(self, part: Tracker | PeerNode) -> None:
        """End a part, once."""
        if id(part) not in self._closed:
            self._closed.add(id(part))
            await part.close()

    def settings(self, home: Home) -> NodeSettings:
        return NodeSettings(home=home, stall_s=self.stall_s)

    async def enrol(self, name: str, *, role: Role = "peer", datasets: Sequence[str] = ("*",), site: str = "") -> Home:
        """A home that is a member."""
        return await self.enrol_with(name, await self.token(role=role, datasets=datasets, site=site))

    async def enrol_with(self, name: str, token: str) -> Home:
        """A home that is a member by this token."""
        home = Home(self.folder / name)
        remember(home, await join(parse_token(token), home.key()))
        return home

    async def token(
        self,
        *,
        role: Role = "peer",
        datasets: Sequence[str] = ("*",),
        site: str = "",
        labels: Sequence[str] = (),
    ) -> str:
        request = TokenRequest(role=role, datasets=tuple(datasets), site=site, labels=tuple(labels))
        state = self.tracker.state
        addresses = tuple(str(address) for address in self.tracker.contact.addresses)
        text, _ = await state.work(state.tokens.create, request, addresses, time.time())
        return text

    async def peer(
        self, name: str, *, datasets: Sequence[str] = ("*",), site: str = "", role: Role = "peer"
    ) -> PeerNode:
        """A running peer on a new home."""
        return await self.peer_with(name, await self.token(role=role, datasets=datasets, site=site))

    async def peer_with(self, name: str, token: str) -> PeerNode:
        """A running peer on a home that is a member by this token."""
        node = await start_peer(self.settings(await self.enrol_with(name, token)))
        self._stack.push_async_callback(self.stop, node)
        return node

    async def publish(self, node: PeerNode, path: Path, *names: str) -> dict[str, Any]:
        return await run(node, "publish", path=str(path), names=list(names))

    async def pull(self, node: PeerNode, ref: str, directory: Path) -> dict[str, Any]:
        return await run(node, "pull", ref=ref, directory=str(directory))


async def run(node: PeerNode, verb: str, **arguments: Any) -> dict[str, Any]:
    """One verb of a node."""
    return await operations.run(node, verb, arguments, lambda report: None)


def make_tree(root: Path, seed: int, *, files: int = 12, large_bytes: int = 3_000_000) -> Path:
    """A directory with one large file and some small ones, the same for the same seed."""
    rng = random.Random(seed)
    for number in range(files):
        path = root / f"d{number % 3}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(rng.randint(0, 40_000)))
    (root / "large.bin").write_bytes(rng.randbytes(large_bytes))
    return root


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a directory."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
