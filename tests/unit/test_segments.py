"""The tables cut into segments by content: bounds, and what a change moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from swarm import canonical
from swarm.limits import SEGMENT_MAX_BYTES, SEGMENT_MIN_BYTES
from swarm.segments import (
    BLOCK_ENTRY_MIN_BYTES,
    FILE_ENTRY_MIN_BYTES,
    BlockEntry,
    BlockSegment,
    FileEntry,
    FileSegment,
    cut_blocks,
    cut_files,
)
from swarm.signature import signature_of
from tests.datasets import directory_entry, file_entry, link_entry

T = TypeVar("T")

FILES = [file_entry(f"data/{number:06}.bin", b"%d" % number) for number in range(8000)]
BLOCKS = [BlockEntry(signature_of(b"%d" % number), 300_000 + number) for number in range(20_000)]


def file_segments(files: Sequence[FileEntry]) -> list[bytes]:
    return [canonical.encode(FileSegment(1, "files", part)) for part in cut_files(files)]


def block_segments(blocks: Sequence[BlockEntry]) -> list[bytes]:
    return [canonical.encode(BlockSegment(1, "blocks", part)) for part in cut_blocks(blocks)]


def test_segments_are_the_table_in_order() -> None:
    assert [entry for part in cut_files(FILES) for entry in part] == FILES
    assert [entry for part in cut_blocks(BLOCKS) for entry in part] == BLOCKS
    assert list(cut_files([])) == []
    assert list(cut_blocks([])) == []


def test_sizes_are_within_the_bounds() -> None:
    for segments in (file_segments(FILES), block_segments(BLOCKS)):
        assert len(segments) > 3
        assert all(len(data) <= SEGMENT_MAX_BYTES for data in segments)
        assert all(len(data) >= SEGMENT_MIN_BYTES - 200 for data in segments[:-1])
        assert 48 * 1024 < sum(map(len, segments)) / len(segments) < 160 * 1024


def test_what_never_ends_by_content_ends_at_the_maximum() -> None:
    segments = block_segments([BLOCKS[0]] * 20_000)
    assert len(set(segments[:-1])) == 1
    assert SEGMENT_MAX_BYTES - 200 < len(segments[0]) <= SEGMENT_MAX_BYTES


def test_the_largest_entries_fit() -> None:
    path = "/".join(["\u00e9" * 127] * 16)[:2047]
    entries = sorted(
        (link_entry(f"{number:03}{path}"[:2040], "t" * 4096) for number in range(200)), key=lambda e: e.path
    )
    assert all(len(data) <= SEGMENT_MAX_BYTES for data in file_segments(entries))


def test_a_change_moves_the_segment_that_it_is_in() -> None:
    before = set(file_segments(FILES))
    changed = list(FILES)
    changed[4000] = file_entry(FILES[4000].path, b"other")
    assert len(set(file_segments(changed)) - before) == 1


def test_an_insertion_and_a_removal_move_no_more_than_their_neighbourhood() -> None:
    assert most_moved(file_segments, FILES, file_entry("data/new.bin", b"new")) <= 2
    assert most_moved(block_segments, BLOCKS, BlockEntry(signature_of(b"new"), 100_000)) <= 2


def most_moved(cut: Callable[[list[T]], list[bytes]], table: list[T], new: T) -> int:
    """The most segments that one insertion or one removal of three entries makes anew."""
    before = set(cut(table))
    moved = 0
    for at in (10, len(table) // 2, len(table) - 10):
        more: list[T] = [*table[:at], new, *table[at:]]
        fewer: list[T] = [*table[:at], *table[at + 3 :]]
        moved = max(moved, len(set(cut(more)) - before), len(set(cut(fewer)) - before))
    return moved


def test_the_least_that_an_entry_takes() -> None:
    """parse_root refuses counts beyond these."""
    smallest = min(
        len(canonical.encode(entry))
        for entry in (directory_entry("a"), link_entry("a", "b"), FileEntry("a", 1, 0, 0, 0, b"", b"", ""))
    )
    assert smallest == FILE_ENTRY_MIN_BYTES
    assert len(canonical.encode(BlockEntry(bytes(32), 1))) == BLOCK_ENTRY_MIN_BYTES
