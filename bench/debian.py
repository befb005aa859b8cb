"""Debian packages that a contender needs: installed by the bench itself when it runs as root, told otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Final

# Services that come with a package are not started: the bench starts its own, on ports of its own.
_QUIET: Final = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}


def missing_program(program: str, package: str, *, is_root: bool) -> str | None:
    """Why a program is not there, after trying to install it if ``is_root``; None when it is."""
    if shutil.which(program, path=_search_path()):
        return None
    if not is_root:
        return f"{program} is not installed, and installing it needs root (Debian: apt-get install {package})"
    if shutil.which("apt-get") is None:
        return f"{program} is not installed, and there is no apt-get to install {package} with"
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments], env={**os.environ, **_QUIET}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return (
                f"apt-get could not install {package}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
            )
    return None if shutil.which(program, path=_search_path()) else f"{package} does not bring {program}"


def program_path(program: str) -> str:
    """Where a program is that was found before."""
    return shutil.which(program, path=_search_path()) or program


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
