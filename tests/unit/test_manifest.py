"""Manifests: built, taken apart, put together again, and asked where blocks lie."""

from __future__ import annotations

import msgpack  # type: ignore[import-untyped, unused-ignore]
import pytest

from swarm.errors import RemoteProtocolError, UsageError
from swarm.limits import BLOCK_MAX_BYTES, LARGE_FILE_BYTES, ROOT_MAX_BYTES
from swarm.manifest import Manifest, assemble, build, content_signature, parse_root
from swarm.segments import FILE, BlockEntry, FileEntry
from swarm.signature import signature_of
from tests.datasets import directory_entry, file_entry, link_entry, manifest_of, seeded

LARGE = seeded("large", 2_000_000)
FILES = {
    "a/empty": b"",
    "a/one": b"1",
    "a/two": b"22" * 20_000,
    "b/large": LARGE,
    "b/large copy": LARGE,
    "c/exactly": seeded("exactly", LARGE_FILE_BYTES),
    "c/just below": seeded("below", LARGE_FILE_BYTES - 1),
    "c/more": seeded("more", 50_000),
    "z/empty": b"",
}
OTHERS = (directory_entry("d/nothing in it"), link_entry("link", "b/large"))
MANIFEST, BLOCKS = manifest_of(FILES, OTHERS)


def read_by_blocks(manifest: Manifest, index: int, offset: int = 0, length: int | None = None) -> bytes:
    parts = manifest.blocks_of(index, offset, length)
    return b"".join(BLOCKS[manifest.unique[unique].signature][at : at + size] for unique, at, size in parts)


def test_assemble_gives_back_what_build_made() -> None:
    again = assemble(MANIFEST.root_bytes, dict(MANIFEST.segments))
    assert (again.files, again.blocks, again.unique) == (MANIFEST.files, MANIFEST.blocks, MANIFEST.unique)
    assert (again.version, again.content) == (MANIFEST.version, MANIFEST.content)
    assert again.version == signature_of(MANIFEST.root_bytes)
    assert again.root == parse_root(MANIFEST.root_bytes)


def test_its_sums_are_those_of_its_files() -> None:
    assert MANIFEST.total_bytes == sum(map(len, FILES.values()))
    assert MANIFEST.file_count == len(FILES)
    assert MANIFEST.segment_bytes == len(MANIFEST.root_bytes) + sum(len(data) for data in MANIFEST.segments.values())
    assert MANIFEST.root.blocks == len(MANIFEST.blocks) > len(MANIFEST.unique)
    assert len(MANIFEST.version) == len(MANIFEST.content) == 32
    assert MANIFEST.version.hex()[:12] in repr(MANIFEST)


def test_unique_blocks_are_in_order_of_first_use() -> None:
    seen = list(dict.fromkeys(block.signature for block in MANIFEST.blocks))
    assert [block.signature for block in MANIFEST.unique] == seen
    assert MANIFEST.index_of == {signature: index for index, signature in enumerate(seen)}


def test_places_cover_every_byte_once() -> None:
    contents = {entry.path: bytearray(entry.size) for entry in MANIFEST.files}
    covered = 0
    for index, block in enumerate(MANIFEST.unique):
        plain = BLOCKS[block.signature]
        for place in MANIFEST.places(index):
            assert place.length > 0
            part = plain[place.block_offset : place.block_offset + place.length]
            contents[MANIFEST.files[place.file_index].path][place.file_offset : place.file_offset + place.length] = part
            covered += place.length
    assert covered == MANIFEST.total_bytes
    assert {path: bytes(content) for path, content in contents.items() if path in FILES} == FILES


def test_ranges_of_files_by_blocks() -> None:
    for path, content in FILES.items():
        index = MANIFEST.find(path)
        assert index is not None
        assert read_by_blocks(MANIFEST, index) == content
        for offset, length in ((0, 1), (1, 5), (len(content) // 2, 1000), (len(content) - 1, 50), (len(content), 5)):
            if offset >= 0:
                assert read_by_blocks(MANIFEST, index, offset, length) == content[offset : offset + length]


def test_finding_by_path() -> None:
    assert [MANIFEST.find(entry.path) for entry in MANIFEST.files] == list(range(len(MANIFEST.files)))
    for path in ("", "a", "a/emptx", "b", "zz", "\U0001f30d"):
        assert MANIFEST.find(path) is None


def test_an_empty_dataset() -> None:
    empty = build([], [])
    assert assemble(empty.root_bytes, {}).version == empty.version
    assert (empty.total_bytes, empty.file_count, list(empty.segments)) == (0, 0, [])


def test_a_repeated_block_is_held_once() -> None:
    """40 GiB of zeros: 40,960 entries of one block, in segments that repeat as well."""
    count = 40_960
    entry = BlockEntry(signature_of(bytes(BLOCK_MAX_BYTES)), BLOCK_MAX_BYTES)
    zeros = FileEntry("zeros", FILE, count * BLOCK_MAX_BYTES, 0o644, 0, bytes(32), bytes(32), "")
    manifest = build([zeros], [entry] * count)
    assert len(manifest.segments) < len(manifest.root.segment_refs)
    assert len(manifest.unique) == 1
    assert len({id(block) for block in manifest.blocks}) < count / 4
    assert sum(1 for _ in manifest.places(0)) == count


def test_the_content_signature_ignores_times_and_most_of_the_mode() -> None:
    entry = file_entry("a", b"", mode=0o644, mtime_ns=5)
    same = file_entry("a", b"", mode=0o600, mtime_ns=-7)
    assert build([entry], []).content == build([same], []).content == content_signature([entry])
    assert build([entry], []).version != build([same], []).version
    others = [
        file_entry("a", b"", mode=0o744),
        file_entry("a", b"y"),
        file_entry("b", b""),
        link_entry("a", "x"),
        link_entry("a", "y"),
        directory_entry("a"),
    ]
    assert len({content_signature([other]) for other in [entry, *others]}) == 7


def test_an_independent_decoder_reads_the_same() -> None:
    root = msgpack.unpackb(MANIFEST.root_bytes)
    assert root[:9] == [
        1,
        65536,
        262144,
        1048576,
        65536,
        len(MANIFEST.files),
        len(MANIFEST.blocks),
        MANIFEST.total_bytes,
        MANIFEST.content,
    ]
    files, blocks = [], []
    for signature, size, count, total, first_path in root[9]:
        segment = msgpack.unpackb(MANIFEST.segments[signature])
        assert (segment[:2], len(segment[2]), segment[2][0][0]) == ([1, "files"], count, first_path)
        assert (len(MANIFEST.segments[signature]), sum(entry[2] for entry in segment[2])) == (size, total)
        files += segment[2]
    for signature, size, count, total in root[10]:
        segment = msgpack.unpackb(MANIFEST.segments[signature])
        assert (segment[:2], len(segment[2])) == ([1, "blocks"], count)
        assert (len(MANIFEST.segments[signature]), sum(entry[1] for entry in segment[2])) == (size, total)
        blocks += segment[2]
    assert files == [[e.path, e.kind, e.size, e.mode, e.mtime_ns, e.blake3, e.sha256, e.target] for e in MANIFEST.files]
    assert blocks == [[block.signature, block.size] for block in MANIFEST.blocks]
    assert msgpack.packb(root, use_bin_type=True) == MANIFEST.root_bytes


def test_offsets_are_nowhere_in_a_segment() -> None:
    """A file more at the front leaves the segments of what follows as they were, but for the one that it is in."""
    size = LARGE_FILE_BYTES
    digests = [signature_of(b"%d" % number) for number in range(20_000)]
    files = [FileEntry(f"{n:06}", FILE, size, 0o644, n, digest, digest, "") for n, digest in enumerate(digests)]
    blocks = [BlockEntry(digest, size) for digest in digests]
    before, after = build(files[1:], blocks[1:]), build(files, blocks)
    assert len(before.segments) > 30
    assert len(set(after.segments) - set(before.segments)) == 2


def test_what_is_unreadable_is_not_built() -> None:
    with pytest.raises(RemoteProtocolError, match="differ only in case"):
        build([file_entry("A", b""), file_entry("a", b"")], [])


def test_what_does_not_fit_a_root_is_not_built() -> None:
    """Every segment begins with a path of 4 KiB: a root holds some 250 of them."""
    path = "/".join(["p" * 250] * 16)
    files = [link_entry(f"{number:06}{path[:4080]}", "t" * 4090) for number in range(9000)]
    with pytest.raises(UsageError, match="publish it as several"):
        build(files, [])
    assert ROOT_MAX_BYTES == 1 << 20
