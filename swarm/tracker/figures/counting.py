"""Availability of versions, counted in threads. Whoever asks again within some seconds is told the same."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from swarm.figure_messages import Blocks
from swarm.tracker.figures.copies import Seen, counted

# So long an answer is told again; older ones are told while a new one is made, up to a limit.
KEPT_S: Final = 3.0
OLD_S: Final = 30.0
# An answer takes some hundred kilobytes at most.
KEPT_MAX: Final = 32
# Each takes one processor while it counts.
COUNTED_AT_ONCE: Final = 2

# A dataset, a version of it, into how many ranges its blocks are put, and whether its layout is known.
Key = tuple[str, bytes, int, bool]


class Counting:
    """``look`` tells who holds what now, or raises NotFoundError; ``made`` is called when an answer is there."""

    def __init__(self, look: Callable[[Key, float], Seen], made: Callable[[], None]) -> None:
        self._look = look
        self._made = made
        self._kept: OrderedDict[Key, tuple[float, Blocks]] = OrderedDict()
        self._making: dict[Key, asyncio.Task[Blocks]] = {}
        self._turn = asyncio.Semaphore(COUNTED_AT_ONCE)

    async def blocks(self, key: Key, now: float) -> Blocks:
        """The answer, once it is counted. NotFoundError."""
        known = self._known(key, now, KEPT_S)
        return known if known is not None else await asyncio.shield(self._make(key, now))

    def lately(self, key: Key, now: float) -> Blocks | None:
        """The answer of late, or None while the first is counted. NotFoundError."""
        if self._known(key, now, KEPT_S) is None:
            self._make(key, now)
        return self._known(key, now, OLD_S)

    def _known(self, key: Key, now: float, age_s: float) -> Blocks | None:
        at, found = self._kept.get(key, (now, None))
        return found if now - at < age_s else None

    def _make(self, key: Key, now: float) -> asyncio.Task[Blocks]:
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._count(key, self._look(key, now), now))
            task.add_done_callback(lambda _: self._making.pop(key))
        return task

    async def _count(self, key: Key, seen: Seen, now: float) -> Blocks:
        async with self._turn:
            found = await asyncio.to_thread(counted, seen, key[2])
        self._kept[key] = (now, found)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        self._made()
        return found

    async def close(self) -> None:
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
