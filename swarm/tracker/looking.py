"""Looking a dataset's head up in the object store once for all who ask meanwhile, and never with an older answer.

Whoever asks is answered by a look that began after it asked, so what another tracker had committed by then is seen.
All who come while a look is under way share the next one. A dataset that is asked for without a pause is looked at
LOOKS_PER_S times a second at most: a lookup then waits that long, and the store is asked no more for thousands. A few
lookups one after the other, as a command makes them, never wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

LOOKS_PER_S: Final = 50.0
# So many go without a wait, and after such a pause so many again.
BURST: Final = 16
PAUSE_S: Final = 0.05


class SharedLooks:
    """``look`` is what asks the store for one dataset. For one event loop."""

    def __init__(self, look: Callable[[str], Awaitable[object]]) -> None:
        self._look = look
        self._next: dict[str, asyncio.Future[None]] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, asyncio.Event] = {}
        self.looks = 0

    async def fresh(self, dataset: str) -> None:
        """Return when a look that began after this call has ended. Raises what it raised."""
        awaited = self._next.get(dataset)
        if awaited is None:
            awaited = self._next[dataset] = asyncio.get_running_loop().create_future()
            awaited.add_done_callback(_told)
            if dataset in self._asked:
                self._asked[dataset].set()
        if dataset not in self._looking:
            self._looking[dataset] = asyncio.create_task(self._look_while_asked(dataset))
        await asyncio.shield(awaited)

    async def close(self) -> None:
        """End what is under way; whoever waits is cancelled."""
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def _look_while_asked(self, dataset: str) -> None:
        loop = asyncio.get_running_loop()
        in_a_row = 0
        try:
            while await self._is_asked(dataset):
                began = loop.time()
                self.looks += 1
                await self._answer(dataset, self._next.pop(dataset))
                in_a_row += 1
                if in_a_row >= BURST:
                    await asyncio.sleep(began + 1 / LOOKS_PER_S - loop.time())
        finally:
            del self._looking[dataset]

    async def _is_asked(self, dataset: str) -> bool:
        """Whether somebody asks, now or within a pause."""
        if dataset not in self._next:
            self._asked[dataset] = asyncio.Event()
            try:
                async with asyncio.timeout(PAUSE_S):
                    await self._asked[dataset].wait()
            except TimeoutError:
                return dataset in self._next  # somebody asked in the very moment that the pause was over
            finally:
                del self._asked[dataset]
        return True

    async def _answer(self, dataset: str, awaited: asyncio.Future[None]) -> None:
        try:
            await self._look(dataset)
        except asyncio.CancelledError:
            awaited.cancel()
            raise
        except Exception as error:
            awaited.set_exception(error)
        else:
            awaited.set_result(None)


def _told(awaited: asyncio.Future[None]) -> None:
    """A failure that nobody waits for any more is nobody's."""
    if not awaited.cancelled():
        awaited.exception()
