"""What is pulled: one file of seeded, incompressible bytes, and its SHA-256."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STEP_BYTES: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Payload:
    """A directory that holds one file."""

    directory: Path
    file: Path
    size_bytes: int
    sha256: str


def make_payload(directory: Path, size_bytes: int, seed: int) -> Payload:
    """Write the file; the same seed and size give the same bytes."""
    rng = random.Random(seed)
    digest = hashlib.sha256()
    directory.mkdir(parents=True)
    path = directory / "payload.bin"
    with path.open("wb") as file:
        for start in range(0, size_bytes, STEP_BYTES):
            data = rng.randbytes(min(STEP_BYTES, size_bytes - start))
            digest.update(data)
            file.write(data)
    return Payload(directory, path, size_bytes, digest.hexdigest())


def holds(path: Path, payload: Payload) -> bool:
    """Whether that file is the payload, byte for byte."""
    if not path.is_file() or path.stat().st_size != payload.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == payload.sha256
