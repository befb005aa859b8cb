"""What of this peer's versions is read over HTTP, and so by mounts and fsspec too: counted, and kept in the home.

Counted is what was written out, once a request and range; archives and what peers fetch from one another are not
reading. Trackers are told of stretches of whole versions; paths stay on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from swarm.analysis.reads import Reads
from swarm.errors import AetherError
from swarm.home import Home
from swarm.reports import READS_TOLD_MAX, ReadTold

if TYPE_CHECKING:
    from swarm.peer.snapshot import File, Snapshot

NAME: Final = "reads.json"
SAVE_EVERY_S: Final = 60.0
TELL_EVERY_S: Final = 15.0

Version = tuple[str, bytes]

log = logging.getLogger("aetherfs.reads")


class ReadCounts:
    """The counts of one home; ``run`` saves them now and then, ``save`` at the end."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._told_at = 0.0
        self.reads = Reads.load(home.read_state(NAME))

    def note(self, snapshot: Snapshot, file: File, begin: int, end: int) -> None:
        """A reader was given bytes ``begin`` to ``end`` (without it) of a file."""
        entry, total = file.entry, snapshot.outline.root.bytes
        version = snapshot.version.hex()
        self.reads.note(
            snapshot.dataset, version, entry.path, entry.size, begin, end, time.time(), start=file.start, total=total
        )

    def told(self, before: Mapping[Version, ReadTold]) -> dict[Version, ReadTold]:
        """What trackers are told of it, anew at most so often: the same as ``before`` until then."""
        now = time.monotonic()
        if before and now < self._told_at + TELL_EVERY_S:
            return dict(before)
        self._told_at = now
        found = [
            ReadTold(each.dataset, bytes.fromhex(each.version), each.size, each.reads, each.bytes, each.stretches)
            for each in self.reads.latest(READS_TOLD_MAX)
        ]
        return {(each.dataset, each.version): each for each in found}

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
