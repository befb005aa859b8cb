"""What a version is made of: sizes, kinds of files, tiny and equal ones, how well it compresses, what repeats. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec

from swarm.analysis.fetch import EncodedSize
from swarm.limits import LARGE_FILE_BYTES
from swarm.manifest import Manifest
from swarm.segments import FILE, FileEntry

# A file of less than a disk's page is tiny: its entry in the manifest weighs as much as a tenth of it, or more.
TINY_BYTES: Final = 4096
KINDS_TOLD: Final = 12
EQUAL_TOLD: Final = 20
# Sizes are counted by powers of sixteen.
SIZE_STEPS: Final = (0, 1, 256, 4096, 65_536, 1 << 20, 1 << 24, 1 << 28, 1 << 32)


class Kind(msgspec.Struct, frozen=True):
    """Files with one ending. ``encoded_bytes`` is their share of their blocks as these lie at a seed."""

    ending: str
    files: int
    bytes: int
    encoded_bytes: int


class Equal(msgspec.Struct, frozen=True):
    """Files with one content. ``bytes`` is what all but one of them take."""

    paths: tuple[str, ...]
    files: int
    bytes: int


class SizeStep(msgspec.Struct, frozen=True):
    """How many files have at least so many bytes, and fewer than the next step."""

    at_least: int
    files: int
    bytes: int


class Facts(msgspec.Struct, frozen=True):
    """``repeated_bytes`` lie in blocks that the version has already; ``encoded_bytes`` is what a seed would send of the
    whole version, ``manifest_bytes`` what the manifest takes, encoded.
    """

    files: int
    directories: int
    links: int
    bytes: int
    blocks: int
    repeated_bytes: int
    encoded_bytes: int
    manifest_bytes: int
    segments: int
    tiny_files: int
    tiny_bytes: int
    equal_files: int
    equal_bytes: int
    equal: tuple[Equal, ...]
    sizes: tuple[SizeStep, ...]
    kinds: tuple[Kind, ...]


def facts_of(manifest: Manifest, size_of: EncodedSize, manifest_bytes: int) -> Facts:
    """The facts; ``size_of`` tells a block's encoded size, ``manifest_bytes`` the manifest's."""
    files = [entry for entry in manifest.files if entry.kind == FILE]
    tiny = [entry for entry in files if 0 < entry.size < TINY_BYTES]
    equal = _equal(files)
    unique_bytes = sum(block.size for block in manifest.unique)
    return Facts(
        files=len(files),
        directories=sum(1 for entry in manifest.files if entry.path.endswith("/") or entry.kind == 1),
        links=sum(1 for entry in manifest.files if entry.kind == 2),
        bytes=manifest.total_bytes,
        blocks=len(manifest.unique),
        repeated_bytes=manifest.total_bytes - unique_bytes,
        encoded_bytes=sum(size_of(block.signature) for block in manifest.unique),
        manifest_bytes=manifest_bytes,
        segments=len(manifest.segments),
        tiny_files=len(tiny),
        tiny_bytes=sum(entry.size for entry in tiny),
        equal_files=sum(group.files - 1 for group in equal),
        equal_bytes=sum(group.bytes for group in equal),
        equal=tuple(equal[:EQUAL_TOLD]),
        sizes=_sizes(files),
        kinds=_kinds(manifest, size_of),
    )


def _equal(files: Sequence[FileEntry]) -> list[Equal]:
    content = attrgetter("blake3")
    found = []
    # Sorted, which keeps the order of paths and takes less than a table of all.
    for _, equal in groupby(sorted((entry for entry in files if entry.size), key=content), content):
        group = list(equal)
        if len(group) > 1:
            paths = tuple(entry.path for entry in group[:3])
            found.append(Equal(paths, len(group), group[0].size * (len(group) - 1)))
    return sorted(found, key=lambda group: (-group.bytes, group.paths))


def _sizes(files: Sequence[FileEntry]) -> tuple[SizeStep, ...]:
    counts, sums = [0] * len(SIZE_STEPS), [0] * len(SIZE_STEPS)
    for entry in files:
        step = max(at for at, least in enumerate(SIZE_STEPS) if entry.size >= least)
        counts[step] += 1
        sums[step] += entry.size
    return tuple(
        SizeStep(least, count, total) for least, count, total in zip(SIZE_STEPS, counts, sums, strict=True) if count
    )


def ending_of(path: str) -> str:
    """The ending that tells what a file is: ``.csv.gz`` and not ``.gz`` alone; "" for none."""
    name = path.rpartition("/")[2].lstrip(".")
    parts = name.lower().split(".")
    endings = [part for part in parts[1:][-2:] if 0 < len(part) <= 8 and part.isalnum() and not part.isdigit()]
    if len(endings) == 2 and endings[1] not in ("gz", "zst", "bz2", "xz", "lz4"):
        endings = endings[1:]
    return "." + ".".join(endings) if endings else ""


def _kinds(manifest: Manifest, size_of: EncodedSize) -> tuple[Kind, ...]:
    encoded = encoded_by_file(manifest, size_of)
    found: dict[str, list[float]] = {}
    for index, entry in enumerate(manifest.files):
        if entry.kind == FILE:
            sums = found.setdefault(ending_of(entry.path), [0, 0, 0.0])
            sums[0] += 1
            sums[1] += entry.size
            sums[2] += encoded[index]
    kinds = [Kind(ending, int(n), int(size), round(packed)) for ending, (n, size, packed) in found.items()]
    kinds.sort(key=lambda kind: (-kind.bytes, kind.ending))
    return _with_others(kinds)


def _with_others(kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    told, rest = kinds[:KINDS_TOLD], kinds[KINDS_TOLD:]
    if not rest:
        return tuple(told)
    sums = [sum(values) for values in zip(*((k.files, k.bytes, k.encoded_bytes) for k in rest), strict=True)]
    return (*told, Kind("others", *sums))


def encoded_by_file(manifest: Manifest, size_of: EncodedSize) -> array[float]:
    """What each file's part of its blocks weighs, encoded. A block counts wherever it is."""
    found = array("d", bytes(8 * len(manifest.files)))
    for index, block in enumerate(manifest.unique):
        share = size_of(block.signature) / block.size
        for place in manifest.places(index):
            found[place.file_index] += place.length * share
    return found


class Reuse(msgspec.Struct, frozen=True):
    """What another version of the dataset has of this one: bytes in blocks of both, and the new bytes."""

    tag: str
    version: str
    shared_bytes: int
    fetch_bytes: int


def reuse_of(manifest: Manifest, others: Mapping[str, Manifest]) -> list[Reuse]:
    """For each tag, what of this version's unique blocks that tag's version has."""
    total = sum(block.size for block in manifest.unique)
    found = []
    for tag, other in others.items():
        shared = sum(block.size for block in manifest.unique if block.signature in other.index_of)
        found.append(Reuse(tag, other.version.hex(), shared, total - shared))
    return found


def is_large(entry: FileEntry) -> bool:
    """Whether a file is cut alone."""
    return entry.size >= LARGE_FILE_BYTES
