"""A version's manifest: assembled from its root and segments, checked whole, never changed.

What a stranger made is refused here, before anything acts on it: every count, sum, order, path and link is checked, and the
root's claims bound what is fetched and decoded. ``RemoteProtocolError`` is the one refusal. Placing blocks in files is
arithmetic over sums; nothing here does I/O.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Final

from blake3 import blake3

from swarm import canonical
from swarm.errors import LocalProtocolError, RemoteProtocolError
from swarm.limits import (
    BLOCK_MAX_BYTES,
    BLOCK_MIN_BYTES,
    BLOCK_TARGET_BYTES,
    LARGE_FILE_BYTES,
    ROOT_MAX_BYTES,
    SEGMENT_MAX_BYTES,
)
from swarm.paths import check_link, check_path
from swarm.segments import (
    EMPTY_DIRECTORY,
    FILE,
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

# As many links as Linux follows in one path.
LINK_HOPS_MAX: Final = 40


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stretch of a block lies in a file."""

    file_index: int
    file_offset: int
    block_offset: int
    length: int


class Manifest:
    """A whole manifest. Construct with ``assemble`` or ``build``."""

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
        for block in blocks:
            if block.signature not in self.index_of:
                self.index_of[block.signature] = len(unique)
                unique.append(block)
        self.unique: tuple[BlockEntry, ...] = tuple(unique)

    @property
    def content(self) -> bytes:
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
    def _file_starts(self) -> list[int]:
        return list(accumulate((entry.size for entry in self.files), initial=0))

    @cached_property
    def _block_starts(self) -> list[int]:
        return list(accumulate((block.size for block in self.blocks), initial=0))

    @cached_property
    def _positions(self) -> list[list[int]]:
        positions: list[list[int]] = [[] for _ in self.unique]
        for position, block in enumerate(self.blocks):
            positions[self.index_of[block.signature]].append(position)
        return positions

    def places(self, unique_index: int) -> Iterator[Place]:
        """All places of a block, in stream order. Together the blocks' places cover every byte of every file once."""
        for position in self._positions[unique_index]:
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
        """(unique index, offset in the block, length) of a range of a file, in order."""
        begin = self._file_starts[file_index] + offset
        whole = self.files[file_index].size - offset
        end = begin + (whole if length is None else min(length, whole))
        position = bisect_right(self._block_starts, begin, hi=len(self.blocks)) - 1
        while begin < end:
            start, stop = self._block_starts[position], self._block_starts[position + 1]
            take = min(end, stop) - begin
            yield self.index_of[self.blocks[position].signature], begin - start, take
            begin += take
            position += 1

    def find(self, path: str) -> int | None:
        """The index of a path's entry."""
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> dict[str, int]:
        return {entry.path: index for index, entry in enumerate(self.files)}

    def __repr__(self) -> str:
        return f"<Manifest {self.version.hex()[:12]} {len(self.files)} entries, {len(self.unique)} blocks>"


def build(files: Sequence[FileEntry], blocks: Sequence[BlockEntry]) -> Manifest:
    """The manifest of these entries (files in path order, blocks in stream order). What ``assemble`` would refuse is a
    RemoteProtocolError here too, so that nothing unreadable is ever published."""
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
    if len(root_bytes) > ROOT_MAX_BYTES:
        raise LocalProtocolError(f"the manifest's root has {len(root_bytes)} bytes, the limit is {ROOT_MAX_BYTES}")
    return assemble(root_bytes, segments)


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
    if len({ref.signature for ref in root.segment_refs}) != len(root.segment_refs):
        # Path order forbids it for files; for blocks it is one way of claiming much with little.
        _check_repeats(root)
    return root


def _check_repeats(root: Root) -> None:
    files = [ref.signature for ref in root.file_segments]
    if len(set(files)) != len(files) or set(files) & {ref.signature for ref in root.block_segments}:
        raise RemoteProtocolError("a manifest names a file segment twice")


def assemble(root_bytes: bytes, segments: Mapping[bytes, bytes]) -> Manifest:
    """The manifest of a root and the plain bytes of its segments, by signature. RemoteProtocolError for anything amiss."""
    root = parse_root(root_bytes)
    files: list[FileEntry] = []
    blocks: list[BlockEntry] = []
    for file_ref in root.file_segments:
        part = canonical.decode(_segment(segments, file_ref), FileSegment, limit_bytes=SEGMENT_MAX_BYTES).files
        if part[0].path != file_ref.first_path:
            raise RemoteProtocolError("a file segment does not begin with the path that the root says")
        _check_sums(len(part), file_ref.files, sum(entry.size for entry in part), file_ref.bytes)
        files += part
    for block_ref in root.block_segments:
        stretch = canonical.decode(_segment(segments, block_ref), BlockSegment, limit_bytes=SEGMENT_MAX_BYTES).blocks
        _check_sums(len(stretch), block_ref.blocks, sum(block.size for block in stretch), block_ref.bytes)
        blocks += stretch
    _check_files(files)
    _check_block_sizes(blocks)
    if content_signature(files) != root.content:
        raise RemoteProtocolError("a manifest's content signature is not that of its files")
    kept = {ref.signature: segments[ref.signature] for ref in root.segment_refs}
    return Manifest(root, root_bytes, kept, tuple(files), tuple(blocks))


def content_signature(files: Sequence[FileEntry]) -> bytes:
    """The signature of what the files are, without their times: path, kind, executable bit, content or target of each."""
    hasher = blake3()
    for entry in files:
        executable = entry.kind == FILE and bool(entry.mode & 0o111)
        hasher.update(canonical.encode((entry.path, entry.kind, executable, entry.blake3, entry.target)))
    return hasher.digest()


def _segment(segments: Mapping[bytes, bytes], ref: FileSegmentRef | BlockSegmentRef) -> bytes:
    data = segments.get(ref.signature)
    if data is None or len(data) != ref.size or signature_of(data) != ref.signature:
        raise RemoteProtocolError(f"segment {ref.signature.hex()[:16]} of a manifest is missing or not what the root says")
    return data


def _check_sums(count: int, claimed_count: int, total: int, claimed_total: int) -> None:
    if count != claimed_count or total != claimed_total:
        raise RemoteProtocolError(
            f"a segment has {count} entries of {total} bytes where the root says {claimed_count} of {claimed_total}"
        )


def _check_block_sizes(blocks: Sequence[BlockEntry]) -> None:
    sizes: dict[bytes, int] = {}
    for block in blocks:
        if sizes.setdefault(block.signature, block.size) != block.size:
            raise RemoteProtocolError(f"block {block.signature.hex()[:16]} has two sizes in one manifest")


def _check_files(files: Sequence[FileEntry]) -> None:
    for entry in files:
        _check_entry(entry)
    for before, after in pairwise(files):
        if before.path.encode() >= after.path.encode():
            raise RemoteProtocolError(f"path {after.path!a} is out of order or there twice")
    _check_clashes(files)
    links = {entry.path: entry.target for entry in files if entry.kind == SYMLINK}
    for path in links:
        _follow(path, links)


def _check_entry(entry: FileEntry) -> None:
    check_path(entry.path)
    hashes = 32 if entry.kind == FILE else 0
    if len(entry.blake3) != hashes or len(entry.sha256) != hashes:
        raise RemoteProtocolError(f"path {entry.path!a} has hashes of the wrong length")
    if entry.kind != FILE and entry.size:
        raise RemoteProtocolError(f"path {entry.path!a} is not a file and has a size")
    if entry.kind == SYMLINK:
        check_link(entry.path, entry.target)
    elif entry.target:
        raise RemoteProtocolError(f"path {entry.path!a} is not a link and has a target")


def _check_clashes(files: Sequence[FileEntry]) -> None:
    """No two paths that differ only in case, and none below something that is not a directory."""
    folded: dict[str, str] = {}
    leaves = {entry.path for entry in files}
    seen: set[str] = set()
    for entry in files:
        parts = entry.path.split("/")
        for depth in range(len(parts), 0, -1):
            path = "/".join(parts[:depth])
            if depth < len(parts) and path in leaves:
                raise RemoteProtocolError(f"path {entry.path!a} lies below {path!a}, which is not a directory with entries")
            if path in seen:
                break
            seen.add(path)
            other = folded.setdefault(unicodedata.normalize("NFC", path.casefold()), path)
            if other != path:
                raise RemoteProtocolError(f"paths {other!a} and {path!a} differ only in case: some systems hold but one")


def _follow(path: str, links: Mapping[str, str]) -> None:
    """Follow a link as a kernel would, through other links of the tree. RemoteProtocolError if it leaves on the way."""
    at = path.split("/")[:-1]
    ahead = deque(links[path].split("/"))
    hops = 0
    while ahead:
        part = ahead.popleft()
        if part in ("", "."):
            continue
        if part == "..":
            if not at:
                raise RemoteProtocolError(f"link {path!a} leads outside the tree, by way of another link")
            at.pop()
            continue
        at.append(part)
        target = links.get("/".join(at))
        if target is not None:
            hops += 1
            if hops > LINK_HOPS_MAX:
                return  # a circle: it leads nowhere, so not outside
            at.pop()
            ahead.extendleft(reversed(target.split("/")))


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
    "build",
    "content_signature",
    "parse_root",
]
