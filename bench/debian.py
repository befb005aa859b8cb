"""Debian packages that a contender needs: installed by the bench itself when it runs as root, told otherwise."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Services that come with a package are not started: the bench starts its own, on ports of its own.
_QUIET: Final = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
# An apt-get that somebody else runs is waited for.
LOCK_TIMEOUT_S: Final = 120
APT_FOLDER: Final = "/etc/apt"


def missing_program(program: str, package: str, *, is_root: bool) -> str | None:
    """Why a program is not there, after trying to install it if ``is_root``; None when it is."""
    if shutil.which(program, path=_search_path()):
        return None
    if not is_root:
        return f"{program} is not installed, and installing it needs root (Debian: apt-get install {package})"
    if shutil.which("apt-get") is None:
        return f"{program} is not installed, and there is no apt-get to install {package} with"
    with _turn():
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
            command = ["apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}", *arguments]
            done = subprocess.run(command, env={**os.environ, **_QUIET}, capture_output=True, text=True, check=False)
            if done.returncode:
                why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                return f"apt-get could not install {package}: {why}"
    return None if shutil.which(program, path=_search_path()) else f"{package} does not bring {program}"


@contextmanager
def _turn() -> Iterator[None]:
    """One at a time: apt-get refuses to run beside another, and tests run in several processes."""
    folder = os.open(APT_FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def program_path(program: str) -> str:
    """Where a program is that was found before."""
    return shutil.which(program, path=_search_path()) or program


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
