"""A run's folder, and the end of everything that a run made, however it ended itself.

A run keeps a record that names its folder and its namespaces, and a lock on it for as long as it lives: of whose record
the lock can be taken, that run is dead. Then a watchdog of its own, or else the next run, kills its processes (those
that have a file open below the folder, as every log is, or are inside a namespace) and removes what it made.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bench.debian import program_path
from bench.packages import environment_folder

ROOT: Final = Path(__file__).parents[1]
NAMESPACES: Final = Path("/run/netns")
ROUNDS: Final = 100
ROUND_S: Final = 0.05


def namespace_prefix() -> str:
    """What the names of this process's namespaces begin with."""
    return f"bench{os.getpid()}-"


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder for a run's files. With the context it is gone, and whoever still has a file open in it."""
    runs = environment_folder().with_name("runs")
    runs.mkdir(parents=True, exist_ok=True)
    remove_dead(runs)
    folder = parent.absolute() / f"aetherfs-bench-{secrets.token_hex(6)}"
    record = runs / f"{folder.name}.json"
    lock = _locked(record, {"folder": str(folder), "namespaces": namespace_prefix()})
    # In a session of its own: what ends the run, as Ctrl-C, is not for it.
    watching = [sys.executable, "-m", "bench.leftovers", str(record)]
    watchdog = subprocess.Popen(watching, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        os.close(lock)
        watchdog.wait()
        remove_dead(runs)  # if somebody has killed the watchdog


def remove_dead(runs: Path) -> None:
    """Remove what dead runs left; those that live have their locks."""
    for record in runs.glob("*.json"):
        _remove_when_dead(record, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(record: Path, told: dict[str, str]) -> int:
    """Write a record; nobody sees it before it is whole and locked."""
    new = record.with_suffix(".new")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.write(descriptor, json.dumps(told).encode())
    new.rename(record)
    return descriptor


def _remove_when_dead(record: Path, lock: int) -> None:
    with suppress(FileNotFoundError, BlockingIOError), record.open("rb") as file:
        fcntl.flock(file, lock)
        # Another may have removed it while this one waited.
        if record.exists():
            told = json.loads(file.read())
            _remove(Path(told["folder"]), told["namespaces"])
            record.unlink()


def _remove(folder: Path, prefix: str) -> None:
    spaces = list(NAMESPACES.glob(f"{prefix}*"))
    for _ in range(ROUNDS):
        if not (left := _processes(folder, spaces)):
            break
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(ROUND_S)
    for space in spaces:
        subprocess.run([program_path("ip"), "netns", "delete", space.name], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _processes(folder: Path, spaces: Sequence[Path]) -> list[int]:
    """Who has a file open below the folder, or is inside one of the namespaces."""
    inside = {identity for space in spaces if (identity := _identity(space))}
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and (_identity(process / "ns/net") in inside or _has_open(process, folder))
    ]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:  # It has ended, or is another user's.
        return None
    return status.st_dev, status.st_ino


def _has_open(process: Path, folder: Path) -> bool:
    try:
        return any(os.readlink(opened).startswith(f"{folder}/") for opened in (process / "fd").iterdir())
    except OSError:
        return False


if __name__ == "__main__":
    _remove_when_dead(Path(sys.argv[1]), fcntl.LOCK_EX)
