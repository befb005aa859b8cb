"""How long blocks are once they are encoded: measured as they are cut, or read for it; remembered, so that nothing is
compressed twice. Blocks are compressed in threads of their own, a bounded number of bytes at a time.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from swarm.encoding import encode_block
from swarm.errors import AetherError, IncompleteError
from swarm.manifest import Manifest
from swarm.paths import shown
from swarm.rooted import Tree
from swarm.segments import BlockEntry
from swarm.signature import SIGNATURE_BYTES, signature_of
from swarm.tree import read_block

THREADS: Final = 2
# Blocks that wait to be compressed.
WAITING_MAX: Final = 16
_ROW: Final = struct.Struct(f">{SIGNATURE_BYTES}sI")
FILE_MAX_BYTES: Final = 512 * 1024 * 1024


class EncodedSizes:
    """Encoded sizes by signature. ``take`` and the like are for one thread; use as a context."""

    def __init__(self, known: dict[bytes, int] | None = None) -> None:
        self._known = known if known is not None else {}
        self._coming: dict[bytes, Future[int]] = {}
        self._room = threading.Semaphore(WAITING_MAX)
        self._threads = ThreadPoolExecutor(THREADS, "encode")

    @classmethod
    def load(cls, path: Path) -> EncodedSizes:
        """Those remembered at a path; none if there are none, or they are damaged."""
        with contextlib.suppress(OSError):
            if path.stat().st_size <= FILE_MAX_BYTES:
                data = path.read_bytes()
                check, body = data[:SIGNATURE_BYTES], memoryview(data)[SIGNATURE_BYTES:]
                if len(body) % _ROW.size == 0 and signature_of(body) == check:
                    return cls(dict(_ROW.iter_unpack(body)))
        return cls()

    def save(self, path: Path, wanted: Collection[bytes] | None = None) -> None:
        """Remember them, or those of ``wanted`` alone. What cannot be written is measured again the next time."""
        self._settle()
        names = self._known if wanted is None else [name for name in wanted if name in self._known]
        body = b"".join(_ROW.pack(name, self._known[name]) for name in names)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.write_bytes(signature_of(body) + body)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def __enter__(self) -> EncodedSizes:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def take(self, block: BlockEntry, plain: memoryview) -> None:
        """Measure a block whose bytes are valid during the call."""
        if block.signature in self._known or block.signature in self._coming:
            return
        self._room.acquire()
        self._coming[block.signature] = self._threads.submit(self._measured, bytes(plain))
        if len(self._coming) > 4096:
            self._settle()

    def _measured(self, plain: bytes) -> int:
        try:
            return len(encode_block(plain))
        finally:
            self._room.release()

    def of(self, signature: bytes) -> int:
        """The encoded size of a block that was measured."""
        coming = self._coming.get(signature)
        return coming.result() if coming is not None else self._known[signature]

    def has(self, signature: bytes) -> bool:
        return signature in self._known or signature in self._coming

    def complete(
        self,
        manifest: Manifest,
        root: Path,
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Measure what was not read when the directory was scanned, as it had not changed; the bytes that were read.

        AetherError when a block is not there any more, IncompleteError when told to stop.
        """
        missing = [index for index, block in enumerate(manifest.unique) if not self.has(block.signature)]
        total = sum(manifest.unique[index].size for index in missing)
        done = 0
        with contextlib.closing(Tree(root, follow_links=True)) as tree:
            for index in missing:
                if should_stop():
                    raise IncompleteError("the analysis was stopped: repeat the command to go on")
                block = manifest.unique[index]
                encoded = read_block(manifest, index, lambda file_index: tree)
                if encoded is None:
                    raise AetherError(f"a file of {shown(str(root))} was changed while it was looked at: repeat")
                self.take(block, memoryview(encoded)[1:])
                done += block.size
                progress(done, total)
        return total

    def _settle(self) -> None:
        for signature, coming in self._coming.items():
            self._known[signature] = coming.result()
        self._coming.clear()
