"""The traces of the last pulls, a file each in the home. Lost or broken ones are no harm: they are never needed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from swarm.peer.trace import PullTrace

KEPT: Final = 20
FILE_MAX_BYTES: Final = 4 * 1024 * 1024
# What was written to for the last time so long ago is of a process that was killed.
LEFT_S: Final = 3600.0
SUFFIX: Final = ".trace"

log = logging.getLogger("aetherfs.traces")


class Traces:
    """The ring below ``folder``. Blocking, but for ``settled``; ``writing`` are those on their way into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.writing: set[asyncio.Future[None]] = set()

    async def settled(self) -> None:
        """Wait for what is on its way."""
        if self.writing:
            await asyncio.wait(self.writing)

    def keep(self, trace: PullTrace) -> None:
        """Keep a trace, and forget the oldest beyond KEPT. A disk that refuses it is no failure of the pull."""
        name = f"{int(trace.began_wall * 1e6):020}-{os.urandom(3).hex()}"
        temporary = self._folder / f".{name}"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            temporary.write_bytes(msgspec.msgpack.encode(trace))
            self._forget_failure(trace)
            os.replace(temporary, self._folder / f"{name}{SUFFIX}")
            for path in (*self._paths()[KEPT:], *self._left(time.time())):
                path.unlink(missing_ok=True)
        except OSError as error:
            log.info("the trace of a pull is not kept: %s", error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _forget_failure(self, trace: PullTrace) -> None:
        """What fails again and again, as a subscription may, would else push all others out."""
        for path in self._paths()[:1]:
            before = _read(path)
            if before is not None and before.problem and before.directory == trace.directory:
                path.unlink(missing_ok=True)

    def _left(self, wall_now: float) -> Iterator[Path]:
        """What was begun and never ended."""
        for path in self._folder.glob(".*"):
            if wall_now - path.stat().st_mtime > LEFT_S:
                yield path

    def last(self, dataset: str, version: bytes) -> PullTrace | None:
        """The last pull of the version, else of the dataset."""
        of_dataset: PullTrace | None = None
        for path in self._paths():
            trace = _read(path)
            if trace is None or trace.dataset != dataset:
                continue
            if trace.version == version:
                return trace
            of_dataset = of_dataset or trace
        return of_dataset

    def all(self) -> Iterator[PullTrace]:
        """Newest first."""
        for path in self._paths():
            trace = _read(path)
            if trace is not None:
                yield trace

    def _paths(self) -> list[Path]:
        """Newest first."""
        try:
            return sorted(self._folder.glob(f"*{SUFFIX}"), reverse=True)
        except OSError:
            return []


def _read(path: Path) -> PullTrace | None:
    try:
        if path.stat().st_size > FILE_MAX_BYTES:
            return None
        return msgspec.msgpack.decode(path.read_bytes(), type=PullTrace)
    except (OSError, msgspec.MsgspecError, ValueError):
        return None  # written by another version of the program, or broken
