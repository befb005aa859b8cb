"""Starting this program as another process: the same interpreter, the same code, whatever the current folder holds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import swarm

# The folder that the running packages come from.
CODE = Path(swarm.__file__).resolve().parent.parent


def command(*arguments: str) -> list[str]:
    """The command line. -P: a folder named ``swarm`` in the current directory is not taken for ours."""
    return [sys.executable, "-P", "-m", "swarm.cli.main", *arguments]


def environment(home: Path | None = None) -> dict[str, str]:
    """The environment of such a process, with its own home when one is given and no other setting of ours then."""
    kept = {name: value for name, value in os.environ.items() if home is None or not name.startswith("AETHERFS_")}
    path = os.pathsep.join(part for part in (str(CODE), kept.get("PYTHONPATH", "")) if part)
    own = {} if home is None else {"AETHERFS_HOME": str(home)}
    return {**kept, "PYTHONPATH": path, **own}
