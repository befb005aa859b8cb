"""A directory of mixed real files: text, source, binaries and media, chosen by a seed from what the machine has.

A quarter each by bytes. What there is too little of is filled up with seeded bytes that nothing compresses, as media
are. The same bytes lie end to end in one file beside it, for whoever uploads a file.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarm.limits import KIB, MIB

# Of files below, a quarter of a GiB would be tens of thousands; that is measured by ``bench small``.
SMALLEST_BYTES: Final = 8 * KIB
LARGEST_BYTES: Final = 64 * MIB
TEXT: Final = (".txt", ".md", ".html", ".rst", ".xml", ".json", ".csv", ".svg", ".gz")
SOURCE: Final = (".py", ".pyi", ".c", ".h", ".js", ".rs", ".pl", ".pm", ".sh")
MEDIA: Final = (".png", ".jpg", ".jpeg", ".webp", ".ogg", ".mp3", ".mp4", ".woff2", ".whl", ".xz", ".zst")
STEP_BYTES: Final = 64 * KIB


@dataclass(frozen=True, slots=True)
class Mixed:
    """The directory, its bytes in one file, and what it is made of: (files, bytes) by kind."""

    directory: Path
    whole: Path
    size_bytes: int
    kinds: dict[str, tuple[int, int]]


def make_mixed(folder: Path, size_bytes: int, seed: int) -> Mixed:
    """Write it. The same seed takes the same files of the same machine."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    directory, whole = folder / "mixed", folder / "whole"
    kinds: dict[str, tuple[int, int]] = {}
    with whole.open("wb") as out:
        for kind, found in _found().items():
            rng.shuffle(found)
            files, taken = _copied(found, directory / kind, size_bytes // 4, out.write)
            kinds[kind] = (files, taken)
        left = size_bytes - sum(taken for _, taken in kinds.values())
        kinds["made"] = (_made(directory / "made", left, rng, out.write), left)
    return Mixed(directory, whole, size_bytes, kinds)


def _found() -> dict[str, list[Path]]:
    """Files by kind, in an order that does not depend on the filesystem's."""
    kinds: dict[str, list[Path]] = {"text": [], "source": [], "binary": [], "media": []}
    for top in (Path("/usr/share"), Path("/usr/lib"), Path("/usr/bin"), Path(sys.base_prefix)):
        for path in _below(top):
            kind = _kind(path)
            if kind:
                kinds[kind].append(path)
    return {kind: sorted(paths) for kind, paths in kinds.items()}


def _below(top: Path) -> Iterator[Path]:
    for at, directories, names in os.walk(top):
        directories.sort()
        yield from (Path(at, name) for name in sorted(names))


def _kind(path: Path) -> str:
    if path.suffix in MEDIA:
        return "media"
    if path.suffix in SOURCE:
        return "source"
    if path.suffix in TEXT:
        return "text"
    return "binary" if path.suffix in ("", ".so", ".a", ".o", ".pyc") or ".so." in path.name else ""


def _copied(found: list[Path], into: Path, most_bytes: int, write: Callable[[bytes], object]) -> tuple[int, int]:
    """Copy files until there is enough: how many, and their bytes."""
    into.mkdir(parents=True)
    seen: set[int] = set()
    taken = 0
    for path in found:
        if path.is_symlink() or not path.is_file():
            continue
        status = path.stat()
        if status.st_ino in seen or not SMALLEST_BYTES <= status.st_size <= min(LARGEST_BYTES, most_bytes - taken):
            continue
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if len(data) != status.st_size:
            continue
        (into / f"{len(seen):05}{path.suffix}").write_bytes(data)
        write(data)
        seen.add(status.st_ino)
        taken += len(data)
        if most_bytes - taken < STEP_BYTES:
            break
    return len(seen), taken


def _made(into: Path, size_bytes: int, rng: random.Random, write: Callable[[bytes], object]) -> int:
    """Files that nothing compresses, of 1 to 32 MiB: how many."""
    into.mkdir(parents=True)
    files = 0
    while size_bytes:
        data = rng.randbytes(min(size_bytes, rng.randint(1, 32) * MIB))
        (into / f"{files:05}.bin").write_bytes(data)
        write(data)
        size_bytes -= len(data)
        files += 1
    return files


def is_same(directory: Path, other: Path) -> bool:
    """Whether two directories hold the same files with the same bytes."""
    names = [path.relative_to(directory) for path in _below(directory)]
    if sorted(names) != sorted(path.relative_to(other) for path in _below(other)):
        return False
    return all((directory / name).read_bytes() == (other / name).read_bytes() for name in names)
