"""What a process takes of its machine, and how late its event loop is: for ``/metrics``, ``/readyz`` and `doctor`.

Read from ``/proc`` where there is one; what is not told has no series.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import swarm
from swarm.limits import PROTOCOL_HIGHEST
from swarm.metrics import Metrics

PROC: Final = Path("/proc/self")
BEAT_S: Final = 1.0
# Over how many beats the worst lag is told.
BEATS: Final = 60
LAGS_S: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class LoopLag:
    """How late the event loop of this process comes to what was due: a blocked loop answers nobody."""

    def __init__(self, metrics: Metrics) -> None:
        self._late: deque[float] = deque(maxlen=BEATS)
        self._seen = metrics.histogram(
            "aetherfs_event_loop_lag_seconds", "How late the event loop came to what was due, each second.", LAGS_S
        )
        metrics.gauge(
            "aetherfs_event_loop_lag_worst_seconds", "The worst such lag within the last minute.", lambda: self.worst_s
        )

    @property
    def worst_s(self) -> float:
        """Within the last minute."""
        return max(self._late, default=0.0)

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.note(max(0.0, loop.time() - due))

    def note(self, late_s: float) -> None:
        """One beat came so late."""
        self._late.append(late_s)
        self._seen.observe(late_s)


def add_process_metrics(metrics: Metrics, home: Path) -> None:
    """Tell of this process, and of the file system that its home is on. Once a registry."""
    if "aetherfs_process_cpu_seconds_total" in metrics:
        return
    build = {swarm.__version__: 1.0}
    metrics.levels("aetherfs_build_info", "The version of the program that runs; always 1.", "version", lambda: build)
    metrics.gauge("aetherfs_protocol_version", "The highest version of the protocol understood.").set(PROTOCOL_HIGHEST)
    metrics.gauge("aetherfs_process_start_time_seconds", "When the process began, Unix time.").set(time.time())
    metrics.counted("aetherfs_process_cpu_seconds_total", "CPU time of this process.", time.process_time)
    metrics.gauge("aetherfs_process_resident_memory_bytes", "Memory that is resident.", resident_bytes)
    metrics.gauge("aetherfs_process_open_fds", "Open files and connections.", open_files)
    metrics.gauge("aetherfs_process_max_fds", "Open files that the system allows.", open_files_most)
    metrics.gauge("aetherfs_process_threads", "Threads of Python.", lambda: threading.active_count())
    metrics.gauge("aetherfs_disk_free_bytes", "Free bytes of the home's file system.", _disk(home, "free"))
    metrics.gauge("aetherfs_disk_size_bytes", "Size of the home's file system.", _disk(home, "total"))


def resident_bytes() -> float | None:
    """None where it is not told."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((PROC / "statm").read_text().split()[1]) * resource.getpagesize()
    return None


def open_files() -> float | None:
    """None where it is not told."""
    with contextlib.suppress(OSError):
        return len(os.listdir(PROC / "fd"))
    return None


def open_files_most() -> float | None:
    """None without a limit."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if most == resource.RLIM_INFINITY else most


def _disk(path: Path, field: str) -> Callable[[], float | None]:
    def read() -> float | None:
        with contextlib.suppress(OSError):
            return float(getattr(shutil.disk_usage(path), field))
        return None

    return read
