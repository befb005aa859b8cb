"""The directories in a home that hold what was imported without a place of the user's: the home's own, unlike others.

    imports/{scope}/{name}/{16 digits of the version}

So they go with a version that is purged, what a broken import left beside them too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from swarm.beside import staging_path
from swarm.placing import remove_tree
from swarm.rooted import failure

FOLDER: Final = "imports"
DIGITS: Final = 16


def import_path(home: Path, dataset: str, version: bytes) -> Path:
    """Where a version is kept that is imported without saying where."""
    return home / FOLDER / dataset / version.hex()[:DIGITS]


def remove_imported(home: Path, version: bytes, kept: Collection[str]) -> int:
    """Remove what was imported of a version, whatever its name was: how many directories. ``kept`` are directories that
    stay, since they serve it as another dataset's. Blocking. AetherError for what cannot be removed.
    """
    removed, stays = 0, {os.path.realpath(directory) for directory in kept}
    for folder in (home / FOLDER).glob("*/*"):
        target = folder / version.hex()[:DIGITS]
        if os.path.realpath(target) in stays:
            continue
        for directory in (target, staging_path(target, version)):
            if directory.is_dir():
                try:
                    remove_tree(directory)
                except OSError as error:
                    raise failure(f"cannot remove {directory}, which is purged", error) from error
                removed += directory == target
        for empty in (folder, folder.parent):
            with contextlib.suppress(OSError):  # something else is in there
                empty.rmdir()
    return removed
