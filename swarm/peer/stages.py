"""What the stages of a publish took: kept for the last one of some size, to be compared with what the machine can do.

Stages overlap, since blocks are compressed and sent while others are read: each has the time in which it was at work.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import msgspec

from swarm.encoding import Encoded, compressed
from swarm.peer.upload import SeedClient

FILE_NAME: Final = "last_publish"
# Of a smaller publish the stages tell nothing.
BYTES_LEAST: Final = 8_000_000
FILE_MAX_BYTES: Final = 64 * 1024

log = logging.getLogger("aetherfs.publish")


class Stage(msgspec.Struct):
    """``seconds`` at work; of compressing the sum over threads. ``bytes``: plain, of sending encoded."""

    seconds: float = 0.0
    bytes: int = 0


class LastPublish(msgspec.Struct, frozen=True):
    """``held_up_s``: how long reading had to wait for what comes behind it."""

    at: float
    dataset: str
    bytes: int
    seconds: float
    held_up_s: float
    stages: dict[str, Stage]


class Stages:
    """Of one publish under way. For one loop, but for ``take`` and ``held_up_s``, which are the reading thread's."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self.held_up_s = 0.0
        self._began = time.monotonic()
        self._compressed = compressed.read()
        self._under_way: dict[str, int] = {}
        self._since: dict[str, float] = {}

    @contextmanager
    def at_work(self, name: str, size_bytes: int = 0) -> Iterator[Stage]:
        """A stage is at work meanwhile. Done several times at once it counts once."""
        stage = self.stages.setdefault(name, Stage())
        if not self._under_way.get(name):
            self._since[name] = time.monotonic()
        self._under_way[name] = self._under_way.get(name, 0) + 1
        try:
            yield stage
        finally:
            stage.bytes += size_bytes
            self._under_way[name] -= 1
            if not self._under_way[name]:
                stage.seconds += time.monotonic() - self._since[name]

    def waiting(self, take: Callable[[bytes, bytes], None]) -> Callable[[bytes, bytes], None]:
        """``take`` of whoever takes blocks, with the time that it holds the reading thread up."""

        def timed(signature: bytes, raw: bytes) -> None:
            began = time.monotonic()
            take(signature, raw)
            self.held_up_s += time.monotonic() - began

        return timed

    def ended(self, dataset: str, size_bytes: int, at: float) -> LastPublish:
        """What there is to tell. What others in this process compressed meanwhile is counted in."""
        seconds, size = compressed.read()
        before_s, before = self._compressed
        stages = {**self.stages, "compress": Stage(seconds - before_s, size - before)}
        return LastPublish(at, dataset, size_bytes, time.monotonic() - self._began, self.held_up_s, stages)


stages_now: ContextVar[Stages | None] = ContextVar("stages_now", default=None)


class MeasuredClient(SeedClient):
    """A seed's upload side, whose sending is told to the publish that it is made for."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._stages = stages_now.get() or Stages()

    async def bring(self, session: str, blocks: Sequence[tuple[bytes, Encoded]]) -> None:
        with self._stages.at_work("send", sum(len(data) for _, data in blocks)):
            await super().bring(session, blocks)


def keep(home: Path, last: LastPublish) -> None:
    """Write it down. Blocking. A disk that refuses it is no failure of the publish."""
    temporary = home / f".{FILE_NAME}.{os.urandom(3).hex()}"
    try:
        temporary.write_bytes(msgspec.json.encode(last))
        os.replace(temporary, home / FILE_NAME)
    except OSError as error:
        log.info("what the stages of a publish took is not kept: %s", error)


def last_publish(home: Path) -> LastPublish | None:
    """The last one of some size in this home."""
    try:
        path = home / FILE_NAME
        return msgspec.json.decode(path.read_bytes(), type=LastPublish) if _is_small(path) else None
    except (OSError, msgspec.MsgspecError):
        return None


def _is_small(path: Path) -> bool:
    return path.stat().st_size <= FILE_MAX_BYTES
