"""What ``bench small`` publishes: many files of seeded, incompressible bytes, spread over folders, and their hashes."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

# Files in a folder, and folders in a folder above: two levels, as photographs or samples lie.
FOLDER_FILES: Final = 100
FOLDER_FOLDERS: Final = 20


def make_tree(directory: Path, files: int, size_bytes: int, seed: int) -> dict[str, bytes]:
    """Write the files below a directory, which may be there; each one's SHA-256 by its path."""
    rng = random.Random(seed)
    hashes: dict[str, bytes] = {}
    for number in range(files):
        folder = number // FOLDER_FILES
        path = f"{folder // FOLDER_FOLDERS:03}/{folder % FOLDER_FOLDERS:02}/{number:07}.bin"
        data = rng.randbytes(size_bytes)
        if number % FOLDER_FILES == 0:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
        hashes[path] = hashlib.sha256(data).digest()
    return hashes


def holds_tree(directory: Path, hashes: Mapping[str, bytes], marks: Collection[str]) -> bool:
    """Whether exactly these files lie below the directory, byte for byte; ``marks`` at its top do not count."""
    found: dict[str, bytes] = {}
    for folder, names, files in os.walk(directory):
        if Path(folder) == directory:
            names[:] = [name for name in names if name not in marks]
        for name in files:
            path = Path(folder, name)
            found[path.relative_to(directory).as_posix()] = hashlib.sha256(path.read_bytes()).digest()
    return found == hashes
