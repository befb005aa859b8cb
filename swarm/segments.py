"""The tables of a manifest and how they are cut into segments.

A manifest is a small root and two tables: the files in path order, the blocks in stream order. Each table is cut into
segments after an entry chosen by its content, and a segment is kept and fetched as an ordinary block. No segment holds
an offset from the dataset's start: the root's references carry counts and bytes, so positions are sums, and a new
version changes only the segments whose entries changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from blake3 import blake3

from swarm import canonical
from swarm.limits import (
    BLOCK_MAX_BYTES,
    DATASET_MAX_BYTES,
    LINK_TARGET_BYTES,
    MANIFEST_MAX_BLOCKS,
    MANIFEST_MAX_FILES,
    MANIFEST_MAX_SEGMENTS,
    PATH_BYTES,
    SEGMENT_MAX_BYTES,
    SEGMENT_MIN_BYTES,
)

FILE: Final = 0
EMPTY_DIRECTORY: Final = 1
SYMLINK: Final = 2

# An entry ends a segment when these bits of its hash are zero: means of about 80 KiB beyond the minimum.
FILE_MASK: Final = 0x1FF
BLOCK_MASK: Final = 0x7FF
# What a segment's array header, format and table name may take.
_HEADER_BYTES: Final = 16
# The least that an entry takes in a segment: what a root claims must fit what it says that the segments weigh.
FILE_ENTRY_MIN_BYTES: Final = 12
BLOCK_ENTRY_MIN_BYTES: Final = 36

Signature = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
OptionalHash = Annotated[bytes, msgspec.Meta(max_length=32)]
Path = Annotated[str, msgspec.Meta(min_length=1, max_length=PATH_BYTES)]
Size = Annotated[int, msgspec.Meta(ge=0, le=DATASET_MAX_BYTES)]
EncodedSize = Annotated[int, msgspec.Meta(ge=1, le=SEGMENT_MAX_BYTES)]
FileCount = Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_MAX_FILES)]
BlockCount = Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_MAX_BLOCKS)]
EntryCount = Annotated[int, msgspec.Meta(ge=1, le=SEGMENT_MAX_BYTES)]


class FileEntry(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """One file, empty directory or symbolic link. Hashes are of a file's content; ``target`` is a link's."""

    path: Path
    kind: Literal[0, 1, 2]
    size: Size
    mode: Annotated[int, msgspec.Meta(ge=0, le=0o777)]
    mtime_ns: Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
    blake3: OptionalHash
    sha256: OptionalHash
    target: Annotated[str, msgspec.Meta(max_length=LINK_TARGET_BYTES)]


class BlockEntry(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """One block of the stream, by signature and plain size."""

    signature: Signature
    size: Annotated[int, msgspec.Meta(ge=1, le=BLOCK_MAX_BYTES)]


class FileSegment(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A stretch of the file table."""

    format: Literal[1]
    table: Literal["files"]
    files: Annotated[tuple[FileEntry, ...], msgspec.Meta(min_length=1)]


class BlockSegment(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A stretch of the block table."""

    format: Literal[1]
    table: Literal["blocks"]
    blocks: Annotated[tuple[BlockEntry, ...], msgspec.Meta(min_length=1)]


class FileSegmentRef(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A file segment: its signature and encoded size, the entries and content bytes in it, its first path."""

    signature: Signature
    size: EncodedSize
    files: EntryCount
    bytes: Size
    first_path: Path


class BlockSegmentRef(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A block segment: its signature and encoded size, the entries and content bytes in it."""

    signature: Signature
    size: EncodedSize
    blocks: EntryCount
    bytes: Size


class Root(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The root. ``blocks`` counts the block table's entries; ``content`` is the content signature."""

    format: Literal[1]
    block_min: int
    block_target: int
    block_max: int
    large_file: int
    files: FileCount
    blocks: BlockCount
    bytes: Size
    content: Signature
    file_segments: Annotated[tuple[FileSegmentRef, ...], msgspec.Meta(max_length=MANIFEST_MAX_SEGMENTS)]
    block_segments: Annotated[tuple[BlockSegmentRef, ...], msgspec.Meta(max_length=MANIFEST_MAX_SEGMENTS)]

    @property
    def segment_refs(self) -> tuple[FileSegmentRef | BlockSegmentRef, ...]:
        """All segments, files first."""
        return self.file_segments + self.block_segments


AnyEntry = TypeVar("AnyEntry", FileEntry, BlockEntry)


def cut_files(files: Sequence[FileEntry]) -> Iterator[tuple[FileEntry, ...]]:
    """The file table in segments: one ends after a path whose BLAKE3 has its low bits zero."""
    return _cut(files, _ends_files)


def _ends_files(entry: FileEntry) -> bool:
    return int.from_bytes(blake3(entry.path.encode()).digest(length=4), "big") & FILE_MASK == 0


def cut_blocks(blocks: Sequence[BlockEntry]) -> Iterator[tuple[BlockEntry, ...]]:
    """The block table in segments: one ends after a signature whose first four bytes have their low bits zero."""
    return _cut(blocks, lambda entry: int.from_bytes(entry.signature[:4], "big") & BLOCK_MASK == 0)


def _cut(entries: Sequence[AnyEntry], ends: Callable[[AnyEntry], bool]) -> Iterator[tuple[AnyEntry, ...]]:
    segment: list[AnyEntry] = []
    size = _HEADER_BYTES
    for entry in entries:
        length = len(canonical.encode(entry))
        if segment and size + length > SEGMENT_MAX_BYTES:
            yield tuple(segment)
            segment, size = [], _HEADER_BYTES
        segment.append(entry)
        size += length
        if size >= SEGMENT_MIN_BYTES and ends(entry):
            yield tuple(segment)
            segment, size = [], _HEADER_BYTES
    if segment:
        yield tuple(segment)
