"""A version's tables, part by part: what its root alone tells of where entries lie, and the parts as they come.

Who reads one file needs the root, the segment with the file's entry and the segments with its blocks. All positions are
sums: of the bytes that the root says each segment stands for, and of the sizes in the segment. Each part is checked as
``manifest.assemble`` checks it, but for what only the whole table shows (two paths that differ in case, a circle of
links): a reader puts nothing on a disk, and follows links by itself. Pure.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from swarm.errors import RemoteProtocolError
from swarm.manifest import blocks_in, files_in
from swarm.paths import shown
from swarm.segments import BlockEntry, BlockSegmentRef, FileEntry, FileSegmentRef, Root
from swarm.tables import check_entries


class Span(NamedTuple):
    """A stretch of a block: ``size`` is the whole block's."""

    signature: bytes
    size: int
    offset: int
    length: int


class FilePart:
    """A file segment: entries in path order. ``starts`` are where their contents begin, from the segment's start."""

    def __init__(self, ref: FileSegmentRef, data: bytes) -> None:
        self.files: tuple[FileEntry, ...] = files_in(ref, data)
        check_entries(self.files)
        self.starts = array("q", accumulate((entry.size for entry in self.files), initial=0))

    def first(self, path: str) -> int:
        """The index of the first entry that does not come before a path."""
        return bisect_left(self.files, path, key=lambda entry: entry.path)


class BlockPart:
    """A block segment, in the same way."""

    def __init__(self, ref: BlockSegmentRef, data: bytes) -> None:
        self.blocks: tuple[BlockEntry, ...] = blocks_in(ref, data)
        self.starts = array("q", accumulate((block.size for block in self.blocks), initial=0))

    def spans(self, begin: int, end: int) -> Iterator[Span]:
        """What of these blocks makes up a range of bytes, counted from the segment's start, in order."""
        at = bisect_right(self.starts, begin, hi=len(self.blocks)) - 1
        while begin < end and at < len(self.blocks):
            block, start = self.blocks[at], self.starts[at]
            length = min(end, start + block.size) - begin
            yield Span(block.signature, block.size, begin - start, length)
            begin += length
            at += 1


class Outline:
    """What a root tells. Segments are named by their index in the root's lists."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self._paths = [ref.first_path for ref in root.file_segments]
        self._file_starts = array("q", accumulate((ref.bytes for ref in root.file_segments), initial=0))
        self._block_starts = array("q", accumulate((ref.bytes for ref in root.block_segments), initial=0))

    def files_with(self, path: str) -> int | None:
        """The file segment that holds a path, if any does; the first one for what comes before all."""
        if not self._paths:
            return None
        return max(0, bisect_right(self._paths, path) - 1)

    def start_of_files(self, segment: int) -> int:
        """Where in the version's bytes the contents of a file segment begin."""
        return self._file_starts[segment]

    def start_of_blocks(self, segment: int) -> int:
        """Where in the version's bytes a block segment begins."""
        return self._block_starts[segment]

    def blocks_with(self, begin: int, end: int) -> range:
        """The block segments that make up a range of the version's bytes."""
        if begin >= end:
            return range(0)
        # Segments may stand for no more than there is: a hostile end is cut.
        last = bisect_left(self._block_starts, min(end, self.root.bytes)) - 1
        return range(bisect_right(self._block_starts, begin, hi=len(self.root.block_segments)) - 1, last + 1)

    def check_part(self, segment: int, part: FilePart) -> FilePart:
        """The part, if nothing in it comes after the next one's first path. RemoteProtocolError otherwise."""
        if segment + 1 < len(self._paths) and part.files[-1].path >= self._paths[segment + 1]:
            raise RemoteProtocolError(f"path {shown(part.files[-1].path)} lies in the wrong segment")
        return part
