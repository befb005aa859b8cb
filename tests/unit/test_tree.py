"""Blocks out of a directory: verified, never from outside it; and what differs from a version."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swarm.encoding import RAW, open_block
from swarm.errors import AetherError, FullError, NotFoundError
from swarm.manifest import Manifest
from swarm.rooted import OPEN_FILES_MAX, Tree, failure
from swarm.scan import scan
from swarm.scan_cache import ScanCache
from swarm.signature import signature_of
from swarm.tree import TreeStore, verify_tree
from tests.datasets import left_alone, manifest_of, open_below, public_directory, seeded, unprivileged, write_files

FILES = {
    "a/large": seeded("large", 1_500_000),
    "a/large copy": seeded("large", 1_500_000),
    "run/one": b"1" * 100,
    "run/two": b"2" * 30_000,
    "run/zero": b"",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_files(tmp_path / "tree", FILES)
    return tmp_path / "tree"


# ---- the store ------------------------------------------------------------------------------------------------------


def test_every_block_is_there_raw_and_verified(tree: Path) -> None:
    manifest, blocks = manifest_of(FILES)
    store = TreeStore(tree, manifest)
    for block in manifest.unique:
        assert store.has(block.signature)
        encoded = store.get(block.signature)
        assert encoded is not None
        assert encoded[0] == RAW
        assert bytes(open_block(encoded, block.signature, block.size)) == blocks[block.signature]
    assert store.get(signature_of(b"other")) is None
    assert not store.has(signature_of(b"other"))
    store.close()


def block_of(manifest: Manifest, path: str) -> bytes:
    """The signature of the block that a file begins with."""
    index = manifest.find(path)
    assert index is not None
    return manifest.unique[next(iter(manifest.blocks_of(index)))[0]].signature


def replace_by_link(path: Path) -> None:
    """Put a link to the same content, outside, in the path's place."""
    outside = next(above for above in path.parents if above.name == "tree").parent / "outside"
    shutil.move(path, outside)
    path.symlink_to(outside)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"),
        lambda path: os.truncate(path, 99),
        lambda path: path.unlink(),
        replace_by_link,
        replace_by_pipe,
        replace_by_directory,
    ],
)
def test_what_was_altered_is_not_given(tree: Path, damage: Callable[[Path], None]) -> None:
    manifest, _ = manifest_of(FILES)
    store = TreeStore(tree, manifest)
    damage(tree / "run/one")
    assert store.get(block_of(manifest, "run/one")) is None
    assert not store.has(block_of(manifest, "run/one"))
    assert store.get(block_of(manifest, "a/large")) is not None
    store.close()


def until_remembered(store: TreeStore, signature: bytes) -> None:
    """Read a block until its file was left alone for so long that it need not be hashed again."""
    deadline = time.monotonic() + 30
    while not store._verified and time.monotonic() < deadline:
        assert store.get(signature) is not None
    assert store._verified


def rewrite_keeping_times(path: Path) -> None:
    """Other bytes of the same length, with the old mtime: only ctime tells."""
    before = path.stat()
    path.write_bytes(b"!" + path.read_bytes()[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("damage", [rewrite_keeping_times, lambda path: os.truncate(path, 99)])
def test_what_was_altered_after_it_was_verified_is_not_given(tree: Path, damage: Callable[[Path], None]) -> None:
    manifest, _ = manifest_of(FILES)
    store = TreeStore(tree, manifest)
    signature = block_of(manifest, "a/large")
    (tree / "a/large copy").unlink()
    until_remembered(store, signature)
    damage(tree / "a/large")
    assert store.get(signature) is None
    store.close()


def test_what_was_verified_is_not_hashed_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, blocks = manifest_of(FILES)
    store = TreeStore(tree, manifest)
    signature = block_of(manifest, "a/large")
    until_remembered(store, signature)
    monkeypatch.setattr("swarm.tree.signature_of", lambda data: b"")
    assert store.get(signature) == b"\0" + blocks[signature]
    store.close()


def test_what_the_scan_hashed_is_not_hashed_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_alone(tree)
    found = scan(tree)
    manifest, blocks = manifest_of(FILES)
    store = TreeStore(tree, manifest, hashed=found.hashed)
    signature = block_of(manifest, "a/large")
    monkeypatch.setattr("swarm.tree.signature_of", lambda data: b"")
    assert store.get(signature) == b"\0" + blocks[signature]
    store.close()


@pytest.mark.parametrize("damage", [rewrite_keeping_times, lambda path: os.truncate(path, 99), replace_by_link])
def test_what_was_altered_after_the_scan_is_not_given(tree: Path, damage: Callable[[Path], None]) -> None:
    (tree / "a/large copy").unlink()
    write_files(tree, {"a/large copy": b"!" * 100_000})
    left_alone(tree)
    found = scan(tree)
    store = TreeStore(tree, found.manifest, hashed=found.hashed)
    damage(tree / "a/large")
    assert store.get(block_of(found.manifest, "a/large")) is None
    store.close()


def test_what_was_not_read_or_touched_just_before_counts_as_hashed_by_no_scan(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_alone(tree)
    cache = ScanCache()
    assert set(scan(tree, cache=cache).hashed) == {"a/large", "a/large copy"}
    assert scan(tree, cache=cache).hashed == {}
    monkeypatch.setattr("swarm.scan_cache.is_racy", lambda state, read_ns: True)
    assert scan(tree).hashed == {}


def test_a_directory_may_not_be_a_link_to_elsewhere(tree: Path) -> None:
    manifest, _ = manifest_of(FILES)
    replace_by_link(tree / "run")
    assert (tree / "run" / "one").read_bytes() == FILES["run/one"]
    store = TreeStore(tree, manifest)
    assert store.get(block_of(manifest, "run/one")) is None
    store.close()


def test_another_occurrence_will_do(tree: Path) -> None:
    manifest, blocks = manifest_of(FILES)
    store = TreeStore(tree, manifest)
    signature = block_of(manifest, "a/large")
    (tree / "a/large").unlink()
    assert store.get(signature) == b"\0" + blocks[signature]
    (tree / "a/large copy").unlink()
    store.close()
    assert store.get(signature) is None


def test_a_producer_reads_through_the_links_that_it_followed(tmp_path: Path) -> None:
    write_files(tmp_path, {"outside/file": b"o" * 1000, "root/in": b"i"})
    (tmp_path / "root" / "d").symlink_to("../outside")
    found = scan(tmp_path / "root", links="follow")
    signature = block_of(found.manifest, "d/file")
    followed = TreeStore(found.root, found.manifest, follow_links=found.follow_links)
    plain = TreeStore(found.root, found.manifest)
    assert followed.get(signature) == b"\0" + b"o" * 1000 + b"i"
    assert plain.get(signature) is None
    (tmp_path / "outside" / "file").write_bytes(b"secret" + b"o" * 994)
    followed.close()
    assert followed.get(signature) is None
    followed.close()
    plain.close()


def test_open_files_are_few_and_all_closed(tmp_path: Path) -> None:
    files = {f"{number:03}": seeded(str(number), 70_000) for number in range(3 * OPEN_FILES_MAX)}
    write_files(tmp_path, files)
    manifest, _ = manifest_of(files)
    store = TreeStore(tmp_path, manifest)
    for _ in range(2):
        assert all(store.get(block.signature) for block in manifest.unique)
    assert 0 < open_below(tmp_path) <= OPEN_FILES_MAX
    store.close()
    assert open_below(tmp_path) == 0


def test_many_readers_at_once(tmp_path: Path) -> None:
    """More files than may be open, read by threads while they are closed under each other's hands."""
    files = {f"{number:03}": seeded(str(number), 70_000) for number in range(2 * OPEN_FILES_MAX)}
    write_files(tmp_path, files)
    manifest, _ = manifest_of(files)
    store = TreeStore(tmp_path, manifest)
    failures: list[bytes] = []

    def read(step: int) -> None:
        for index in range(5 * len(manifest.unique)):
            block = manifest.unique[index * step % len(manifest.unique)]
            if store.get(block.signature) is None:
                failures.append(block.signature)

    threads = [threading.Thread(target=read, args=(step,)) for step in (1, 3, 5, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store.close()
    assert open_below(tmp_path) == 0


def test_what_cannot_be_read_now_is_not_given_up() -> None:
    with public_directory() as root:
        write_files(root, FILES)
        manifest, _ = manifest_of(FILES)
        store = TreeStore(root, manifest)
        signature = block_of(manifest, "run/one")
        (root / "run/one").chmod(0o000)
        with unprivileged():
            assert store.get(signature) is None
        assert store.has(signature)
        (root / "run/one").chmod(0o644)
        with unprivileged():
            assert store.get(signature) is not None
        store.close()


# ---- one tree -------------------------------------------------------------------------------------------------------


def test_looking_at_paths(tree: Path) -> None:
    (tree / "link").symlink_to("run/one")
    (tree / "d").symlink_to("run")
    rooted = Tree(tree)
    status = rooted.status("run/one")
    assert status is not None
    assert status.st_size == 100
    assert rooted.link("link") == "run/one"
    for path in ("run/one", "missing", "d/one", "run/one/below"):
        assert rooted.link(path) is None
    for path in ("missing", "missing/too", "d/one", "run/one/below", "x" * 300):
        assert rooted.status(path) is None
    assert rooted.hash_of("run/one") == signature_of(FILES["run/one"])
    for path in ("missing", "run", "link", "d/one"):
        assert rooted.hash_of(path) is None
    rooted.close()


def test_failures_are_told_in_a_line() -> None:
    full = failure("cannot write x", OSError(28, "No space left on device"))
    assert isinstance(full, FullError)
    assert str(full) == "cannot write x: No space left on device; free some space, then repeat: what is there is kept"
    for number in (27, 122):
        assert isinstance(failure("cannot write x", OSError(number, "too much")), FullError)
    other = failure("cannot write x", OSError(13, "Permission denied"))
    assert type(other) is AetherError
    assert "Permission denied; " in str(other)


# ---- differences ------------------------------------------------------------------------------------------------


@pytest.fixture
def scanned(tree: Path) -> tuple[Path, Manifest]:
    (tree / "empty").mkdir(mode=0o755)
    (tree / "link").symlink_to("run/one")
    (tree / "line\nbreak").write_bytes(b"")
    return tree, scan(tree).manifest


def test_a_tree_that_is_the_version(scanned: tuple[Path, Manifest]) -> None:
    assert verify_tree(*scanned) == []


def replace_link(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("run/two")


def link_to_file(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").write_bytes(b"")


def directory_to_file(root: Path) -> None:
    (root / "empty").rmdir()
    (root / "empty").write_bytes(b"")


def alter_keeping_times(root: Path) -> None:
    status = (root / "run/one").stat()
    (root / "run/one").write_bytes(b"x" * 100)
    os.utime(root / "run/one", ns=(status.st_mtime_ns, status.st_mtime_ns))


def keep_link_time(root: Path) -> None:
    status = (root / "link").lstat()
    replace_link(root)
    os.utime(root / "link", ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        (alter_keeping_times, ["content: run/one"]),
        (lambda root: os.truncate(root / "run/one", 99), ["content: run/one", "mtime: run/one"]),
        (lambda root: os.chmod(root / "run/one", 0o600), ["mode: run/one is 600, not 644"]),
        (lambda root: os.utime(root / "run/one", ns=(0, 5)), ["mtime: run/one"]),
        (lambda root: (root / "run/one").unlink(), ["missing: run/one"]),
        (lambda root: (root / "line\nbreak").unlink(), ["missing: 'line\\nbreak'"]),
        (lambda root: (root / "new").write_bytes(b""), ["extra: new"]),
        (lambda root: (root / "new\n").write_bytes(b""), ["extra: 'new\\n'"]),
        (lambda root: (root / "run" / "l").symlink_to("/"), ["extra: run/l"]),
        (lambda root: (root / "run" / "d").symlink_to("../a"), ["extra: run/d"]),
        (lambda root: (root / "d" / "e").mkdir(parents=True), ["extra: d/e is an empty directory"]),
        (keep_link_time, ["content: link leads elsewhere"]),
        (link_to_file, ["kind: link is not a link"]),
        (directory_to_file, ["kind: empty is not a directory"]),
        (lambda root: replace_by_pipe(root / "run/one"), ["kind: run/one is not a file"]),
        (lambda root: replace_by_link(root / "run"), ["extra: run", "missing: run/one", "missing: run/two"]),
        (lambda root: os.chmod(root / "empty", 0o700), ["mode: empty is 700, not 755"]),
        (lambda root: (root / ".aetherfs-0123456789ab").mkdir(), []),
    ],
)
def test_each_difference_is_told(
    scanned: tuple[Path, Manifest], change: Callable[[Path], None], differences: list[str]
) -> None:
    root, manifest = scanned
    os.chmod(root / "run/one", 0o644)
    change(root)
    found = verify_tree(root, manifest)
    assert [line for line in found if "zero" not in line] == differences


def test_no_directory_to_verify(tmp_path: Path) -> None:
    manifest, _ = manifest_of(FILES)
    with pytest.raises(NotFoundError, match="there is no directory"):
        verify_tree(tmp_path / "missing", manifest)


def test_an_unreadable_file_is_told() -> None:
    with public_directory() as root:
        write_files(root, {"a": b"a", "d/b": b"b"})
        manifest = scan(root).manifest
        os.chmod(root / "a", 0o000)
        with unprivileged():
            assert verify_tree(root, manifest) == ["mode: a is 0, not 644", "unreadable: a"]
        os.chmod(root / "d", 0o000)
        with unprivileged(), pytest.raises(AetherError, match="Permission denied"):
            verify_tree(root, manifest)
