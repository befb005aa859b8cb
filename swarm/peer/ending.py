"""A graceful end: what moves tags or brings bytes to a seed is finished first, and nothing of that kind begins.

A seed finishes what others bring, too, and sends who comes now to another. Pulls are not waited for, since they are
gone on with wherever they were. Neighbours and trackers are told when the node closes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from swarm.errors import UnreachableError

# Verbs that are finished: once they have begun, somebody may rely on what they do.
FINISHED: Final = frozenset({"publish", "import", "tag", "rollback", "rm"})
TELL_S: Final = 0.5


class Ending:
    """What is under way at one peer, for its loop. ``receiving`` begins no upload of others any more, and tells how
    many are under way.
    """

    def __init__(self, receiving: Callable[[], int] = lambda: 0) -> None:
        self._receiving = receiving
        self._under_way: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self.is_begun = False

    @contextmanager
    def work(self, verb: str) -> Iterator[None]:
        """While a verb is carried out. UnreachableError for one that would have to be waited for, once this ends."""
        if verb not in FINISHED:
            yield
            return
        if self.is_begun:
            raise UnreachableError("this peer is ending: start it again, then repeat the command")
        self._under_way[verb] += 1
        try:
            yield
        finally:
            self._under_way[verb] -= 1
            self._changed.set()

    def waiting_for(self) -> str:
        """What is under way in words, empty for nothing."""
        counts = [*sorted(self._under_way.items()), ("upload", self._receiving() if self.is_begun else 0)]
        return ", ".join(what if count == 1 else f"{what} ({count})" for what, count in counts if count)

    async def finish(self, progress: Callable[[dict[str, Any]], None], limit_s: float | None) -> bool:
        """Begin nothing any more, and wait for what is under way, at most so long: whether all of it is done."""
        self.is_begun = True
        loop = asyncio.get_running_loop()
        deadline = None if limit_s is None else loop.time() + limit_s
        while words := self.waiting_for():
            if deadline is not None and loop.time() >= deadline:
                return False
            progress({"event": "progress", "phase": "finish", "waiting_for": words})
            self._changed.clear()
            left_s = TELL_S if deadline is None else min(TELL_S, max(0.0, deadline - loop.time()))
            try:
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
        return True
