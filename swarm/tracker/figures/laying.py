"""How the files of versions lie in their blocks, as far as that was looked for: last ones, each looked for once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from swarm.errors import AetherError
from swarm.tracker.figures.copies import Layout

Key = tuple[str, bytes]
# Each takes up to some hundred bytes a file.
LAYOUTS_MAX: Final = 4
# How many are looked for at once, how long a page waits for one before it is shown without, and for how long one that
# was not to be had is let be.
LAYING_MAX: Final = 4
SOON_S: Final = 1.0
RETRY_S: Final = 30.0
NOBODY: Final = "no peer runs beside this tracker that could fetch the manifest of this version"
COMING: Final = "the manifest of this version is being fetched"
LATER: Final = "the manifest of this version is fetched as soon as those of others are here"


class Laying:
    """``start`` runs a search. ``find`` is one, where a peer runs in this process; it raises AetherError."""

    def __init__(self, start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self.find: Callable[[str, bytes], Awaitable[Layout]] | None = None
        self._start = start
        self._known: OrderedDict[Key, Layout] = OrderedDict()
        self._coming: dict[Key, asyncio.Task[None]] = {}
        self._failed: OrderedDict[Key, tuple[float, str]] = OrderedDict()

    def known(self, dataset: str, version: bytes) -> Layout | None:
        """What is known of a version."""
        known = self._known.get((dataset, version))
        if known is not None:
            self._known.move_to_end((dataset, version))
        return known

    def wanted(self, dataset: str, version: bytes) -> str:
        """Begin to search for what is not known, unless that was tried lately. In words, why it is not known."""
        key = dataset, version
        if self.find is None:
            return NOBODY
        tried_at, why = self._failed.get(key, (float("-inf"), ""))
        if key not in self._coming and time.monotonic() - tried_at >= RETRY_S:
            if len(self._coming) >= LAYING_MAX:
                return LATER
            self._coming[key] = self._start(self._search(key, self.find(*key)))
        return COMING if key in self._coming else why

    async def comes_soon(self, dataset: str, version: bytes) -> bool:
        """Wait a moment for a search that is under way: whether it has found something."""
        task = self._coming.get((dataset, version))
        if task is not None:
            await asyncio.wait([task], timeout=SOON_S)
        return (dataset, version) in self._known

    async def _search(self, key: Key, finding: Awaitable[Layout]) -> None:
        try:
            self._known[key] = await finding
            self._failed.pop(key, None)
        except AetherError as error:
            self._failed[key] = time.monotonic(), str(error)
        finally:
            del self._coming[key]
        for kept in (self._known, self._failed):
            while len(kept) > LAYOUTS_MAX:
                kept.popitem(last=False)
