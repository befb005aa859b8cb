"""The staged tree: resumable, verified, never in the way of a reader, and put in place whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from swarm.beside import staging_path
from swarm.encoding import open_block
from swarm.errors import ConflictError, IncompleteError, LocalProtocolError
from swarm.scan import scan
from swarm.staging import Staging
from swarm.tree import TreeStore, verify_tree
from tests.datasets import (
    contents_of,
    directory_entry,
    link_entry,
    manifest_of,
    public_directory,
    pull,
    seeded,
    state_of,
    unprivileged,
    write_files,
)
from tests.staged import BLOCKS, FILES, MANIFEST, UNIQUE, plain, staging_of
from tests.unit.test_paths import ODD_NAMES

# ---- a fresh target -----------------------------------------------------------------------------------------------


def test_everything_survives(tmp_path: Path) -> None:
    """Modes, times to the nanosecond, links, empty files and directories, and every odd name."""
    source = tmp_path / "source"
    write_files(source, {name: name.encode() for name in ODD_NAMES} | {f"d/{name}/x": b"" for name in ODD_NAMES[:5]})
    write_files(source, {"large": FILES["a/large"], "run": b"#!", "secret": b"", "old": b"", "new": b""})
    (source / "empty \u00e9" / "inner").mkdir(parents=True)
    (source / "l").symlink_to("empty \u00e9/../large")
    (source / "dangling\n").symlink_to("no where")
    for name, mode in (("run", 0o755), ("secret", 0o400), ("old", 0o666), ("empty \u00e9/inner", 0o555)):
        os.chmod(source / name, mode)
    for name, mtime_ns in (
        ("old", -1_000_000_001),
        ("new", 4_000_000_000_999_999_999),
        ("l", 5),
        ("empty \u00e9/inner", 7),
    ):
        os.utime(source / name, ns=(0, mtime_ns), follow_symlinks=False)
    found = scan(source)
    store = TreeStore(found.root, found.manifest)
    blocks: dict[bytes, bytes] = {}
    for block in found.manifest.unique:
        encoded = store.get(block.signature)
        assert encoded is not None
        blocks[block.signature] = bytes(open_block(encoded, block.signature, block.size))
    store.close()
    pull(tmp_path / "target", found.manifest, blocks)
    assert state_of(tmp_path / "target") == state_of(source)
    assert verify_tree(tmp_path / "target", found.manifest) == []
    assert sorted(os.listdir(tmp_path)) == ["source", "target"]


def test_a_reader_sees_nothing_until_all_is_there(tmp_path: Path) -> None:
    target = tmp_path / "new" / "target"
    with staging_of(target) as staging:
        assert staging.recover() == set()
        for index in UNIQUE:
            assert not target.exists()
            staging.write(index, plain(index))
        finished = staging.finish()
    assert (finished.kept, finished.placed, finished.removed) == (0, len(MANIFEST.files), 0)
    assert contents_of(target) == FILES
    assert os.listdir(tmp_path / "new") == ["target"]


def test_an_empty_target_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    os.chmod(tmp_path / "t", 0o2750)
    pull(tmp_path / "t", MANIFEST, BLOCKS)
    assert (tmp_path / "t").stat().st_mode & 0o7777 == 0o2750
    assert contents_of(tmp_path / "t") == FILES


def test_a_new_target_has_the_mode_that_the_user_gives_directories(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        pull(tmp_path / "t", MANIFEST, BLOCKS)
    finally:
        os.umask(before)
    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "t" / "a").stat().st_mode & 0o777 == 0o750


def test_an_empty_dataset(tmp_path: Path) -> None:
    manifest, _ = manifest_of({})
    pull(tmp_path / "t", manifest, {})
    assert list((tmp_path / "t").iterdir()) == []


# ---- mid-download ---------------------------------------------------------------------------------------------------


def test_blocks_are_given_on_as_they_come(tmp_path: Path) -> None:
    with staging_of(tmp_path / "t") as staging:
        staging.recover()
        for index in UNIQUE:
            block = MANIFEST.unique[index]
            assert not staging.has(block.signature)
            assert staging.get(block.signature) is None
            staging.write(index, memoryview(plain(index)))
            assert staging.has(block.signature)
            assert staging.get(block.signature) == b"\0" + plain(index)
        assert not staging.has(b"x" * 32)
        assert staging.get(b"x" * 32) is None
        staging.finish()
        # Whoever asks between the end of the pull and the next Store gets the block from where it is now.
        assert staging.get(MANIFEST.unique[0].signature) == b"\0" + plain(0)


def test_what_was_damaged_on_the_disk_is_not_given_on(tmp_path: Path) -> None:
    with staging_of(tmp_path / "t") as staging:
        for index in UNIQUE:
            staging.write(index, plain(index))
        index = next(i for i in UNIQUE if plain(i)[:4] == FILES["a/large"][:4])
        for name in ("large", "large copy"):
            with open(staging.directory / "a" / name, "r+b") as file:
                file.write(b"!")
        assert staging.get(MANIFEST.unique[index].signature) is None


def test_many_writers_and_readers_at_once(tmp_path: Path) -> None:
    files = {f"{number:03}": seeded(str(number), 70_000) for number in range(200)}
    manifest, blocks = manifest_of(files)
    wrong: list[int] = []
    with staging_of(tmp_path / "t", manifest) as staging:

        def work(start: int) -> None:
            for index in range(start, len(manifest.unique), 4):
                signature = manifest.unique[index].signature
                staging.write(index, blocks[signature])
                if staging.get(signature) != b"\0" + blocks[signature]:
                    wrong.append(index)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        staging.finish()
    assert contents_of(tmp_path / "t") == files


# ---- resuming -------------------------------------------------------------------------------------------------------


def test_every_written_block_is_found_again_and_no_other(tmp_path: Path) -> None:
    written = set(UNIQUE[::2])
    with staging_of(tmp_path / "t") as staging:
        for index in written:
            staging.write(index, plain(index))
    assert not (tmp_path / "t").exists()
    with staging_of(tmp_path / "t") as staging:
        assert staging.recover() == written
        for index in set(UNIQUE) - written:
            staging.write(index, plain(index))
        staging.finish()
    assert contents_of(tmp_path / "t") == FILES


def test_half_written_and_damaged_blocks_are_not_believed(tmp_path: Path) -> None:
    with staging_of(tmp_path / "t") as staging:
        for index in UNIQUE:
            staging.write(index, plain(index))
        directory = staging.directory
    with open(directory / "a" / "large", "r+b") as file:
        file.seek(1_000_000)
        file.write(b"torn")
    with open(directory / "z", "ab") as file:
        file.write(b"and something behind")
    os.truncate(directory / "b" / "two", 30_000)
    damaged = {
        index
        for path, offset in (("a/large", 1_000_000), ("b/two", 40_000))
        for index, _, _ in MANIFEST.blocks_of(MANIFEST.find(path) or 0, offset, 1)
    }
    with staging_of(tmp_path / "t") as staging:
        # The torn block is whole in the copy of the file, and comes back from there.
        torn = next(iter(MANIFEST.blocks_of(MANIFEST.find("a/large") or 0, 1_000_000, 1)))[0]
        assert staging.recover() == set(UNIQUE) - damaged | {torn}
        for index in damaged - {torn}:
            staging.write(index, plain(index))
        staging.finish()
    assert contents_of(tmp_path / "t") == FILES


def test_a_try_that_was_killed_after_setting_modes(tmp_path: Path) -> None:
    """Read-only files and closed directories of an earlier end do not stop a later one."""
    with public_directory() as root:
        manifest, blocks = manifest_of({"d/ro": b"x" * 500, "d/none": b"y"}, [directory_entry("e", mode=0o000)])
        with unprivileged():
            with staging_of(root / "t", manifest) as staging:
                (staging.directory / "d").mkdir()
                (staging.directory / "d" / "ro").write_bytes(b"half")
                (staging.directory / "d" / "ro").chmod(0o400)
                (staging.directory / "d" / "none").touch(0o000)
                (staging.directory / "e").mkdir(0o000)
            pull(root / "t", manifest, blocks)
            assert contents_of(root / "t") == {"d/ro": b"x" * 500, "d/none": b"y"}


def test_the_same_version_again_fetches_nothing(tmp_path: Path) -> None:
    assert pull(tmp_path / "t", MANIFEST, BLOCKS) == list(UNIQUE)
    before = {path: (tmp_path / "t" / path).stat() for path in FILES}
    assert pull(tmp_path / "t", MANIFEST, BLOCKS, MANIFEST) == []
    assert {path: (tmp_path / "t" / path).stat().st_ctime_ns for path in FILES} == {
        path: status.st_ctime_ns for path, status in before.items()
    }


def test_a_renamed_file_is_not_fetched_when_a_copy_stays(tmp_path: Path) -> None:
    """What the tree holds under another name is copied, not fetched."""
    pull(tmp_path / "t", MANIFEST, BLOCKS)
    renamed = {path: content for path, content in FILES.items() if path != "a/large copy"} | {
        "c/moved": FILES["a/large"]
    }
    manifest, blocks = manifest_of(renamed, [directory_entry("e/f", mode=0o700), link_entry("l", "a/large")])
    fetched = pull(tmp_path / "t", manifest, blocks, MANIFEST)
    large = {index for index, _, _ in manifest.blocks_of(manifest.find("c/moved") or 0)}
    assert large.isdisjoint(fetched)
    assert contents_of(tmp_path / "t") == renamed


# ---- choice of files ------------------------------------------------------------------------------------------------


def test_only_what_is_included(tmp_path: Path) -> None:
    wanted = {"b/one", "b/two", "e/f", "a/zeros"}
    staging = Staging(tmp_path / "t", MANIFEST, wanted.__contains__)
    staging.adopt({}, force=False)
    held = staging.recover()
    assert 0 < len(held) < len(UNIQUE)
    for index in set(UNIQUE) - held:
        staging.write(index, plain(index))
    staging.finish()
    assert set(state_of(tmp_path / "t")) == wanted
    assert contents_of(tmp_path / "t") == {path: FILES[path] for path in wanted - {"e/f"}}


def test_a_try_with_a_wider_choice_leaves_nothing_behind(tmp_path: Path) -> None:
    with staging_of(tmp_path / "t") as staging:
        for index in UNIQUE:
            staging.write(index, plain(index))
    staging = Staging(tmp_path / "t", MANIFEST, {"b/one"}.__contains__)
    staging.adopt({}, force=False)
    missing = set(UNIQUE) - staging.recover()
    for index in missing:
        staging.write(index, plain(index))
    staging.finish()
    assert set(state_of(tmp_path / "t")) == {"b/one"}


# ---- the order of things ------------------------------------------------------------------------------------------


def test_an_unfinished_version_is_not_put_in_place(tmp_path: Path) -> None:
    with staging_of(tmp_path / "t") as staging:
        for index in UNIQUE[1:]:
            staging.write(index, plain(index))
        with pytest.raises(IncompleteError, match=r"lacks 1 blocks: pull again"):
            staging.finish()
    assert not (tmp_path / "t").exists()
    unseen = Staging(tmp_path / "t", MANIFEST)
    with pytest.raises(LocalProtocolError):
        unseen.finish()
    unseen.close()


@pytest.mark.parametrize("change", ["kept", "new", "stale"])
def test_a_target_that_changes_meanwhile(tmp_path: Path, change: str) -> None:
    """Between adopt and finish the user alters a file that was kept, makes one that comes, alters one that goes."""
    target = tmp_path / "t"
    first, first_blocks = manifest_of({"kept": b"1", "stale": b"2", "changed": b"3"})
    second, second_blocks = manifest_of({"kept": b"1", "new": b"4", "changed": b"5"})
    pull(target, first, first_blocks)
    staging = Staging(target, second)
    staging.adopt({entry.path: entry for entry in first.files}, force=False)
    staging.recover()
    for index, block in enumerate(second.unique):
        staging.write(index, second_blocks[block.signature])
    (target / change).write_bytes(b"the user's")
    before = state_of(target)
    with pytest.raises(ConflictError, match="was changed while the version came: pull again"):
        staging.finish()
    staging.close()
    assert state_of(target) == before


def test_two_pulls_of_one_version_do_not_mix(tmp_path: Path) -> None:
    with staging_of(tmp_path / "t"):
        with pytest.raises(ConflictError, match="another pull is building"):
            Staging(tmp_path / "t", MANIFEST)
        with staging_of(tmp_path / "other") as other:
            assert other.directory != staging_path(tmp_path / "t", MANIFEST.version)
    with staging_of(tmp_path / "t"):
        assert (tmp_path / f".t.aetherfs-{MANIFEST.version.hex()[:12]}").is_dir()
    assert os.listdir(tmp_path) == []


def test_what_other_versions_left_goes_with_the_next_that_comes(tmp_path: Path) -> None:
    older, older_blocks = manifest_of({"a": b"older"})
    busy, _ = manifest_of({"a": b"busy"})
    with staging_of(tmp_path / "t", older) as staging:
        staging.write(0, older_blocks[older.unique[0].signature])
    (tmp_path / ".other.aetherfs-0123456789ab").mkdir()
    (tmp_path / ".t.aetherfs-notes").mkdir()
    with staging_of(tmp_path / "t", busy) as under_way:
        pull(tmp_path / "t", MANIFEST, BLOCKS)
        assert under_way.directory.is_dir()
        assert sorted(os.listdir(tmp_path)) == sorted(
            [".other.aetherfs-0123456789ab", ".t.aetherfs-notes", "t", under_way.directory.name]
        )
