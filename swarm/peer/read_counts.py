"""What of this peer's versions is read over HTTP, and so by mounts and fsspec too: counted, and kept in the home.

Counted is what was written out, once a request and range; archives and what peers fetch from one another are not
reading. Paths stay on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Final

from swarm.analysis.reads import Reads
from swarm.errors import AetherError
from swarm.home import Home

NAME: Final = "reads.json"
SAVE_EVERY_S: Final = 60.0

log = logging.getLogger("aetherfs.reads")


class ReadCounts:
    """The counts of one home; ``run`` saves them now and then, ``save`` at the end."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.reads = Reads.load(home.read_state(NAME))

    def note(self, dataset: str, version: bytes, path: str, size: int, begin: int, end: int) -> None:
        """A reader was given bytes ``begin`` to ``end`` (without it) of a file."""
        self.reads.note(dataset, version.hex(), path, size, begin, end, time.time())

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            await self.save()

    async def save(self) -> None:
        """Write them down if there are new ones. What cannot be written is tried again the next time."""
        if not self.reads.is_dirty:
            return
        data = self.reads.kept()
        with contextlib.suppress(FileNotFoundError):
            try:
                await asyncio.to_thread(self._home.write_state, NAME, data)
            except AetherError as error:
                self.reads.is_dirty = True
                log.warning("what was read is not written down: %s", error)
