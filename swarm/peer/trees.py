"""The directories that this home has pulled or published, and the manifests to serve them by.

A directory is registered when it holds a version whole. After a restart it is a source of blocks again: what the user
has altered meanwhile is noticed at the read. Manifests lie as one file each in the home; one that is damaged is absent.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final, Literal

import msgspec

from swarm import canonical
from swarm.errors import RemoteProtocolError
from swarm.home import Home
from swarm.limits import MIB
from swarm.manifest import Manifest, assemble
from swarm.segments import FileEntry

STATE: Final = "trees"
MANIFEST_MAX_BYTES: Final = 2048 * MIB
TREES_MAX: Final = 1024


class TreeRecord(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A directory and the version in it. ``origin``: it was published from here."""

    directory: str
    dataset: str
    version: bytes
    entry: bytes
    origin: bool
    paths: tuple[str, ...]


class _State(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    format: Literal[1]
    trees: tuple[TreeRecord, ...]


class _Kept(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    root: bytes
    segments: dict[bytes, bytes]


class Trees:
    """The registry of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        data = home.read_state(STATE)
        state = canonical.try_decode(data, _State, limit_bytes=MANIFEST_MAX_BYTES) if data else None
        self.records: dict[str, TreeRecord] = {r.directory: r for r in state.trees} if state is not None else {}

    def get(self, directory: Path) -> TreeRecord | None:
        return self.records.get(str(directory))

    def of(self, version: bytes | None) -> list[TreeRecord]:
        """The directories that hold a version, all of them for None."""
        return [record for record in self.records.values() if version in (None, record.version)]

    def add(self, record: TreeRecord, manifest: Manifest) -> None:
        """Register a directory, in place of what was registered for it."""
        self.keep(manifest)
        with self._lock:  # Several pulls may end at once, each in a thread of its own.
            records = {directory: known for directory, known in self.records.items() if directory != record.directory}
            records[record.directory] = record
            while len(records) > TREES_MAX:
                del records[next(iter(records))]
            self.records = records
            self._home.write_state(STATE, canonical.encode(_State(1, tuple(records.values()))))

    def prove(self, dataset: str, version: bytes, entry: bytes) -> None:
        """Another entry shows that the version belongs to the dataset."""
        with self._lock:
            self.records = {
                directory: msgspec.structs.replace(known, entry=entry)
                if (known.dataset, known.version) == (dataset, version)
                else known
                for directory, known in self.records.items()
            }
            self._home.write_state(STATE, canonical.encode(_State(1, tuple(self.records.values()))))

    def let_go(self, dataset: str, version: bytes) -> list[str]:
        """Register the directories with this version no longer, and forget its manifest: which these were."""
        with self._lock:
            found = [d for d, r in self.records.items() if (r.dataset, r.version) == (dataset, version)]
            if found:
                self.records = {d: r for d, r in self.records.items() if d not in found}
                self._home.write_state(STATE, canonical.encode(_State(1, tuple(self.records.values()))))
        self._home.remove_state(self._name(version))
        return found

    def remove(self, directory: Path) -> None:
        """Register a directory no longer, and forget its manifest unless another directory has the version too."""
        with self._lock:
            record = self.records.get(str(directory))
            if record is None:
                return
            self.records = {d: known for d, known in self.records.items() if known is not record}
            self._home.write_state(STATE, canonical.encode(_State(1, tuple(self.records.values()))))
            is_last = all(known.version != record.version for known in self.records.values())
        if is_last:
            self._home.remove_state(self._name(record.version))

    def keep(self, manifest: Manifest) -> None:
        """Keep a manifest for the next time."""
        name = self._name(manifest.version)
        if self._home.read_state(name) is None:
            self._home.write_state(name, canonical.encode(_Kept(manifest.root_bytes, dict(manifest.segments))))

    def manifest(self, version: bytes) -> Manifest | None:
        """A kept manifest, checked like a stranger's."""
        data = self._home.read_state(self._name(version))
        kept = canonical.try_decode(data, _Kept, limit_bytes=MANIFEST_MAX_BYTES) if data else None
        if kept is None:
            return None
        try:
            manifest = assemble(kept.root, kept.segments)
        except RemoteProtocolError:
            return None
        return manifest if manifest.version == version else None

    def previous(self, directory: Path) -> dict[str, FileEntry]:
        """The entries that we put into a directory the last time, by path."""
        record = self.get(directory)
        manifest = self.manifest(record.version) if record is not None and not record.origin else None
        if record is None or manifest is None:
            return {}
        put = set(record.paths)
        return {entry.path: entry for entry in manifest.files if not put or entry.path in put}

    def _name(self, version: bytes) -> str:
        return f"manifests/{version.hex()}"
