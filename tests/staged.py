"""A dataset with a bit of everything, and a staging of it, for the tests of staging."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from swarm.limits import BLOCK_MAX_BYTES
from swarm.manifest import Manifest
from swarm.staging import Staging
from tests.datasets import directory_entry, link_entry, manifest_of, seeded

FILES = {
    "a/large": seeded("large", 2_500_000),
    "a/large copy": seeded("large", 2_500_000),
    "a/zeros": bytes(2 * BLOCK_MAX_BYTES),
    "b/one": b"1" * 100,
    "b/two": b"2" * 60_000,
    "b/empty": b"",
    "z": b"last",
}
MANIFEST, BLOCKS = manifest_of(FILES, [directory_entry("e/f", mode=0o700), link_entry("l", "a/large")])
UNIQUE = range(len(MANIFEST.unique))


def plain(index: int) -> bytes:
    return BLOCKS[MANIFEST.unique[index].signature]


@contextlib.contextmanager
def staging_of(target: Path, manifest: Manifest = MANIFEST) -> Iterator[Staging]:
    staging = Staging(target, manifest)
    try:
        staging.adopt({}, force=False)
        yield staging
    finally:
        staging.close()


def write_all(staging: Staging, written: list[int]) -> None:
    """Write every block, and note those that were."""
    for index in UNIQUE:
        staging.write(index, plain(index))
        written.append(index)
