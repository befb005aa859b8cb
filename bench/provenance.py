"""What a report says of where its figures come from: our own commit and version, and the machine."""

from __future__ import annotations

import os
import platform
import ssl
import subprocess
from pathlib import Path
from typing import Any, Final

from swarm import __version__

ROOT: Final = Path(__file__).parents[1]
# As git itself says ``dirty``: untracked files are no change. Nor are reports, which one run after another writes.
CHANGED: Final = ("status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results")


def provenance() -> dict[str, Any]:
    """The head of every report. Taken when a run begins, for files may change while it goes on."""
    return {"commit": commit(), "version": __version__, "machine": machine()}


def commit(root: Path = ROOT) -> str | None:
    """The commit of this code, with "+changes" where the files are not it; None outside git."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top) != root.resolve():
        return None
    head = _git(root, "rev-parse", "HEAD")
    return head and head + ("+changes" if _git(root, *CHANGED) else "")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cpu": _first_value(Path("/proc/cpuinfo"), "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
    }


def filesystem(path: Path) -> str:
    """The kind of filesystem that a path lies on."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    fitting = [(point, kind) for point, kind in mounts if path.resolve().is_relative_to(point)]
    return max(fitting, key=lambda mount: len(mount[0]))[1]


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None when it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.strip()


def _first_value(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return platform.machine()
