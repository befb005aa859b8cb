"""Reading a run's blocks ahead of the socket: two in one step of a thread, while two are written.

What is read and not wanted any more is dropped; what is wanted out of turn is read by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from swarm.peer.holdings import Holding

STEP: Final = 2


class ReadAhead:
    """The blocks of one run. ``is_wanted`` says of a signature whether it is still to be sent."""

    def __init__(self, holding: Holding, signatures: Sequence[bytes], is_wanted: Callable[[bytes], bool]) -> None:
        self._holding = holding
        self._signatures = signatures
        self._is_wanted = is_wanted
        self._ready: dict[int, bytes | None] = {}
        self._coming: list[int] = []
        self._task: asyncio.Task[list[bytes | None]] | None = None

    async def get(self, position: int) -> bytes | None:
        """The block at this position of the run, encoded; None when it is not here."""
        if position not in self._ready:
            if position not in self._coming:
                self._start([position])
            if self._task is not None:
                self._ready = dict(zip(self._coming, await self._task, strict=True))
            following = range(self._coming[-1] + 1, len(self._signatures))[:STEP]
            self._start([p for p in following if self._is_wanted(self._signatures[p])])
        return self._ready.pop(position)

    def _start(self, positions: list[int]) -> None:
        self.close()
        self._coming = positions
        if positions:
            reading = self._holding.read_several([self._signatures[position] for position in positions])
            self._task = asyncio.create_task(reading)

    def close(self) -> None:
        """Read no further."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
