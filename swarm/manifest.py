"""A version's manifest: assembled from its root and segments, checked whole, never changed.

What a stranger made is refused here, before anything acts on it: every count, sum, order, path and link is checked, and
the root's claims bound what is fetched and decoded. ``RemoteProtocolError`` is the one refusal. Placing blocks in files
is arithmetic over sums. Pure.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from blake3 import blake3

from swarm import canonical
from swarm.errors import RemoteProtocolError, UsageError
from swarm.limits import (
    BLOCK_MAX_BYTES,
    BLOCK_MIN_BYTES,
    BLOCK_TARGET_BYTES,
    LARGE_FILE_BYTES,
    MANIFEST_MAX_BYTES,
    MANIFEST_MAX_SEGMENTS,
    ROOT_MAX_BYTES,
    SEGMENT_MAX_BYTES,
)
from swarm.paths import shown
from swarm.segments import (
    BLOCK_ENTRY_MIN_BYTES,
    EMPTY_DIRECTORY,
    FILE,
    FILE_ENTRY_MIN_BYTES,
    SYMLINK,
    BlockEntry,
    BlockSegment,
    BlockSegmentRef,
    FileEntry,
    FileSegment,
    FileSegmentRef,
    Root,
    cut_blocks,
    cut_files,
)
from swarm.signature import signature_of
from swarm.tables import check_blocks, check_files

# Entries that are encoded in one call for the content signature.
SIGNED_AT_ONCE: Final = 1000


class Place(NamedTuple):
    """Where a stretch of a block lies in a file."""

    file_index: int
    file_offset: int
    block_offset: int
    length: int


class Manifest:
    """A whole manifest. Construct with ``assemble`` or ``build``.

    ``files`` are in path order, ``blocks`` in stream order with repeats, ``unique`` in the order of first use;
    ``index_of`` gives a signature's index in ``unique``; ``segments`` are plain bytes by signature.
    """

    def __init__(
        self,
        root: Root,
        root_bytes: bytes,
        segments: Mapping[bytes, bytes],
        files: tuple[FileEntry, ...],
        blocks: tuple[BlockEntry, ...],
    ) -> None:
        self.root = root
        self.root_bytes = root_bytes
        self.version = signature_of(root_bytes)
        self.segments = segments
        self.files = files
        self.blocks = blocks
        self.index_of: dict[bytes, int] = {}
        unique: list[BlockEntry] = []
        self._first = array("q")  # where in ``blocks`` a unique block is first, and where again
        self._again: dict[int, list[int]] = {}
        for position, block in enumerate(blocks):
            index = self.index_of.setdefault(block.signature, len(unique))
            if index == len(unique):
                unique.append(block)
                self._first.append(position)
            else:
                self._again.setdefault(index, []).append(position)
        self.unique: tuple[BlockEntry, ...] = tuple(unique)

    @property
    def content(self) -> bytes:
        """The content signature."""
        return self.root.content

    @property
    def total_bytes(self) -> int:
        return self.root.bytes

    @property
    def file_count(self) -> int:
        """Entries of kind file."""
        return sum(1 for entry in self.files if entry.kind == FILE)

    @property
    def segment_bytes(self) -> int:
        """Bytes of the manifest itself."""
        return len(self.root_bytes) + sum(map(len, self.segments.values()))

    @cached_property
    def _file_starts(self) -> array[int]:
        return array("q", accumulate((entry.size for entry in self.files), initial=0))

    @cached_property
    def _block_starts(self) -> array[int]:
        return array("q", accumulate((block.size for block in self.blocks), initial=0))

    def places(self, unique_index: int) -> Iterator[Place]:
        """All places of a block, in stream order. Together the blocks' places cover every byte of every file once."""
        for position in (self._first[unique_index], *self._again.get(unique_index, ())):
            start = self._block_starts[position]
            yield from self._spans(start, start + self.blocks[position].size)

    def _spans(self, start: int, end: int) -> Iterator[Place]:
        starts = self._file_starts
        index = bisect_right(starts, start, hi=len(self.files)) - 1
        at = start
        while at < end:
            length = min(end, starts[index + 1]) - at
            if length > 0:
                yield Place(index, at - starts[index], at - start, length)
                at += length
            index += 1

    def blocks_of(self, file_index: int, offset: int = 0, length: int | None = None) -> Iterator[tuple[int, int, int]]:
        """(unique index, offset in the block, length) of a range of a file, in order; the range ends with the file."""
        begin = self._file_starts[file_index] + offset
        end = self._file_starts[file_index + 1]
        if length is not None:
            end = min(end, begin + length)
        position = bisect_right(self._block_starts, begin, hi=len(self.blocks)) - 1
        while begin < end:
            start, stop = self._block_starts[position], self._block_starts[position + 1]
            take = min(end, stop) - begin
            yield self.index_of[self.blocks[position].signature], begin - start, take
            begin += take
            position += 1

    def find(self, path: str) -> int | None:
        """The index of a path's entry."""
        index = bisect_left(self.files, path, key=lambda entry: entry.path)
        return index if index < len(self.files) and self.files[index].path == path else None

    def __repr__(self) -> str:
        return f"<Manifest {self.version.hex()[:12]} {len(self.files)} entries, {len(self.unique)} blocks>"


def build(files: Sequence[FileEntry], blocks: Sequence[BlockEntry]) -> Manifest:
    """The manifest of these entries (files in path order, blocks in stream order).

    What ``assemble`` would refuse is a RemoteProtocolError here too, so that nothing unreadable is ever published.
    """
    manifest = laid_out(files, blocks)
    _check(manifest)
    return manifest


def laid_out(files: Sequence[FileEntry], blocks: Sequence[BlockEntry]) -> Manifest:
    """The same with nothing checked: also of blocks that are cut as no version is, to see what they would cost."""
    segments: dict[bytes, bytes] = {}
    file_refs: list[FileSegmentRef] = []
    for part in cut_files(files):
        data = canonical.encode(FileSegment(1, "files", part))
        signature = signature_of(data)
        segments[signature] = data
        file_refs.append(FileSegmentRef(signature, len(data), len(part), sum(f.size for f in part), part[0].path))
    block_refs: list[BlockSegmentRef] = []
    for stretch in cut_blocks(blocks):
        data = canonical.encode(BlockSegment(1, "blocks", stretch))
        signature = signature_of(data)
        segments[signature] = data
        block_refs.append(BlockSegmentRef(signature, len(data), len(stretch), sum(b.size for b in stretch)))
    root = Root(
        format=1,
        block_min=BLOCK_MIN_BYTES,
        block_target=BLOCK_TARGET_BYTES,
        block_max=BLOCK_MAX_BYTES,
        large_file=LARGE_FILE_BYTES,
        files=len(files),
        blocks=len(blocks),
        bytes=sum(entry.size for entry in files),
        content=content_signature(files),
        file_segments=tuple(file_refs),
        block_segments=tuple(block_refs),
    )
    root_bytes = canonical.encode(root)
    if len(root_bytes) > ROOT_MAX_BYTES or max(len(file_refs), len(block_refs)) > MANIFEST_MAX_SEGMENTS:
        raise UsageError(f"a dataset of {len(files)} files and {root.bytes} bytes is too large: publish it as several")
    return Manifest(root, root_bytes, segments, tuple(files), tuple(blocks))


def _check(manifest: Manifest) -> None:
    """As ``_assembled`` does, of entries that are here: each segment is decoded for its checks, and not kept beside
    them.
    """
    root, segments = manifest.root, manifest.segments
    for file_ref in root.file_segments:
        files_in(file_ref, segments[file_ref.signature])
    check_files(manifest.files)
    _blocks(root, segments)
    check_blocks(manifest.files, manifest.blocks)


def parse_root(data: bytes) -> Root:
    """Decode a root and check what it claims, before anything is fetched for it."""
    root = canonical.decode(data, Root, limit_bytes=ROOT_MAX_BYTES, what="a manifest's root")
    if (root.block_min, root.block_target, root.block_max) != (BLOCK_MIN_BYTES, BLOCK_TARGET_BYTES, BLOCK_MAX_BYTES):
        raise RemoteProtocolError("a manifest has cut parameters that this program does not know: update it")
    if root.large_file != LARGE_FILE_BYTES:
        raise RemoteProtocolError("a manifest has another bound for large files than this program: update it")
    sums = (
        (sum(ref.files for ref in root.file_segments), root.files, "files"),
        (sum(ref.bytes for ref in root.file_segments), root.bytes, "bytes of files"),
        (sum(ref.blocks for ref in root.block_segments), root.blocks, "blocks"),
        (sum(ref.bytes for ref in root.block_segments), root.bytes, "bytes of blocks"),
    )
    for found, claimed, what in sums:
        if found != claimed:
            raise RemoteProtocolError(f"a manifest's segments have {found} {what} where its root says {claimed}")
    _check_refs(root)
    return root


def _check_refs(root: Root) -> None:
    """What the root says of its segments is possible, in order, and no more than we would hold."""
    if sum(ref.size for ref in root.segment_refs) > MANIFEST_MAX_BYTES:
        raise RemoteProtocolError(f"a manifest has more than {MANIFEST_MAX_BYTES} bytes")
    for before, after in pairwise(root.file_segments):
        if before.first_path >= after.first_path:
            raise RemoteProtocolError(f"the file segment of {shown(after.first_path)} is out of order or there twice")
    for file_ref in root.file_segments:
        if file_ref.files * FILE_ENTRY_MIN_BYTES > file_ref.size:
            raise RemoteProtocolError(f"a segment of {file_ref.size} bytes cannot hold {file_ref.files} files")
    for block_ref in root.block_segments:
        if block_ref.blocks * BLOCK_ENTRY_MIN_BYTES > block_ref.size:
            raise RemoteProtocolError(f"a segment of {block_ref.size} bytes cannot hold {block_ref.blocks} blocks")


def assemble(root_bytes: bytes, segments: Mapping[bytes, bytes]) -> Manifest:
    """The manifest of a root and the plain bytes of its segments, by signature. RemoteProtocolError for anything
    amiss.
    """
    root = parse_root(root_bytes)
    manifest = _assembled(root, root_bytes, segments)
    if content_signature(manifest.files) != root.content:
        raise RemoteProtocolError("a manifest's content signature is not that of its files")
    return manifest


def _assembled(root: Root, root_bytes: bytes, segments: Mapping[bytes, bytes]) -> Manifest:
    """With everything checked but the content signature."""
    files: list[FileEntry] = []
    for file_ref in root.file_segments:
        files += files_in(file_ref, segments.get(file_ref.signature, b""))
    check_files(files)
    blocks = _blocks(root, segments)
    check_blocks(files, blocks)
    kept = {ref.signature: segments[ref.signature] for ref in root.segment_refs}
    return Manifest(root, root_bytes, kept, tuple(files), tuple(blocks))


def _blocks(root: Root, segments: Mapping[bytes, bytes]) -> list[BlockEntry]:
    """The block table. A segment may be there many times (one block, repeated for long), but is decoded and held
    once.
    """
    decoded: dict[bytes, tuple[BlockEntry, ...]] = {}
    blocks: list[BlockEntry] = []
    for ref in root.block_segments:
        stretch = decoded.get(ref.signature)
        if stretch is None:
            stretch = decoded[ref.signature] = blocks_in(ref, segments.get(ref.signature, b""))
        _check_sums(len(stretch), ref.blocks, sum(block.size for block in stretch), ref.bytes)
        blocks += stretch
    return blocks


def files_in(ref: FileSegmentRef, data: bytes) -> tuple[FileEntry, ...]:
    """The entries of a file segment, which is what the root says. RemoteProtocolError if not."""
    part = canonical.decode(_segment(data, ref), FileSegment, limit_bytes=SEGMENT_MAX_BYTES).files
    if part[0].path != ref.first_path:
        raise RemoteProtocolError("a file segment does not begin with the path that the root says")
    _check_sums(len(part), ref.files, sum(entry.size for entry in part), ref.bytes)
    return part


def blocks_in(ref: BlockSegmentRef, data: bytes) -> tuple[BlockEntry, ...]:
    """The entries of a block segment, in the same way."""
    stretch = canonical.decode(_segment(data, ref), BlockSegment, limit_bytes=SEGMENT_MAX_BYTES).blocks
    _check_sums(len(stretch), ref.blocks, sum(block.size for block in stretch), ref.bytes)
    return stretch


def content_signature(files: Sequence[FileEntry]) -> bytes:
    """The signature of what the files are, without their times: path, kind, executable bit, content or target of
    each.
    """
    hasher = blake3()
    for begin in range(0, len(files), SIGNED_AT_ONCE):
        hasher.update(
            canonical.encode_joined(
                [
                    (entry.path, entry.kind, entry.kind == FILE and entry.mode & 0o111 != 0, entry.blake3, entry.target)
                    for entry in files[begin : begin + SIGNED_AT_ONCE]
                ]
            )
        )
    return hasher.digest()


def _segment(data: bytes, ref: FileSegmentRef | BlockSegmentRef) -> bytes:
    if len(data) != ref.size or signature_of(data) != ref.signature:
        raise RemoteProtocolError(
            f"segment {ref.signature.hex()[:16]} of a manifest is missing or not what the root says"
        )
    return data


def _check_sums(count: int, claimed_count: int, total: int, claimed_total: int) -> None:
    if count != claimed_count or total != claimed_total:
        raise RemoteProtocolError(
            f"a segment has {count} entries of {total} bytes where the root says {claimed_count} of {claimed_total}"
        )


__all__ = [
    "EMPTY_DIRECTORY",
    "FILE",
    "SYMLINK",
    "BlockEntry",
    "FileEntry",
    "Manifest",
    "Place",
    "Root",
    "assemble",
    "blocks_in",
    "build",
    "content_signature",
    "files_in",
    "laid_out",
    "parse_root",
]
