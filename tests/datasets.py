"""Datasets for tests: bytes from a seed, manifests made in memory, trees on disk and what is in them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from blake3 import blake3

from swarm.cut import cut
from swarm.limits import LARGE_FILE_BYTES
from swarm.manifest import Manifest, build
from swarm.scan_cache import FileState, is_racy
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK, BlockEntry, FileEntry
from swarm.signature import signature_of
from swarm.staging import Staging

MTIME_NS = 1_700_000_000_123_456_789


def seeded(seed: str, size: int) -> bytes:
    """Bytes that look random and are the same on every machine."""
    return blake3(seed.encode()).digest(length=size)


def file_entry(path: str, content: bytes, *, mode: int = 0o644, mtime_ns: int = MTIME_NS) -> FileEntry:
    digest = hashlib.sha256(content).digest()
    return FileEntry(path, FILE, len(content), mode, mtime_ns, signature_of(content), digest, "")


def directory_entry(path: str, *, mode: int = 0o755) -> FileEntry:
    return FileEntry(path, EMPTY_DIRECTORY, 0, mode, MTIME_NS, b"", b"", "")


def link_entry(path: str, target: str) -> FileEntry:
    return FileEntry(path, SYMLINK, 0, 0o777, MTIME_NS, b"", b"", target)


def cut_stream(contents: Sequence[bytes]) -> list[tuple[BlockEntry, bytes]]:
    """The blocks of files in path order, by the rules of DESIGN 3, written down once more."""
    blocks: list[tuple[BlockEntry, bytes]] = []
    run = b""
    for content in [*contents, b"\0" * LARGE_FILE_BYTES]:
        if len(content) < LARGE_FILE_BYTES:
            run += content
            continue
        for stream in (run, content):
            at = 0
            for length in cut(stream):
                plain = stream[at : at + length]
                blocks.append((BlockEntry(signature_of(plain), length), plain))
                at += length
        run = b""
    # The last "file" only ended the last run.
    return blocks[: len(blocks) - len(list(cut(b"\0" * LARGE_FILE_BYTES)))]


def manifest_of(files: Mapping[str, bytes], others: Sequence[FileEntry] = ()) -> tuple[Manifest, dict[bytes, bytes]]:
    """The manifest of these contents by path, and the plain bytes of its blocks by signature."""
    paths = sorted(files)
    blocks = cut_stream([files[path] for path in paths])
    entries = [file_entry(path, files[path]) for path in paths] + list(others)
    manifest = build(sorted(entries, key=lambda entry: entry.path), [entry for entry, _ in blocks])
    return manifest, {entry.signature: plain for entry, plain in blocks}


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a directory, with times long past, so that nothing about them is racy."""
    for path, content in files.items():
        location = root / path
        location.parent.mkdir(parents=True, exist_ok=True)
        location.write_bytes(content)
        os.utime(location, ns=(MTIME_NS, MTIME_NS))


def state_of(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a directory: kind, mode, mtime and content of each leaf and empty directory."""
    state: dict[str, tuple[object, ...]] = {}
    for directory, names, files in os.walk(root):
        links = [name for name in names if (Path(directory) / name).is_symlink()]
        for name in [*files, *links]:
            location = Path(directory) / name
            status = location.lstat()
            path = os.path.relpath(location, root)
            if stat.S_ISLNK(status.st_mode):
                state[path] = ("link", status.st_mtime_ns, os.readlink(location))
            else:
                state[path] = ("file", status.st_mode & 0o777, status.st_mtime_ns, location.read_bytes())
        if not names and not files and Path(directory) != root:
            status = os.stat(directory)
            state[os.path.relpath(directory, root)] = ("directory", status.st_mode & 0o777, status.st_mtime_ns)
    return state


def contents_of(root: Path) -> dict[str, bytes]:
    """The files below a directory, by path."""
    return {path: content for path, (*_, content) in state_of(root).items() if isinstance(content, bytes)}


def open_below(root: Path) -> int:
    """How many files and directories of a tree this process has open; what else it has, others may close meanwhile."""
    found = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(root))
    return found


def write_lacking(staging: Staging, manifest: Manifest, blocks: Mapping[bytes, bytes]) -> list[int]:
    """Write the blocks that are not there yet. Their indices."""
    held = staging.recover()
    lacking = [index for index in range(len(manifest.unique)) if index not in held]
    for index in lacking:
        staging.write(index, blocks[manifest.unique[index].signature])
    return lacking


def pull(
    target: Path,
    manifest: Manifest,
    blocks: Mapping[bytes, bytes],
    previous: Manifest | None = None,
    *,
    force: bool = False,
) -> list[int]:
    """Materialise a version as a pull does, from blocks at hand. The indices of blocks that had to be fetched."""
    staging = Staging(target, manifest)
    try:
        staging.adopt({entry.path: entry for entry in previous.files} if previous else {}, force=force)
        fetched = write_lacking(staging, manifest, blocks)
        staging.finish()
    finally:
        staging.close()
    return fetched


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Run as a user to whom modes mean something: root becomes nobody for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def public_directory() -> Iterator[Path]:
    """A temporary directory that an unprivileged user can reach and write, whatever pytest's own is."""
    path = Path(tempfile.mkdtemp(prefix="aetherfs-test-"))
    path.chmod(0o777)
    try:
        yield path
    finally:
        for directory, names, _files in os.walk(path):
            for name in names:
                if not os.path.islink(os.path.join(directory, name)):
                    os.chmod(os.path.join(directory, name), 0o700)
        shutil.rmtree(path)


def left_alone(root: Path) -> None:
    """Wait until all files were left alone for so long that a later change shows."""
    deadline = time.monotonic() + 30
    files = [path for path in root.rglob("*") if path.is_file()]
    while any(is_racy(FileState.of(path.stat()), time.time_ns()) for path in files):
        assert time.monotonic() < deadline
        time.sleep(0.005)
