"""Where the demo happens: in memory when there is plenty of it, else in the folder for temporary files.

Thousands of small files, written several times and removed again within a minute, tell more about a disk than about the
swarm. TMPDIR, when it is set, decides.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

from swarm.errors import FullError

# The source, the object store, five peers, and what they stage meanwhile.
COPIES_NEEDED: Final = 8
# Of memory, only a part is taken: the processes need some too.
MEMORY_SHARE: Final = 0.25
PREFIX: Final = "aetherfs-demo-"
SHARED_MEMORY: Final = Path("/dev/shm")


def choose(amount: int, temporary: str | None, shared_memory: Path, memory_bytes: int) -> Path:
    """The folder to work in for ``amount`` bytes of data. FullError when there is no room."""
    needed = COPIES_NEEDED * amount
    if not temporary and needed <= MEMORY_SHARE * memory_bytes and _free(shared_memory) >= needed:
        return shared_memory
    folder = Path(temporary or tempfile.gettempdir())
    free = _free(folder)
    if free < needed:
        raise FullError(
            f"the demo needs {needed} bytes in {folder}, and {free} are free: set TMPDIR to another disk, or give a "
            "smaller directory"
        )
    return folder


def make(parent: Path) -> Path:
    """A new folder for one demo. Those of demos that were killed before they could clean up are removed."""
    for old in parent.glob(f"{PREFIX}*"):
        pid = old.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))


def free_ports() -> int:
    """The first of three ports in a row that are free, below those that systems give to whoever asks for any."""
    while True:
        base = random.randrange(12_000, 30_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + 3):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return base


def available_memory() -> int:
    """Bytes that this process may take, by the system and by its control group; 0 where that is not told."""
    amounts = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                amounts.append(int(line.split()[1]) * 1024)
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if limit.isdigit():
            amounts.append(int(limit))
    except (OSError, ValueError, IndexError):
        pass  # What was read so far is what is known.
    return min(amounts, default=0)


def _free(folder: Path) -> int:
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        return 0
    return shutil.disk_usage(folder).free
