"""What the two tables of a manifest may hold, entry by entry and all together. RemoteProtocolError is the one refusal.

The file table: hostile paths and links, order, clashes. The block table: one size per signature, cut as the format
says, so that a stranger can claim no more blocks than the bytes give. Memory is linear in the tables; nothing here does
I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from swarm.errors import RemoteProtocolError
from swarm.limits import BLOCK_MIN_BYTES, LARGE_FILE_BYTES
from swarm.paths import check_link, check_links, check_path, fold, shown
from swarm.segments import FILE, SYMLINK, BlockEntry, FileEntry
from swarm.signature import signature_of

_NOTHING: Final = signature_of(b"")


def check_files(files: Sequence[FileEntry]) -> None:
    """Refuse a file table that must not be materialised."""
    check_entries(files)
    _check_clashes(files)
    check_links({entry.path: entry.target for entry in files if entry.kind == SYMLINK})


def check_entries(files: Sequence[FileEntry]) -> None:
    """Refuse a stretch of a file table for what one of its entries is, or for their order."""
    for entry in files:
        _check_entry(entry)
    for before, after in pairwise(files):
        # Strings compare by code points, which is the order of their UTF-8 bytes.
        if before.path >= after.path:
            raise RemoteProtocolError(f"path {shown(after.path)} is out of order or there twice")


def _check_entry(entry: FileEntry) -> None:
    check_path(entry.path)
    hashes = 32 if entry.kind == FILE else 0
    if len(entry.blake3) != hashes or len(entry.sha256) != hashes:
        raise RemoteProtocolError(f"path {shown(entry.path)} has hashes of the wrong length")
    if entry.kind == FILE:
        if entry.size == 0 and entry.blake3 != _NOTHING:
            raise RemoteProtocolError(f"path {shown(entry.path)} is empty and has the hash of something")
    elif entry.size:
        raise RemoteProtocolError(f"path {shown(entry.path)} is not a file and has a size")
    if entry.kind == SYMLINK:
        check_link(entry.path, entry.target)
    elif entry.target:
        raise RemoteProtocolError(f"path {shown(entry.path)} is not a link and has a target")


def _check_clashes(files: Sequence[FileEntry]) -> None:
    """No two paths that some systems hold for one, directories included, and nothing below what is no directory."""
    taken: dict[str, str] = {}
    directories: set[str] = set()

    def take(path: str) -> None:
        other = taken.setdefault(fold(path), path)
        if other != path:
            raise RemoteProtocolError(
                f"paths {shown(other)} and {shown(path)} differ only in case: some systems hold but one"
            )

    for entry in files:
        take(entry.path)
        parent = entry.path.rpartition("/")[0]
        while parent and parent not in directories:
            directories.add(parent)
            take(parent)
            parent = parent.rpartition("/")[0]
    for entry in files:
        if entry.path in directories:
            raise RemoteProtocolError(
                f"path {shown(entry.path)} has others below it and is not a directory with entries"
            )


def check_blocks(files: Sequence[FileEntry], blocks: Sequence[BlockEntry]) -> None:
    """Refuse a block table that is not a cut of these files: large files alone, small ones in runs, only a last block
    short.

    The caller has checked that both tables have the same bytes in all.
    """
    sizes: dict[bytes, int] = {}
    ends = _ends(files)
    reached = 0
    position = 0
    for block in blocks:
        if sizes.setdefault(block.signature, block.size) != block.size:
            raise RemoteProtocolError(f"block {block.signature.hex()[:16]} has two sizes in one manifest")
        position += block.size
        if position > ends[reached]:
            raise RemoteProtocolError(f"block {block.signature.hex()[:16]} reaches over the edge of a large file")
        if position == ends[reached]:
            reached += 1
        elif block.size < BLOCK_MIN_BYTES:
            raise RemoteProtocolError(f"block {block.signature.hex()[:16]} is shorter than a block may be")


def _ends(files: Sequence[FileEntry]) -> list[int]:
    """Where in the stream a block has to end: before and behind each large file, and at the end."""
    ends: list[int] = []
    position = 0
    for entry in files:
        if entry.size >= LARGE_FILE_BYTES:
            if position and (not ends or ends[-1] != position):
                ends.append(position)
            ends.append(position + entry.size)
        position += entry.size
    if not ends or ends[-1] != position:
        ends.append(position)
    return ends
