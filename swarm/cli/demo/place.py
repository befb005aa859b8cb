"""Where the demo happens: in memory when there is plenty of it, else in the folder for temporary files.

Thousands of small files, written several times and removed again within a minute, tell more about a disk than about the
swarm. TMPDIR, when it is set, decides.
"""

from __future__ import annotations

import contextlib
import errno
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
# Where ports are looked for, and how many are kept at a time.
LOWEST_PORT: Final = 12_000
HIGHEST_PORT: Final = 30_000
RESERVED_PORTS: Final = 16
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


def free_ports(count: int = 3) -> int:
    """The first of so many ports in a row that are free, below those that systems give to whoever asks for any.

    They are this process's until it ends: nobody else who asks here is given them, also while nothing listens there.
    """
    while True:
        base = random.randrange(LOWEST_PORT, _given_from(), RESERVED_PORTS)
        if _reserve(base) and _are_free(range(base, base + count)):
            return base


def _given_from() -> int:
    """The lowest of the ports that the system gives to whoever asks for any, or less."""
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return HIGHEST_PORT
    return min(lowest, HIGHEST_PORT) if lowest > LOWEST_PORT + 100 * RESERVED_PORTS else HIGHEST_PORT


def _reserve(base: int) -> bool:
    """Whether nobody has the ports from there on. Names of this kind belong to a network, as its ports do, and go with
    the process; where systems have none, nothing is reserved.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mark:
        try:
            mark.bind(f"\0aetherfs-ports-{base}")
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        mark.detach()
    return True


def _are_free(ports: range) -> bool:
    try:
        with contextlib.ExitStack() as stack:
            for port in ports:
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
    except OSError:
        return False
    return True


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
