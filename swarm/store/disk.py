"""Blocks on disk, bounded in bytes: one file per block, written beside and renamed.

A crash at any moment leaves whole blocks and perhaps a temporary file, which the next opening removes. Nothing is
synced, since every block is verified when it is read: one that rotted, or that a power cut left empty, is removed and
counts as not here.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from swarm.encoding import Encoded, open_block
from swarm.errors import RemoteProtocolError
from swarm.tree import failure

TEMPORARY: Final = ".new-"


class DiskStore:
    """A Store of at most ``max_bytes`` of encoded blocks below ``path``. What was used longest ago goes first."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()
        self.size_bytes = 0
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._load()
        except OSError as error:
            raise failure(f"cannot use {path} for blocks", error) from error

    def _load(self) -> None:
        found: list[tuple[float, bytes, int]] = []
        for directory in self._path.iterdir():
            for file in directory.iterdir() if directory.is_dir() else ():
                signature = _signature_of(file.name)
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
                return None
            self._sizes.move_to_end(signature)
        try:
            encoded = self._file(signature).read_bytes()
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
        path = self._file(signature)
        temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{threading.get_ident()}")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary.write_bytes(encoded)
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise failure(f"cannot keep a block in {self._path}", error) from error
        with self._lock:
            if signature not in self._sizes:
                self._sizes[signature] = len(encoded)
                self.size_bytes += len(encoded)
            self._evict()

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

    def _evict(self) -> None:
        while self.size_bytes > self._max_bytes:
            self._drop(next(iter(self._sizes)))

    def _drop(self, signature: bytes) -> None:
        size = self._sizes.pop(signature, None)
        if size is not None:
            self.size_bytes -= size
            with contextlib.suppress(OSError):
                self._file(signature).unlink()

    def _file(self, signature: bytes) -> Path:
        name = signature.hex()
        return self._path / name[:2] / name


def _signature_of(name: str) -> bytes | None:
    try:
        signature = bytes.fromhex(name)
    except ValueError:
        return None
    return signature if len(signature) == 32 and signature.hex() == name else None
