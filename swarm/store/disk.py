"""Blocks on disk, bounded in bytes: one file per block, written beside and renamed.

A crash at any moment leaves whole blocks and perhaps a temporary file, which the next opening removes. Nothing is
synced, since every block is verified when it is read: one that rotted, or that a power cut left empty, is removed and
counts as not here. With a seal key the files and their names are sealed (``swarm.at_rest``); what is not, or was with
another key, is none of this store's.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from swarm.at_rest import SealKey
from swarm.encoding import Encoded, open_block
from swarm.errors import RemoteProtocolError
from swarm.store.regret import Regret
from swarm.tree import failure

TEMPORARY: Final = ".new-"


class DiskStore:
    """A Store of at most ``max_bytes`` of encoded blocks below ``path``. What was used longest ago goes first."""

    def __init__(self, path: Path, max_bytes: int, seal: SealKey | None = None) -> None:
        self._path = path
        self._seal = seal
        self._max_bytes = max_bytes
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0
        self.hits = self.misses = 0
        self.regret = Regret()
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._load()
        except OSError as error:
            raise failure(f"cannot use {path} for blocks", error) from error

    def _load(self) -> None:
        found: list[tuple[float, bytes, int]] = []
        for directory in self._path.iterdir():
            for file in directory.iterdir() if directory.is_dir() else ():
                signature = signature_in(file.name, self._seal)
                if signature is None or directory.name != file.name[:2]:
                    file.unlink()
                    continue
                status = file.stat()
                found.append((status.st_mtime, signature, status.st_size))
        for _, signature, size in sorted(found):
            self._sizes[signature] = size
            self.size_bytes += size
        self._evict()

    def get(self, signature: bytes) -> Encoded | None:
        with self._lock:
            if signature not in self._sizes:
                self.misses += 1
                return None
            self.hits += 1
            self._sizes.move_to_end(signature)
        try:
            data = self._file(signature).read_bytes()
            encoded = data if self._seal is None else self._seal.open(signature, data)
            open_block(encoded, signature)
        except (OSError, RemoteProtocolError):
            self.remove(signature)
            return None
        return encoded

    def put(self, signature: bytes, encoded: Encoded) -> None:
        """Keep a block, at the cost of those used longest ago. FullError when the disk is full."""
        with self._lock:
            if signature in self._sizes or len(encoded) > self._max_bytes:
                return
        data = encoded if self._seal is None else self._seal.seal(signature, encoded)
        path = self._file(signature)
        temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{threading.get_ident()}")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary.write_bytes(data)
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise failure(f"cannot keep a block in {self._path}", error) from error
        with self._lock:
            if signature not in self._sizes:
                self.regret.came(signature, len(data))
                self._evict(len(data))
                self._sizes[signature] = len(data)
                self.size_bytes += len(data)

    def has(self, signature: bytes) -> bool:
        return signature in self._sizes

    def remove(self, signature: bytes) -> None:
        """Drop a block, if it is here."""
        with self._lock:
            self._drop(signature)

    def close(self) -> None:
        """Nothing is held open."""

    def held(self) -> Iterator[bytes]:
        """The signatures here, used longest ago first."""
        with self._lock:
            return iter(list(self._sizes))

    def __len__(self) -> int:
        return len(self._sizes)

    def _evict(self, coming_bytes: int = 0) -> None:
        """Make room, before what comes is counted: nobody ever sees more than there may be."""
        while self._sizes and self.size_bytes + coming_bytes > self._max_bytes:
            oldest = next(iter(self._sizes))
            self._drop(oldest)
            self.regret.dropped(oldest)

    def _drop(self, signature: bytes) -> None:
        size = self._sizes.pop(signature, None)
        if size is not None:
            self.size_bytes -= size
            with contextlib.suppress(OSError):
                self._file(signature).unlink()

    def _file(self, signature: bytes) -> Path:
        return file_of(self._path, signature, self._seal)


def file_of(folder: Path, signature: bytes, seal: SealKey | None) -> Path:
    """Where a block lies."""
    name = signature.hex() if seal is None else seal.name_of(signature)
    return folder / name[:2] / name


def signature_in(name: str, seal: SealKey | None) -> bytes | None:
    """The signature of the block in a file of this name; None for a name that no block's file has."""
    if seal is not None:
        return seal.signature_of(name)
    try:
        signature = bytes.fromhex(name)
    except ValueError:
        return None
    return signature if len(signature) == 32 and signature.hex() == name else None
