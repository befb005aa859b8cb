"""The tree that a pull builds: beside its target, resumable, and put in place whole.

Blocks go straight to their places in the staged files and can be served from there. After a crash ``recover`` finds
what is verified by hashing it, so there is no journal that could lie. A target that does not exist yet, or is empty, is
made by one rename; in one that exists, files that already have the version's content stay, changed ones are replaced
one by one by rename, and what the user put there is never overwritten unless told to (``swarm.survey``).

The order of calls is ``adopt``, perhaps ``share``, ``recover``, ``write`` until nothing is missing, ``finish``;
``close`` ends an unfinished one and keeps what came. Blocking; ``write``, ``get`` and ``has`` are thread-safe. Files
are safe from a killed process, and as safe from a power cut as the filesystem's delayed writing makes them: after one,
``verify`` tells.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from swarm.beside import make_and_lock, remove_others, staging_path
from swarm.encoding import Encoded
from swarm.errors import ConflictError, IncompleteError, LocalProtocolError
from swarm.limits import BLOCK_MAX_BYTES
from swarm.manifest import Manifest, Place
from swarm.paths import shown
from swarm.placing import Finished, modes_made, place_fresh, place_in, remove_tree, remove_unexpected
from swarm.rooted import Tree, Way, failure, write_at
from swarm.scan_cache import FileState, ScanCache
from swarm.segments import FileEntry
from swarm.sharing import Origin, Shared, part_links, share
from swarm.signature import signature_of
from swarm.survey import Survey, survey
from swarm.tree import occurrences, read_block, read_places

# What a file has to allow its owner, for its blocks to be served while the rest comes.
OWNER_MODE: Final = 0o600
# What a published file may allow. A mask with less makes files that nobody writes into by mistake.
ALL_MODES: Final = 0o777
READ_ONLY: Final = 0o555
# Room is made at once for a file of several blocks.
ROOM_FROM_BYTES: Final = 4 * BLOCK_MAX_BYTES


class Staging:
    """A version being built for ``target``. Indices are those of ``manifest.files`` and ``manifest.unique``.

    ``include`` says which paths are wanted; the others are ``left_out``, as if the version did not have them. ``kept``
    are files that the target holds already. ``mask`` is what modes are cut to. ConflictError when another pull is
    building the same.
    """

    def __init__(
        self,
        target: Path,
        manifest: Manifest,
        include: Callable[[str], bool] = lambda path: True,
        *,
        mask: int = ALL_MODES,
    ) -> None:
        self.target = Path(os.path.realpath(target))
        self.manifest = manifest
        self._mask = mask
        self.left_out = {index for index, entry in enumerate(manifest.files) if not include(entry.path)}
        self.directory = staging_path(self.target, manifest.version)
        self.kept: set[int] = set()
        self._held: set[int] = set()
        # Whether nothing was staged before; then what is written whole is complete, and needs no look at the end.
        self._is_new = False
        self._modes = 0
        self._complete: set[int] = set()
        self._survey: Survey | None = None
        # Whole files that directories of other versions have too; they are read, and never written.
        self._shared: dict[int, Shared] = {}
        self._shared_tree = Tree(self.directory)
        self._target_tree = Tree(self.target)
        if self.target.exists() and not self.target.is_dir():
            raise ConflictError(f"{shown(str(target))} is not a directory: pull into a directory, or a new one")
        self._lock: int | None = make_and_lock(self.directory, self.target)
        self._tree = Tree(self.directory, writable=True)

    # ---- before and during the download -------------------------------------------------------------------------

    def adopt(self, previous: Mapping[str, FileEntry], *, force: bool, known: ScanCache | None = None) -> None:
        """See what the target already holds. ``previous`` are the entries of the version that we put there, if any,
        ``known`` the files that need not be hashed.

        ConflictError, before anything is changed, for what is the user's and in the way; ``force`` overwrites files.
        """
        self._survey = survey(self._target_tree, self._wanted(), previous, force=force, known=known)
        self.kept = self._survey.kept

    def share(self, origins: Sequence[Origin]) -> None:
        """Take the files that directories of other versions have, without their bytes: see ``swarm.sharing``."""
        missing = {index: entry for index, entry in self._wanted().items() if index not in self.kept}
        try:
            self._shared = share(self.directory, missing, origins, self._mask)
        except OSError as error:
            raise failure(f"cannot build {shown(str(self.directory))}", error) from error

    def _wanted(self) -> dict[int, FileEntry]:
        """The entries to be put in place, with the modes that they get."""
        return {
            index: msgspec.structs.replace(entry, mode=entry.mode & self._mask) if entry.mode & ~self._mask else entry
            for index, entry in enumerate(self.manifest.files)
            if index not in self.left_out
        }

    def needs(self, index: int) -> bool:
        """Whether a block has a place in a file that is neither kept, shared nor left out."""
        return any(self._is_wanted(place.file_index) for place in self.manifest.places(index))

    def _is_wanted(self, file_index: int) -> bool:
        return file_index not in self.kept and file_index not in self.left_out and file_index not in self._shared

    def recover(self) -> set[int]:
        """The blocks that need not be fetched: not needed, staged by an earlier try and verified, or elsewhere in
        the tree.
        """
        held: set[int] = set()
        try:
            self._is_new = not any(self.directory.iterdir())
            if self._is_new:
                self._modes = modes_made(self.directory)
            else:
                files = [entry.path for index, entry in enumerate(self.manifest.files) if self._is_wanted(index)]
                part_links(self._tree, files)
            is_empty = self._is_new and not self.kept
            for index in range(len(self.manifest.unique)):
                if not self.needs(index) or (not is_empty and (self._is_staged(index) or self._copy(index))):
                    held.add(index)
        except OSError as error:
            raise failure(f"cannot read {shown(str(self.directory))}", error) from error
        self._held |= held
        return held

    def _is_staged(self, index: int) -> bool:
        """Whether every occurrence of a block that counts is there."""
        block = self.manifest.unique[index]
        for places in occurrences(self.manifest, index):
            if any(place.file_index in self.left_out for place in places):
                if self.left_out.issuperset(place.file_index for place in places):
                    continue
                return False  # a part of a block cannot be verified
            encoded = read_places(self.manifest, places, block.size, self._tree_of)
            if encoded is None or signature_of(memoryview(encoded)[1:]) != block.signature:
                return False
        return True

    def _copy(self, index: int) -> bool:
        """Put a block in all its places that one of its occurrences holds already."""
        encoded = read_block(self.manifest, index, self._tree_of)
        if encoded is None:
            return False
        self.write(index, memoryview(encoded)[1:])
        return True

    def write(self, index: int, plain: bytes | bytearray | memoryview) -> None:
        """Put a verified block in all its places. FullError when the disk is full."""
        view = memoryview(plain)
        places = [place for place in self.manifest.places(index) if self._is_wanted(place.file_index)]
        files = self.manifest.files
        with self._tree.way(create=True) as way:
            for place in places:
                part = view[place.block_offset : place.block_offset + place.length]
                entry = files[place.file_index]
                try:
                    if len(places) == 1:
                        room_bytes = entry.size if entry.size >= ROOM_FROM_BYTES else 0
                        with self._tree.file(entry.path, create=True, room_bytes=room_bytes) as descriptor:
                            write_at(descriptor, part, place.file_offset)
                    else:
                        self._write_small(way, place, part)
                except OSError as error:
                    raise failure(f"cannot write {shown(str(self.directory / entry.path))}", error) from error
        self._held.add(index)

    def _write_small(self, way: Way, place: Place, part: memoryview) -> None:
        """Write one place of many of a block; a file that comes whole with its mode and times, if nothing has to be
        done to it at the end.
        """
        entry = self.manifest.files[place.file_index]
        mode = entry.mode & self._mask
        is_final = self._is_new and place.length == entry.size and mode & OWNER_MODE == OWNER_MODE
        mode = mode if is_final else OWNER_MODE
        descriptor = self._tree.open_made(way, entry.path, mode)
        try:
            write_at(descriptor, part, place.file_offset)
            if is_final:
                if mode & ~self._modes:
                    os.fchmod(descriptor, mode)
                os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
                self._complete.add(place.file_index)
        finally:
            os.close(descriptor)

    def get(self, signature: bytes) -> Encoded | None:
        """A Store's ``get``, for serving what is staged: raw encoded, verified, None for what is not here whole."""
        index = self.manifest.index_of.get(signature)
        if index is None or index not in self._held:
            return None
        try:
            return read_block(self.manifest, index, self._tree_of)
        except OSError:
            return None  # it may be there and cannot be read now

    def has(self, signature: bytes) -> bool:
        """Whether the block came, or was not needed; only ``get`` knows if it can be read."""
        return self.manifest.index_of.get(signature) in self._held

    def put(self, signature: bytes, encoded: Encoded) -> None:
        """Blocks come in by ``write``."""

    def _tree_of(self, file_index: int) -> Tree:
        if file_index in self._shared:
            return self._shared_tree
        return self._target_tree if file_index in self.kept else self._tree

    # ---- the end ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go. What is staged stays for the next try; an empty directory goes."""
        self._close_trees()
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self.directory.rmdir()
            os.close(self._lock)
            self._lock = None

    def finish(self) -> Finished:
        """Make the target hold the version, and remove what other tries left. Afterwards blocks are read from the
        target.

        IncompleteError when blocks are missing, ConflictError when the target was changed meanwhile: both before
        anything is changed. FullError and AetherError leave what is staged for the next try.
        """
        if self._survey is None:
            raise LocalProtocolError("a tree is finished before its target was looked at")
        missing = len(self.manifest.unique) - len(self._held)
        if missing:
            raise IncompleteError(f"{shown(str(self.target))} lacks {missing} blocks: pull again to go on")
        wanted = self._wanted()
        self._close_trees()
        self._check_shared()
        try:
            if self._is_fresh():
                if not self._is_new:
                    remove_unexpected(self.directory, {entry.path for entry in wanted.values()})
                finished = place_fresh(self.directory, self.target, wanted, self._complete)
            else:
                self._survey.check_still(self._target_tree)
                finished = place_in(self.directory, self._target_tree, wanted, self._survey, self._complete)
                remove_tree(self.directory)
        except OSError as error:
            raise failure(f"cannot put {shown(str(self.target))} in place", error) from error
        self.kept = set(wanted)
        self._shared = {}
        self.close()
        remove_others(self.directory)
        return finished

    def _close_trees(self) -> None:
        for tree in (self._tree, self._shared_tree, self._target_tree):
            tree.close()

    def _check_shared(self) -> None:
        """Shared files are as they were when their content was known. A linked one needs nothing more."""
        with self._shared_tree.way() as way:
            for index, shared in self._shared.items():
                path = self.manifest.files[index].path
                status = self._shared_tree.status(path, way)
                if status is None or FileState.of(status) != shared.state:
                    raise ConflictError(f"{shown(path)} of another version was changed while this one came: pull again")
                if shared.is_linked:
                    self._complete.add(index)

    def _is_fresh(self) -> bool:
        """Whether the whole directory can be put in the target's place."""
        if self.kept or self.directory.parent == self.target:
            return False
        try:
            with os.scandir(self.target) as entries:
                return next(entries, None) is None
        except FileNotFoundError:
            return True
