"""What one range of a large dataset costs to read from nothing: bytes received, by the dataset's own manifest.

The dataset is not stored: its bytes are made (BLAKE3's output, incompressible), cut as a publish cuts them, hashed and
forgotten; what is left is its manifest, as a publish would make it. A reader's cost is then a sum: the root, the
segments with the file's entry and blocks (with those that it lets come along), the blocks that the range touches, each
with its codec byte. ``tests/integration/test_range_costs.py`` holds the sum against what a reader counts.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any, Final

from blake3 import blake3

from swarm.cut import cut
from swarm.limits import MIB
from swarm.manifest import Manifest, build
from swarm.outline import BlockPart, FilePart, Outline
from swarm.peer.snapshot import AHEAD_SEGMENTS
from swarm.segments import FILE, BlockEntry, FileEntry

FILE_BYTES: Final = 256 * MIB
RANGE_BYTES: Final = MIB
BOUND_BYTES: Final = int(2.5 * MIB)
# Status, length and seal of a block on its way, and its codec byte.
FRAME_BYTES: Final = 1 + 4 + 16 + 16 + 1


def run_ranges(size_bytes: int, ranges: int, seed: int) -> dict[str, Any]:
    """The costs of so many ranges of 1 MiB at random places: the median, the 95th percentile and the most."""
    manifest = virtual_manifest(size_bytes, seed)
    rng = random.Random(seed)
    costs = sorted(cost_of(manifest, *_anywhere(manifest, rng)) for _ in range(ranges))
    return {
        "size_bytes": manifest.total_bytes,
        "blocks": len(manifest.blocks),
        "manifest_bytes": manifest.segment_bytes,
        "ranges": ranges,
        "range_bytes": RANGE_BYTES,
        "p50_bytes": costs[len(costs) // 2],
        "p95_bytes": costs[min(len(costs) - 1, len(costs) * 95 // 100)],
        "most_bytes": costs[-1],
        "bound_bytes": BOUND_BYTES,
    }


def _anywhere(manifest: Manifest, rng: random.Random) -> tuple[int, int, int]:
    """A file, an offset and a length in it."""
    files = manifest.files
    index = rng.choices(range(len(files)), [max(0, entry.size - RANGE_BYTES) for entry in files])[0]
    return index, rng.randrange(files[index].size - RANGE_BYTES + 1), RANGE_BYTES


def cost_of(manifest: Manifest, file: int, offset: int, length: int) -> int:
    """Bytes that a reader receives for a range of a file, who has nothing of the version."""
    outline, path = Outline(manifest.root), manifest.files[file].path
    segment = outline.files_with(path)
    assert segment is not None
    ref = manifest.root.file_segments[segment]
    part = FilePart(ref, manifest.segments[ref.signature])
    begin = outline.start_of_files(segment) + part.starts[part.first(path)] + offset
    needed = set(outline.blocks_with(begin, begin + length))
    first = outline.start_of_files(segment)
    along = outline.blocks_with(first, first + ref.bytes)
    come = needed | (set(along) if len(along) <= AHEAD_SEGMENTS else set())
    blocks: dict[bytes, int] = {}
    for index in needed:
        block_ref = manifest.root.block_segments[index]
        start = outline.start_of_blocks(index)
        stretch = BlockPart(block_ref, manifest.segments[block_ref.signature])
        for span in stretch.spans(max(begin - start, 0), min(begin + length - start, stretch.starts[-1])):
            blocks[span.signature] = span.size
    sizes = [len(manifest.root_bytes), ref.size, *(manifest.root.block_segments[index].size for index in come)]
    return sum(size + FRAME_BYTES for size in [*sizes, *blocks.values()])


def virtual_manifest(size_bytes: int, seed: int) -> Manifest:
    """The manifest of a dataset of so many bytes in files of 256 MiB."""
    files: list[FileEntry] = []
    blocks: list[BlockEntry] = []
    for number in range(-(-size_bytes // FILE_BYTES)):
        data = blake3(f"{seed} {number}".encode()).digest(length=min(FILE_BYTES, size_bytes - number * FILE_BYTES))
        content = blake3(data, max_threads=blake3.AUTO).digest()
        files.append(
            FileEntry(f"data/{number:05}.bin", FILE, len(data), 0o644, 0, content, hashlib.sha256(content).digest(), "")
        )
        blocks += _blocks_of(data)
    return build(files, blocks)


def _blocks_of(data: bytes) -> Iterator[BlockEntry]:
    at = 0
    for length in cut(data):
        yield BlockEntry(blake3(memoryview(data)[at : at + length]).digest(), length)
        at += length
