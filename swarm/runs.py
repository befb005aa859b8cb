"""Cutting a run of small files: together, as one stream, with blocks of an earlier cut taken over where they still
hold.

A block is decided by its own bytes and the few behind it. One that is known from an earlier scan is taken over, unread,
when the files from its start on have the same content as those that it was cut from. No I/O of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from swarm.cut import LOOKAHEAD_BYTES, first_cut
from swarm.limits import BLOCK_MAX_BYTES, BLOCK_MIN_BYTES, BLOCK_TARGET_BYTES
from swarm.scan_cache import RunBlock, Span
from swarm.segments import BlockEntry
from swarm.signature import signature_of
from swarm.walk import Found


class Contents(Protocol):
    """Where the content of small files comes from."""

    def digest(self, item: Found) -> bytes:
        """The BLAKE3 of a file's content, from memory or by reading it."""

    def content(self, item: Found) -> tuple[bytes, bytes]:
        """The BLAKE3 of the content, and the content, which has the size that ``item`` says."""

    def release(self, item: Found) -> None:
        """The content will not be asked for again."""

    def made(self, entry: BlockEntry, plain: memoryview) -> None:
        """A block was cut from contents; its bytes are valid during the call."""


def cut_run(
    files: Sequence[Found], known: Mapping[tuple[str, int], RunBlock], contents: Contents
) -> Iterator[RunBlock]:
    """The blocks of a run, in order. ``known`` are those of an earlier scan, by the (path, offset) where they begin."""
    run = [item for item in files if item.state.size]
    # Where nothing is known all has to be read anyway; else no more than may be needed.
    ahead = _Ahead(run, contents, BLOCK_MIN_BYTES if known else BLOCK_TARGET_BYTES)
    at = (0, 0)
    while at[0] < len(run):
        item, offset = run[at[0]], at[1]
        block = known.get((item.path, offset))
        if block is None or not _holds(block, run, at, contents):
            block = ahead.cut(at)
        yield block
        at = _forward(run, at, block.block.size, contents)


def _holds(block: RunBlock, run: Sequence[Found], at: tuple[int, int], contents: Contents) -> bool:
    """Whether the files at this place of the run are what the block was cut from."""
    index, offset = at
    for span in block.spans:
        if index == len(run):
            return False
        # The same content has the same size: with equal hashes so far, this is where the stretch lay.
        if contents.digest(run[index]) != span.blake3:
            return False
        offset += span.length
        if offset == run[index].state.size:
            index, offset = index + 1, 0
    return index == len(run) or not block.is_tail


class _Ahead:
    """What was read of a run beyond the last block. A cut is tried whenever ``step`` more bytes are there."""

    def __init__(self, run: Sequence[Found], contents: Contents, step: int) -> None:
        self._run = run
        self._contents = contents
        self._step = step
        self._at = (0, 0)
        self._next = 0
        self._window = bytearray()
        self._spans: list[Span] = []

    def cut(self, at: tuple[int, int]) -> RunBlock:
        """The block that begins at a place: where the last one ended, or further on."""
        if at != self._at:
            self._at, self._next = at, at[0]
            self._window, self._spans = bytearray(), []
        length, is_tail = self._length()
        with memoryview(self._window)[:length] as plain:
            entry = BlockEntry(signature_of(plain), length)
            self._contents.made(entry, plain)
        decided = _trimmed(self._spans, length + LOOKAHEAD_BYTES)
        self._drop(length)
        return RunBlock(self._run[at[0]].path, at[1], entry, decided, is_tail=is_tail)

    def _length(self) -> tuple[int, bool]:
        """How long the block is, after reading on until that is sure, and whether the run's end decided it."""
        while True:
            is_all = not self._read(len(self._window) + self._step)
            with memoryview(self._window)[:BLOCK_MAX_BYTES] as window:
                length = first_cut(window)
            is_tail = length + LOOKAHEAD_BYTES > len(self._window)
            if is_all or not is_tail:
                return length, is_tail

    def _read(self, length: int) -> bool:
        """Read on until there are so many bytes; whether there are."""
        window, run, content_of, spans = self._window, self._run, self._contents.content, self._spans
        number, end, size = self._next, len(run), len(window)
        while size < length and number < end:
            digest, content = content_of(run[number])
            if number == self._at[0]:
                content = content[self._at[1] :]
            spans.append(Span(len(content), digest))
            window += content
            size += len(content)
            number += 1
        self._next = number
        return size >= length

    def _drop(self, length: int) -> None:
        """Go on behind a block."""
        del self._window[:length]
        index, offset = self._at
        number = 0
        while length:
            span = self._spans[number]
            if span.length > length:
                self._spans[number] = Span(span.length - length, span.blake3)
                offset, length = offset + length, 0
            else:
                index, offset, length = index + 1, 0, length - span.length
                number += 1
        del self._spans[:number]
        self._at = (index, offset)


def _forward(run: Sequence[Found], at: tuple[int, int], length: int, contents: Contents) -> tuple[int, int]:
    """The place so many bytes further on."""
    index, offset = at
    while length:
        step = min(length, run[index].state.size - offset)
        length, offset = length - step, offset + step
        if offset == run[index].state.size:
            contents.release(run[index])
            index, offset = index + 1, 0
    return index, offset


def _trimmed(spans: Sequence[Span], length: int) -> tuple[Span, ...]:
    """The spans that make up the first ``length`` bytes."""
    for number, span in enumerate(spans):
        if span.length >= length:
            return (*spans[:number], Span(length, span.blake3))
        length -= span.length
    return tuple(spans)
