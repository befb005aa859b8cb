"""A directory for scans: small files that share runs, large ones beside each bound; and what is to come of it."""

from __future__ import annotations

import time
from pathlib import Path

from swarm.limits import BLOCK_MAX_BYTES, LARGE_FILE_BYTES
from swarm.manifest import Manifest
from tests.datasets import manifest_of, seeded, write_files

SMALL = {f"run/{number:03}": seeded(f"small {number}", 1000 + 137 * number) for number in range(200)}
FILES = SMALL | {
    "large/a": seeded("a", 3_000_000),
    "large/b": seeded("b", LARGE_FILE_BYTES),
    "large/c": seeded("c", LARGE_FILE_BYTES - 1),
    "large/d": bytes(2 * BLOCK_MAX_BYTES),
    "run/empty": b"",
    "z": b"last",
}
TOTAL = sum(map(len, FILES.values()))


def settle(root: Path) -> None:
    """Wait until nothing in the directory is so young that it would be read again on principle."""
    youngest = max((path.lstat().st_ctime_ns for path in root.rglob("*")), default=0)
    while time.time_ns() < youngest + 50_000_000:
        time.sleep(0.005)


def same(manifest: Manifest, files: dict[str, bytes]) -> bool:
    """Whether a manifest is the one of these contents, made from memory in another way."""
    expected, _ = manifest_of(files)
    return (manifest.blocks, manifest.content) == (expected.blocks, expected.content)


def settled_tree(root: Path) -> Path:
    """All of it, there long enough."""
    write_files(root, FILES)
    settle(root)
    return root
