"""How much a new version moves: the promise of blocks and segments cut by content, from scan to pull."""

from __future__ import annotations

from pathlib import Path

from swarm.manifest import Manifest
from swarm.scan import scan
from swarm.scan_cache import ScanCache
from tests.datasets import contents_of, cut_stream, pull, seeded, write_files


def moved_bytes(before: Manifest, after: Manifest) -> int:
    """Bytes of blocks, segments and root that a holder of one version lacks for another."""
    blocks = sum(block.size for block in after.unique if block.signature not in before.index_of)
    segments = sum(len(data) for signature, data in after.segments.items() if signature not in before.segments)
    return blocks + segments + len(after.root_bytes)


def blocks_by_signature(files: dict[str, bytes]) -> dict[bytes, bytes]:
    return {entry.signature: plain for entry, plain in cut_stream([files[path] for path in sorted(files)])}


def test_a_changed_span_of_one_percent_moves_three_at_most(tmp_path: Path) -> None:
    """20 MB in files of all sizes: a span of 1% is overwritten at five places."""
    sizes = [200, 3_000, 20_000, 70_000, 150_000]
    files = {f"d{n % 7}/{n:04}": seeded(f"file {n}", sizes[n % len(sizes)] + n) for n in range(415)}
    total = sum(map(len, files.values()))
    assert 19e6 < total < 22e6
    source = tmp_path / "source"
    write_files(source, files)
    cache = ScanCache()
    before = scan(source, cache=cache).manifest
    for turn in range(5):
        changed = overwritten(files, int(total * (0.1 + 0.17 * turn)), seeded(f"span {turn}", total // 100))
        write_files(source, changed)
        after = scan(source, cache=cache).manifest
        assert moved_bytes(before, after) <= 0.03 * total
        assert len(set(after.segments) - set(before.segments)) <= 2
        write_files(source, {path: files[path] for path in changed})


def overwritten(files: dict[str, bytes], at: int, span: bytes) -> dict[str, bytes]:
    """The files that a span over the stream of all files changes."""
    changed: dict[str, bytes] = {}
    start = 0
    for path in sorted(files):
        content = files[path]
        begin, end = max(at, start), min(at + len(span), start + len(content))
        if begin < end:
            part = span[begin - at : end - at]
            changed[path] = content[: begin - start] + part + content[end - start :]
        start += len(content)
    return changed


def test_a_changed_span_of_one_large_file(tmp_path: Path) -> None:
    """64 MB in one file: the blocks at both ends of the span weigh little."""
    content = seeded("one large file", 64_000_000)
    (tmp_path / "f").write_bytes(content)
    before = scan(tmp_path).manifest
    for at in (0, 20_000_000, 41_000_000, 63_360_000):
        span = seeded(f"span at {at}", 640_000)
        (tmp_path / "f").write_bytes(content[:at] + span + content[at + len(span) :])
        assert moved_bytes(before, scan(tmp_path).manifest) <= 0.03 * len(content)


def test_scattered_edits_move_the_blocks_that_they_touch(tmp_path: Path) -> None:
    """A line here and there: the touched blocks, and no more than 2% besides."""
    files = {f"{n:03}": seeded(f"file {n}", 40_000 + 9_000 * n) for n in range(60)}
    write_files(tmp_path / "s", files)
    before = scan(tmp_path / "s").manifest
    touched: set[bytes] = set()
    edited = dict(files)
    for n in (3, 17, 40, 59):
        path, at = f"{n:03}", len(files[f"{n:03}"]) // 2
        edited[path] = files[path][:at] + b"one line\n" + files[path][at:]
        index, _, _ = next(iter(before.blocks_of(before.find(path) or 0, at, 1)))
        touched.add(before.unique[index].signature)
    write_files(tmp_path / "s", edited)
    after = scan(tmp_path / "s").manifest
    of_touched = sum(block.size for block in before.unique if block.signature in touched)
    assert moved_bytes(before, after) <= of_touched + 0.02 * after.total_bytes


def test_only_changed_blocks_are_fetched_and_the_tree_is_the_same(tmp_path: Path) -> None:
    files = {f"d{n % 3}/{n:03}": seeded(f"file {n}", 500 * n) for n in range(300)}
    write_files(tmp_path / "s", files)
    before = scan(tmp_path / "s").manifest
    blocks = blocks_by_signature(files)
    pull(tmp_path / "t", before, blocks)
    edited = files | {"d1/100": b"edited", "d2/290": files["d2/290"] + b"appended", "d9/new": b"new" * 1000}
    del edited["d0/150"]
    write_files(tmp_path / "s", edited)
    (tmp_path / "s" / "d0" / "150").unlink()
    after = scan(tmp_path / "s").manifest
    blocks |= blocks_by_signature(edited)
    fetched = pull(tmp_path / "t", after, blocks, before)
    new = {after.index_of[signature] for signature in after.index_of if signature not in before.index_of}
    assert contents_of(tmp_path / "t") == edited
    assert new <= set(fetched)
    # Blocks that lie partly in changed files come from the old tree in a real pull; here they are fetched.
    assert len(set(fetched) - new) <= 4


def test_times_alone_move_a_segment_and_no_block(tmp_path: Path) -> None:
    files = {f"{n:03}": seeded(f"file {n}", 20_000) for n in range(100)}
    write_files(tmp_path / "s", files)
    before = scan(tmp_path / "s").manifest
    (tmp_path / "s" / "050").touch()
    after = scan(tmp_path / "s").manifest
    assert after.version != before.version
    assert (after.blocks, after.content) == (before.blocks, before.content)
    assert len(set(after.segments) - set(before.segments)) == 1
