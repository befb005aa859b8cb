"""What swarms of standing processes have in common."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.payload import Payload
from bench.processes import Standing, family


@dataclass(frozen=True, slots=True)
class StandingPeers:
    """``standing`` is a process for each host, the origin's first, and what else was started after them; peers keep the
    payload in folders of ``folder``.
    """

    standing: Sequence[Standing]
    folder: Path
    payload: Payload

    def pids(self) -> list[int]:
        return [process.process.pid for process in self.standing]

    def received(self, peer: int) -> Path:
        return self.folder / f"out{peer + 1}" / self.payload.file.name

    def kill(self, peer: int) -> None:
        for process in family(self.standing[peer + 1].process.pid):
            os.kill(process, signal.SIGKILL)
