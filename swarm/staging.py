"""The tree that a pull builds: beside its target, resumable, and put in place whole.

Blocks go straight to their places in the staged files and can be served from there. After a crash ``recover`` finds what is
verified by hashing it, so there is no journal that could lie. A target that does not exist yet, or is empty, is made by one
rename; in one that exists, files that already have the version's content stay, changed ones are replaced one by one by
rename, and what the user put there is never overwritten unless told to. Blocking; ``write`` and ``get`` are thread-safe.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from swarm.encoding import encode_raw
from swarm.errors import ConflictError, IntegrityError
from swarm.manifest import Manifest
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK, FileEntry
from swarm.signature import signature_of
from swarm.tree import Tree, failure, occurrences, read_places


def staging_path(target: Path, version: bytes) -> Path:
    """Where the version is staged: on the target's filesystem, hidden, the same at every try."""
    return target.parent / f".{target.name}.aetherfs-{version.hex()[:12]}"


class Staging:
    """A version being built for ``target``. ``kept`` are the files that the target already holds.

    ``include`` says which paths are wanted; the others are left out, as if the version did not have them.
    """

    def __init__(
        self, target: Path, manifest: Manifest, include: Callable[[str], bool] = lambda path: True
    ) -> None:
        self.target = target
        self.manifest = manifest
        self.left_out = {index for index, entry in enumerate(manifest.files) if not include(entry.path)}
        self.directory = staging_path(target, manifest.version)
        self.kept: set[int] = set()
        self._target_tree = Tree(target)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise failure(f"cannot build {target}", error) from error
        self._tree = Tree(self.directory, writable=True)

    # ---- before and during the download -------------------------------------------------------------------------

    def adopt(self, previous: Mapping[str, FileEntry], *, force: bool) -> None:
        """See what the target already holds. ``previous`` are the entries of the version that we put there, if any.

        ConflictError, before anything is changed, for what is the user's and in the way (unless ``force``, for files).
        """
        for index, entry in self._included():
            status = self._target_tree.status(entry.path)
            if status is None:
                self._check_parents(entry.path, previous)
            elif entry.kind == FILE and stat.S_ISREG(status.st_mode) and status.st_size == entry.size:
                if self._target_tree.hash_of(entry.path) == entry.blake3:
                    self.kept.add(index)
                else:
                    self._check_ours(entry, previous, force)
            else:
                self._check_replaceable(entry, status, previous, force)

    def _check_parents(self, path: str, previous: Mapping[str, FileEntry]) -> None:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            status = self._target_tree.status(parent)
            if status is None:
                return
            if not stat.S_ISDIR(status.st_mode) and parent not in previous:
                raise ConflictError(f"{self.target / parent} is in the way of a directory: move it, or pull elsewhere")

    def _check_ours(self, entry: FileEntry, previous: Mapping[str, FileEntry], force: bool) -> None:
        before = previous.get(entry.path)
        if force or (before is not None and before.blake3 == self._target_tree.hash_of(entry.path)):
            return
        raise ConflictError(
            f"{self.target / entry.path} was not put there by a pull, or was altered since: move it, or pull with --force"
        )

    def _check_replaceable(
        self, entry: FileEntry, status: os.stat_result, previous: Mapping[str, FileEntry], force: bool
    ) -> None:
        if stat.S_ISDIR(status.st_mode):
            if entry.kind != EMPTY_DIRECTORY:
                self._check_all_ours(entry.path, previous)
        elif stat.S_ISLNK(status.st_mode):
            before = previous.get(entry.path)
            link = os.readlink(self.target / entry.path)
            known = before is not None and before.target == link
            if not (known or force or (entry.kind == SYMLINK and entry.target == link)):
                raise ConflictError(f"{self.target / entry.path} was not put there by a pull: move it, or pull with --force")
        else:
            self._check_ours(entry, previous, force)

    def _check_all_ours(self, path: str, previous: Mapping[str, FileEntry]) -> None:
        for directory, _names, files in os.walk(self.target / path):
            for name in files:
                inside = os.path.relpath(os.path.join(directory, name), self.target)
                if inside not in previous:
                    raise ConflictError(f"{self.target / inside} is in the way of a file: move it, or pull elsewhere")

    def needs(self, index: int) -> bool:
        """Whether a block has a place in a file that is wanted and not kept."""
        settled = self.kept | self.left_out if self.left_out else self.kept
        return any(place.file_index not in settled for place in self.manifest.places(index))

    def _included(self) -> Iterator[tuple[int, FileEntry]]:
        return ((index, entry) for index, entry in enumerate(self.manifest.files) if index not in self.left_out)

    def recover(self) -> set[int]:
        """The blocks that need not be fetched: all their places are in kept files, or staged and verified."""
        return {index for index in range(len(self.manifest.unique)) if not self.needs(index) or self._is_staged(index)}

    def _is_staged(self, index: int) -> bool:
        signature = self.manifest.unique[index].signature
        size = self.manifest.unique[index].size
        for places in occurrences(self.manifest, index):
            if all(place.file_index in self.left_out for place in places):
                continue
            plain = read_places(places, size, self._file)
            if plain is None or signature_of(plain) != signature:
                return False
        return True

    def write(self, index: int, plain: bytes | memoryview) -> None:
        """Put a verified block in all its places."""
        view = memoryview(plain)
        for place in self.manifest.places(index):
            if place.file_index in self.kept or place.file_index in self.left_out:
                continue
            path = self.manifest.files[place.file_index].path
            try:
                with self._tree.file(path, create=True) as descriptor:
                    part = view[place.block_offset : place.block_offset + place.length]
                    offset = place.file_offset
                    while part:
                        count = os.pwrite(descriptor, part, offset)
                        part, offset = part[count:], offset + count
            except OSError as error:
                raise failure(f"cannot write {self.directory / path}", error) from error

    def get(self, signature: bytes) -> bytes | None:
        """A Store's ``get``, for serving what is staged: verified."""
        index = self.manifest.index_of.get(signature)
        if index is None:
            return None
        for places in occurrences(self.manifest, index):
            plain = read_places(places, self.manifest.unique[index].size, self._file)
            if plain is not None and signature_of(plain) == signature:
                return encode_raw(plain)
        return None

    def has(self, signature: bytes) -> bool:
        return signature in self.manifest.index_of

    def put(self, signature: bytes, encoded: bytes) -> None:
        """Blocks come in by ``write``."""

    def close(self) -> None:
        self._tree.close()
        self._target_tree.close()

    def _file(self, file_index: int) -> contextlib.AbstractContextManager[int]:
        tree = self._target_tree if file_index in self.kept else self._tree
        return tree.file(self.manifest.files[file_index].path)

    # ---- putting it in place ------------------------------------------------------------------------------------

    def finish(self, previous: Collection[str]) -> None:
        """Make the target hold the version. ``previous`` are the paths that we put there before and may remove."""
        self.close()
        try:
            self._complete()
            if self._is_fresh():
                self._set_times(self.directory, [entry for _, entry in self._included()])
                os.chmod(self.directory, 0o755)
                os.rename(self.directory, self.target)
            else:
                self._replace(previous)
                shutil.rmtree(self.directory)
        except OSError as error:
            raise failure(f"cannot put {self.target} in place", error) from error

    def _is_fresh(self) -> bool:
        try:
            with os.scandir(self.target) as entries:
                return next(entries, None) is None
        except FileNotFoundError:
            return True

    def _complete(self) -> None:
        """Make what has no blocks, and remove what a damaged earlier try may have left."""
        expected = {entry.path for index, entry in self._included() if index not in self.kept}
        for directory, _names, files in os.walk(self.directory):
            for name in files:
                path = os.path.join(directory, name)
                if os.path.relpath(path, self.directory) not in expected:
                    os.unlink(path)
        for index, entry in self._included():
            if index in self.kept:
                continue
            location = self.directory / entry.path
            location.parent.mkdir(parents=True, exist_ok=True)
            if entry.kind == EMPTY_DIRECTORY:
                location.mkdir(exist_ok=True)
            elif entry.kind == SYMLINK:
                location.unlink(missing_ok=True)
                location.symlink_to(entry.target)
            else:
                self._complete_file(location, entry)

    def _complete_file(self, location: Path, entry: FileEntry) -> None:
        if entry.size == 0:
            location.write_bytes(b"")
        size = location.stat().st_size
        if size > entry.size:
            os.truncate(location, entry.size)
        elif size < entry.size:
            raise IntegrityError(f"{location} has {size} of {entry.size} bytes: pull again")

    def _set_times(self, root: Path, entries: Collection[FileEntry]) -> None:
        for entry in entries:
            location = root / entry.path
            if entry.kind != SYMLINK:
                os.chmod(location, entry.mode)
            os.utime(location, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)

    def _replace(self, previous: Collection[str]) -> None:
        wanted = {entry.path for _, entry in self._included()}
        for path in sorted(set(previous) - wanted, reverse=True):
            self._remove(path)
        for index, entry in self._included():
            if index in self.kept:
                continue
            location = self.target / entry.path
            location.parent.mkdir(parents=True, exist_ok=True)
            if location.is_dir() and not location.is_symlink():
                if entry.kind == EMPTY_DIRECTORY:
                    continue
                shutil.rmtree(location)
            if entry.kind == EMPTY_DIRECTORY:
                location.mkdir()
            else:
                self._set_times(self.directory, [entry])
                os.replace(self.directory / entry.path, location)
        self._set_times(self.target, [entry for _, entry in self._included()])

    def _remove(self, path: str) -> None:
        """Remove what an earlier version put there, and the directories that this empties."""
        location = self.target / path
        if self._target_tree.status(path) is None:
            return
        if location.is_dir() and not location.is_symlink():
            with contextlib.suppress(OSError):
                location.rmdir()
        else:
            location.unlink()
        for parent in location.parents:
            if parent == self.target:
                break
            try:
                parent.rmdir()
            except OSError:
                break
