"""Reading the files of a scan: into reused buffers, hashed and cut on the way, each checked to be what was listed.

A file's BLAKE3 and SHA-256 and the signatures of its blocks come from the same bytes in one pass. ``Changed`` tells
that a file was touched between listing and end of reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Final, Self

from blake3 import blake3

from swarm.cut import first_cut
from swarm.limits import BLOCK_MAX_BYTES, LARGE_FILE_BYTES
from swarm.scan_cache import FileState, Known
from swarm.segments import BlockEntry
from swarm.signature import signature_of
from swarm.walk import Changed, Found, unreadable

BUFFER_BYTES: Final = 4 * BLOCK_MAX_BYTES
# Without O_NONBLOCK, a pipe put in the file's place would hold us up.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
# With O_PATH, where there is one, a directory need not be readable, only passable, as for a path through it.
_DIRECTORY: Final = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)


class Beside:
    """Names of files relative to the directory of the last one, so that the way there is gone once for all in it.

    Links on the way are followed. For one thread; close it.
    """

    def __init__(self) -> None:
        self._head: str | None = None
        self._descriptor = -1

    def to(self, location: str) -> tuple[str, int]:
        """A file's name, and a descriptor of its directory that is valid until the next. OSError as open(2)."""
        head, _, name = location.rpartition("/")
        if head != self._head:
            self.close()
            self._descriptor = os.open(head or "/", _DIRECTORY)
            self._head = head
        return name, self._descriptor

    def close(self) -> None:
        if self._head is not None:
            os.close(self._descriptor)
            self._head = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reading:
    """Reads files one after the other. ``read_bytes`` counts what came off the disk. Close it."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self._beside = Beside()
        self._buffer: memoryview | None = None

    def small(self, item: Found) -> tuple[Known, bytes]:
        """A file of less than LARGE_FILE_BYTES, whole.

        Its state is not looked at here: the scan does, once it has read all. What is known of a file whose state has
        changed by then counts for nothing, as no state comes back.
        """
        read_ns = time.time_ns()
        try:
            name, directory = self._beside.to(item.location)
            descriptor = os.open(name, _FLAGS, dir_fd=directory)
            try:
                content = os.read(descriptor, LARGE_FILE_BYTES)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _failed(item, error) from error
        self.read_bytes += len(content)
        if len(content) != item.state.size:
            raise Changed(item.location)
        return Known(item.state, read_ns, blake3(content).digest(), hashlib.sha256(content).digest(), ()), content

    def close(self) -> None:
        self._beside.close()

    def large(self, item: Found, cut: Callable[[BlockEntry, memoryview], None]) -> Known:
        """A file that is cut alone. ``cut`` is called with each block; its bytes are valid during the call."""
        read_ns = time.time_ns()
        whole, strong = blake3(), hashlib.sha256()
        blocks: list[BlockEntry] = []
        length = 0
        with _opened(item) as descriptor:
            for block in self._blocks(descriptor):
                blocks.append(BlockEntry(signature_of(block), len(block)))
                whole.update(block)
                strong.update(block)
                length += len(block)
                if length > item.size:
                    raise Changed(item.location)
                cut(blocks[-1], block)
            _check_unchanged(item, descriptor, length)
        return Known(item.state, read_ns, whole.digest(), strong.digest(), tuple(blocks))

    def _blocks(self, descriptor: int) -> Iterator[memoryview]:
        """A file block by block, each a view that is valid until the next."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER_BYTES))
        view = self._buffer
        start = end = 0
        at_end = False
        while True:
            if end - start < BLOCK_MAX_BYTES and not at_end:
                view[: end - start] = bytes(view[start:end])
                start, end = 0, end - start
                while end < BUFFER_BYTES and not at_end:
                    count = os.readv(descriptor, [view[end:]])
                    end += count
                    self.read_bytes += count
                    at_end = count == 0
            if start == end:
                return
            length = first_cut(view[start : min(end, start + BLOCK_MAX_BYTES)])
            yield view[start : start + length]
            start += length


@contextlib.contextmanager
def _opened(item: Found) -> Iterator[int]:
    """A descriptor of the file; failures of the filesystem inside the ``with`` become ours."""
    try:
        descriptor = os.open(item.location, _FLAGS)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _failed(item, error) from error


def _failed(item: Found, error: OSError) -> Exception:
    """What a failure of the filesystem is to a scan: a file that went or turned into a directory has changed."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError)):
        return Changed(item.location)
    return unreadable(item.location, error)


def _check_unchanged(item: Found, descriptor: int, length: int) -> None:
    if FileState.of(os.fstat(descriptor)) != item.state or length != item.state.size:
        raise Changed(item.location)
