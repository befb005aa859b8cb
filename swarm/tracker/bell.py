"""Who waits for a dataset's next entry, and how they are woken. For one event loop; no I/O."""

from __future__ import annotations

import asyncio


class Bell:
    """Waiters by dataset. Listen before looking, so that what comes between look and wait is not missed."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def listen(self, dataset: str) -> asyncio.Future[None]:
        """A future that is done at the next ring. Give it back with ``leave``."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(dataset, set()).add(future)
        return future

    def leave(self, dataset: str, future: asyncio.Future[None]) -> None:
        """Wait no more."""
        waiting = self._waiting.get(dataset, set())
        waiting.discard(future)
        if not waiting:
            self._waiting.pop(dataset, None)
        future.cancel()

    def ring(self, dataset: str) -> None:
        """Wake everyone who waits for this dataset."""
        for future in self._waiting.pop(dataset, set()):
            if not future.done():
                future.set_result(None)

    def ring_all(self) -> None:
        """Wake everyone."""
        for dataset in list(self._waiting):
            self.ring(dataset)
