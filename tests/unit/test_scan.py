"""Scans: the manifest that the format says, nothing read twice that did not change, nothing torn."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path

import pytest

from swarm.cut import first_cut
from swarm.errors import AetherError, NotFoundError, UsageError
from swarm.limits import BLOCK_MAX_BYTES, LARGE_FILE_BYTES
from swarm.scan import scan
from swarm.scan_cache import COARSE_TICK_NS, ScanCache
from swarm.segments import EMPTY_DIRECTORY, SYMLINK, BlockEntry
from swarm.signature import signature_of
from tests.datasets import MTIME_NS, manifest_of, public_directory, seeded, unprivileged, write_files
from tests.unit.scanned import FILES, TOTAL, same, settle, settled_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return settled_tree(tmp_path / "tree")


def test_the_manifest_is_the_one_of_the_contents(tree: Path) -> None:
    found = scan(tree)
    expected, _ = manifest_of(FILES)
    modes = {path: (tree / path).stat().st_mode & 0o777 for path in FILES}
    assert found.manifest.blocks == expected.blocks
    assert {e.path: (e.blake3, e.sha256, e.size, e.mtime_ns) for e in found.manifest.files} == {
        e.path: (e.blake3, e.sha256, e.size, MTIME_NS) for e in expected.files
    }
    assert {entry.path: entry.mode for entry in found.manifest.files} == modes
    assert (found.root, found.read_bytes, found.follow_links) == (tree, TOTAL, False)


def test_modes_times_links_and_empty_directories(tmp_path: Path) -> None:
    write_files(tmp_path, {"x": b"#!", "old": b"", "new": b""})
    os.chmod(tmp_path / "x", 0o4751)
    os.utime(tmp_path / "old", ns=(0, -1_500_000_001))
    os.utime(tmp_path / "new", ns=(0, 7_000_000_000_000_000_001))
    (tmp_path / "d").mkdir(mode=0o700)
    (tmp_path / "l").symlink_to("x")
    entries = {entry.path: entry for entry in scan(tmp_path).manifest.files}
    assert entries["x"].mode == 0o751
    assert entries["old"].mtime_ns == (tmp_path / "old").stat().st_mtime_ns
    assert entries["new"].mtime_ns == (tmp_path / "new").stat().st_mtime_ns
    assert (entries["d"].kind, entries["d"].mode) == (EMPTY_DIRECTORY, 0o700)
    assert (entries["l"].kind, entries["l"].target, entries["l"].mode) == (SYMLINK, "x", 0o777)
    assert entries["l"].mtime_ns == (tmp_path / "l").lstat().st_mtime_ns


def test_a_single_file_and_an_empty_directory(tmp_path: Path) -> None:
    write_files(tmp_path, {"d/one": b"1"})
    found = scan(tmp_path / "d" / "one")
    assert ([entry.path for entry in found.manifest.files], found.root) == (["one"], tmp_path / "d")
    (tmp_path / "nothing").mkdir()
    assert scan(tmp_path / "nothing").manifest.files == ()


def test_progress_ends_at_the_total(tree: Path) -> None:
    for cache in (None, ScanCache()):
        seen: list[tuple[int, int]] = []
        scan(tree, cache=cache, progress=lambda done, total, seen=seen: seen.append((done, total)))  # type: ignore[misc]
        assert seen[-1] == (TOTAL, TOTAL)
        assert seen == sorted(seen)


# ---- nothing is read twice ----------------------------------------------------------------------------------------


def test_an_unchanged_directory_is_not_read(tree: Path, tmp_path: Path) -> None:
    cache = ScanCache()
    first = scan(tree, cache=cache)
    cache.save(tmp_path / "cache")
    again = scan(tree, cache=ScanCache.load(tmp_path / "cache"))
    assert (first.read_bytes, again.read_bytes) == (TOTAL, 0)
    assert again.manifest.root_bytes == first.manifest.root_bytes


def test_a_changed_small_file_costs_its_neighbourhood(tree: Path) -> None:
    cache = ScanCache()
    scan(tree, cache=cache)
    files = FILES | {"run/050": b"changed" * 300}
    write_files(tree, {"run/050": files["run/050"]})
    settle(tree)
    again = scan(tree, cache=cache)
    assert same(again.manifest, files)
    assert 0 < again.read_bytes < 2 * BLOCK_MAX_BYTES < TOTAL / 2
    assert scan(tree, cache=cache).read_bytes == 0


def test_a_changed_large_file_is_read_alone(tree: Path) -> None:
    cache = ScanCache()
    scan(tree, cache=cache)
    write_files(tree, {"large/b": b"b" * LARGE_FILE_BYTES})
    settle(tree)
    again = scan(tree, cache=cache)
    assert again.read_bytes == LARGE_FILE_BYTES
    assert same(again.manifest, FILES | {"large/b": b"b" * LARGE_FILE_BYTES})


def test_touching_costs_one_reading_and_moves_no_block(tree: Path) -> None:
    cache = ScanCache()
    before = scan(tree, cache=cache).manifest
    os.utime(tree / "run" / "050")
    settle(tree)
    again = scan(tree, cache=cache)
    assert again.read_bytes == len(FILES["run/050"])
    assert (again.manifest.blocks, again.manifest.content) == (before.blocks, before.content)
    assert again.manifest.version != before.version


def test_files_that_come_and_go(tree: Path) -> None:
    cache = ScanCache()
    scan(tree, cache=cache)
    files = dict(FILES)
    for path in ("run/000", "run/100", "run/199", "z", "large/d"):
        del files[path]
        (tree / path).unlink()
    files |= {"run/100a": b"new" * 9, "a first": b"new", "zz last": b"new"}
    write_files(tree, {path: files[path] for path in ("run/100a", "a first", "zz last")})
    settle(tree)
    again = scan(tree, cache=cache)
    assert same(again.manifest, files)
    assert again.read_bytes < TOTAL / 2
    assert set(cache.files) == set(files)


def test_a_run_that_is_cut_short_or_goes_on(tree: Path) -> None:
    """The last block of a run was made by the run's end: it may not be taken over where the run goes on."""
    cache = ScanCache()
    scan(tree, cache=cache)
    for files in (FILES | {"run/zz": b"more"}, FILES, FILES | {"run/100": bytes(LARGE_FILE_BYTES)}, FILES):
        shutil.rmtree(tree)
        write_files(tree, files)
        assert same(scan(tree, cache=cache).manifest, files)


def test_a_change_that_keeps_size_and_mtime_is_seen(tree: Path) -> None:
    cache = ScanCache()
    scan(tree, cache=cache)
    changed = FILES["run/050"][:-1] + b"!"
    write_files(tree, {"run/050": changed})
    assert (tree / "run/050").stat().st_mtime_ns == MTIME_NS
    assert same(scan(tree, cache=cache).manifest, FILES | {"run/050": changed})


def test_what_is_just_written_is_read_again(tmp_path: Path) -> None:
    """A change within the same tick of the clock would leave the same times."""
    write_files(tmp_path, {"a": b"12345"})
    coarse = tmp_path.joinpath("a").stat().st_ctime_ns % 10**9 == 0
    cache = ScanCache()
    scan(tmp_path, cache=cache)
    known = cache.files["a"]
    young = known.read_ns <= known.state.ctime_ns + (COARSE_TICK_NS if coarse else 20_000_000)
    assert scan(tmp_path, cache=cache).read_bytes == (5 if young else 0)


def test_the_byte_behind_a_block_decides_with_it(tmp_path: Path) -> None:
    """A cut that the first byte of the next file made: the block before it is cut anew when that file changes."""
    cut_by, content = next((n, data) for n in range(50) if (data := cut_by_the_byte_behind(n)))
    length = first_cut(content)
    files = {f"{at:07}": content[at : min(at + 50_000, length)] for at in range(0, length, 50_000)}
    files["behind"] = content[length : length + 60_000]
    files |= {f"c{at}": seeded(f"{cut_by} {at}", 60_000) for at in range(20)}
    write_files(tmp_path, files)
    settle(tmp_path)
    cache = ScanCache()
    assert same(scan(tmp_path, cache=cache).manifest, files)
    files["behind"] = bytes([files["behind"][0] ^ 0x55]) + files["behind"][1:]
    write_files(tmp_path, files)
    assert first_cut(content[:length] + files["behind"]) != length
    assert same(scan(tmp_path, cache=cache).manifest, files)


def cut_by_the_byte_behind(seed: int) -> bytes:
    """A stream whose first cut moves when the one byte behind it changes; nothing if this seed's does not."""
    content = seeded(f"behind {seed}", BLOCK_MAX_BYTES)
    length = first_cut(content)
    other = (
        content[:length] + bytes([content[length] ^ 0x55]) + content[length + 1 :] if length < len(content) else content
    )
    return content if first_cut(other) != length else b""


def test_a_file_that_is_renamed_keeps_the_blocks_of_its_run(tree: Path) -> None:
    cache = ScanCache()
    scan(tree, cache=cache)
    (tree / "run" / "050").rename(tree / "run" / "050 renamed")
    settle(tree)
    again = scan(tree, cache=cache)
    assert again.read_bytes == len(FILES["run/050"])
    content = {("run/050 renamed" if path == "run/050" else path): data for path, data in FILES.items()}
    assert same(again.manifest, content)


# ---- refusals and bounds ------------------------------------------------------------------------------------------


def test_what_cannot_be_published(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="check the path"):
        scan(tmp_path / "missing")
    write_files(tmp_path, {"Readme": b"", "README": b""})
    with pytest.raises(UsageError, match=r"cannot publish .*'README' and 'Readme' differ only in case"):
        scan(tmp_path)


def test_an_unreadable_file_is_named() -> None:
    with public_directory() as root:
        write_files(root, {"open": b"", "closed": b"secret", "large": bytes(LARGE_FILE_BYTES)})
        for name in ("closed", "large"):
            (root / name).chmod(0o000)
            with unprivileged(), pytest.raises(AetherError, match=rf"cannot read .*{name}': Permission denied"):
                scan(root)
            (root / name).chmod(0o644)


def test_links_as_asked(tmp_path: Path) -> None:
    write_files(tmp_path, {"outside": b"o", "root/in": b"i"})
    (tmp_path / "root" / "l").symlink_to("../outside")
    with pytest.raises(UsageError, match="--links follow"):
        scan(tmp_path / "root")
    assert same(scan(tmp_path / "root", links="skip").manifest, {"in": b"i"})
    followed = scan(tmp_path / "root", links="follow")
    assert same(followed.manifest, {"in": b"i", "l": b"o"})
    assert followed.follow_links


def test_memory_is_bounded(tmp_path: Path) -> None:
    write_files(tmp_path, {"large": bytes(64 << 20)} | {f"run/{n:04}": bytes(60_000) for n in range(500)})
    tracemalloc.start()
    try:
        scan(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_blocks_of_small_files_are_given_when_they_are_cut(tree: Path) -> None:
    """Each that was cut anew, with its bytes; none that the cache had, none of a file that is cut alone."""
    given: dict[bytes, bytes] = {}

    def made(entry: BlockEntry, plain: memoryview) -> None:
        given[entry.signature] = bytes(plain)

    cache = ScanCache()
    manifest = scan(tree, cache=cache, made=made).manifest
    assert all(signature_of(plain) == signature for signature, plain in given.items())
    alone = {
        manifest.unique[index].signature
        for number, entry in enumerate(manifest.files)
        if entry.size >= LARGE_FILE_BYTES
        for index, _, _ in manifest.blocks_of(number)
    }
    assert set(given) == {block.signature for block in manifest.unique} - alone
    assert given
    given.clear()
    scan(tree, cache=cache, made=made)
    assert given == {}
