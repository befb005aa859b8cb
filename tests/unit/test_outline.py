"""Reading by parts: what an outline says agrees with the whole manifest."""

from __future__ import annotations

import msgspec
import pytest

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.manifest import Manifest
from swarm.outline import BlockPart, FilePart, Outline
from swarm.segments import FILE, FileEntry, FileSegment, FileSegmentRef
from swarm.signature import signature_of
from tests.datasets import directory_entry, link_entry, manifest_of, seeded

NOTHING = signature_of(b"")
FILES = {f"d{n % 7}/f{n:05}": b"%d" % n * (n % 90) for n in range(9000)} | {"large": seeded("large", 3_000_000)}
MANIFEST, BLOCKS = manifest_of(FILES, (directory_entry("empty"), link_entry("link", "d1")))
OUTLINE = Outline(MANIFEST.root)


def file_part(manifest: Manifest, segment: int) -> FilePart:
    ref = manifest.root.file_segments[segment]
    return FilePart(ref, manifest.segments[ref.signature])


def read(begin: int, end: int) -> bytes:
    parts = []
    for segment in OUTLINE.blocks_with(begin, end):
        ref = MANIFEST.root.block_segments[segment]
        part = BlockPart(ref, MANIFEST.segments[ref.signature])
        start = OUTLINE.start_of_blocks(segment)
        for span in part.spans(max(begin - start, 0), min(end - start, part.starts[-1])):
            assert len(BLOCKS[span.signature]) == span.size
            parts.append(BLOCKS[span.signature][span.offset : span.offset + span.length])
    return b"".join(parts)


def test_each_file_is_found_in_the_segment_that_the_root_names_and_its_bytes_where_they_lie() -> None:
    assert len(MANIFEST.root.file_segments) > 2
    for path in [*list(FILES)[:: len(FILES) // 50], "large"]:
        segment = OUTLINE.files_with(path)
        assert segment is not None
        part = file_part(MANIFEST, segment)
        at = part.first(path)
        assert part.files[at].path == path
        begin = OUTLINE.start_of_files(segment) + part.starts[at]
        assert read(begin, begin + part.files[at].size) == FILES[path]


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (1, 70_000), (999_999, 1_500_001), (2_999_999, 1), (5, 0)])
def test_a_range_is_made_of_just_the_blocks_that_it_touches(offset: int, length: int) -> None:
    index = MANIFEST.find("large")
    assert index is not None
    begin = sum(entry.size for entry in MANIFEST.files[:index]) + offset
    assert read(begin, begin + length) == FILES["large"][offset : offset + length]


def test_what_is_not_there_is_looked_for_in_one_segment() -> None:
    for path in ("", "a", "d3/f", "zz"):
        segment = OUTLINE.files_with(path)
        assert segment is not None
        part = file_part(MANIFEST, segment)
        at = part.first(path)
        assert at == len(part.files) or part.files[at].path > path


def test_a_part_of_other_bytes_or_out_of_its_place_is_refused() -> None:
    ref = MANIFEST.root.file_segments[1]
    with pytest.raises(RemoteProtocolError, match="not what the root says"):
        FilePart(ref, MANIFEST.segments[MANIFEST.root.file_segments[0].signature])
    with pytest.raises(RemoteProtocolError, match="begin with the path"):
        FilePart(msgspec.structs.replace(ref, first_path="other"), MANIFEST.segments[ref.signature])
    with pytest.raises(RemoteProtocolError, match="bytes where the root says"):
        FilePart(msgspec.structs.replace(ref, bytes=ref.bytes + 1), MANIFEST.segments[ref.signature])
    with pytest.raises(RemoteProtocolError, match="wrong segment"):
        OUTLINE.check_part(0, file_part(MANIFEST, 1))


def test_a_block_segment_of_other_bytes_is_refused() -> None:
    ref = MANIFEST.root.block_segments[0]
    with pytest.raises(RemoteProtocolError):
        BlockPart(ref, MANIFEST.segments[MANIFEST.root.file_segments[0].signature])
    with pytest.raises(RemoteProtocolError, match="where the root says"):
        BlockPart(msgspec.structs.replace(ref, bytes=1), MANIFEST.segments[ref.signature])


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/./b", "a\0b"])
def test_a_part_with_a_path_that_no_version_may_hold_is_refused(path: str) -> None:
    data = canonical.encode(FileSegment(1, "files", (FileEntry(path, FILE, 0, 0o644, 0, NOTHING, NOTHING, ""),)))
    with pytest.raises(RemoteProtocolError, match="path"):
        FilePart(FileSegmentRef(signature_of(data), len(data), 1, 0, path), data)
