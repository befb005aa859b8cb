"""A pull that is being traced: the recorder, with what is told of the pull when it has ended, however it ends."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from swarm import clock
from swarm.peer.trace import FIND, PullTrace, Recorder
from swarm.peer.traces import Traces

if TYPE_CHECKING:
    from swarm.peer.node import PeerNode


@dataclass(slots=True)
class Traced:
    """What a pull says of itself as it learns it."""

    recorder: Recorder
    version: bytes = b""
    size_bytes: int = 0
    reused_bytes: int = 0

    def phase(self, name: str) -> None:
        """Another phase begins."""
        self.recorder.phase(name, time.monotonic())


@asynccontextmanager
async def tracing(node: PeerNode, ref: str, dataset: str, directory: Path) -> AsyncIterator[Traced]:
    """Trace what is done meanwhile, and keep it in the home."""
    traced = Traced(Recorder(time.monotonic(), clock.wall_now()))
    traced.phase(FIND)
    problem = ""
    try:
        yield traced
    except BaseException as error:
        problem = str(error) or type(error).__name__
        raise
    finally:
        rate = node.paces.download.bytes_per_s()
        ended = partial(
            traced.recorder.end,
            time.monotonic(),
            ref=ref,
            dataset=dataset,
            version=traced.version,
            directory=str(directory),
            problem=problem,
            size_bytes=traced.size_bytes,
            reused_bytes=traced.reused_bytes,
            limit_bytes_per_s=0.0 if math.isinf(rate) else rate,
        )
        _keep_beside(node.traces, ended)


def _keep_beside(traces: Traces, ended: Callable[[], PullTrace]) -> None:
    """Work it out and write it in a thread: nobody waits for it, but who looks, and the end of the process."""
    writing = asyncio.get_running_loop().run_in_executor(None, lambda: traces.keep(ended()))
    traces.writing.add(writing)
    writing.add_done_callback(traces.writing.discard)
