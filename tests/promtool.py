"""promtool, Prometheus' own checker: the system's, or Debian's out of its package without installing it.

Where neither is to be had, tests that need it are skipped, and say so.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import pytest

# Beside the environment that the tests run in, so that it is fetched once.
KEPT: Final = Path(sys.prefix) / "promtool" / "promtool"
DEADLINE_S: Final = 120


def promtool(*arguments: str, text: str | None = None) -> tuple[int, str]:
    """Run it: its exit code, and all that it says."""
    run = subprocess.run(
        [_found(), *arguments], input=text, capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
    return run.returncode, run.stdout + run.stderr


def _found() -> str:
    known = shutil.which("promtool") or (str(KEPT) if KEPT.exists() else None)
    if known is None and not _fetch():
        pytest.skip("there is no promtool: install Debian's package prometheus, or put one into the PATH")
    return known or str(KEPT)


@functools.cache
def _fetch() -> bool:
    """Out of Debian's package, by apt's own settings, or not: that is found out once. Whether it is there then."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    with tempfile.TemporaryDirectory() as folder:
        load = ["apt-get", "download", "-q", "prometheus"]
        try:
            loaded = subprocess.run(load, cwd=folder, capture_output=True, check=False, timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:  # The network is as good as away.
            return False
        packages = list(Path(folder).glob("prometheus_*.deb"))
        if loaded.returncode or not packages:
            return False
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), folder], check=True, timeout=DEADLINE_S)
        KEPT.parent.mkdir(exist_ok=True)
        # Another process of the tests may do the same: each puts a whole file there.
        ready = KEPT.with_name(f".{Path(folder).name}")
        shutil.copy2(Path(folder) / "usr" / "bin" / "promtool", ready)
        ready.rename(KEPT)
    return True
