"""Cutting a run of small files: together, as one stream, with blocks of an earlier cut taken over where they still
hold.

A block is decided by its own bytes and the few behind it. One that is known from an earlier scan is taken over, unread,
when the files from its start on have the same content as those that it was cut from. No I/O of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from swarm.cut import LOOKAHEAD_BYTES, first_cut
from swarm.limits import BLOCK_MAX_BYTES, BLOCK_MIN_BYTES
from swarm.scan_cache import RunBlock, Span
from swarm.segments import BlockEntry
from swarm.signature import signature_of
from swarm.walk import Found


class Contents(Protocol):
    """Where the content of small files comes from."""

    def digest(self, item: Found) -> bytes:
        """The BLAKE3 of a file's content, from memory or by reading it."""

    def content(self, item: Found) -> bytes:
        """The content, which has the size that ``item`` says."""

    def release(self, item: Found) -> None:
        """The content will not be asked for again."""

    def made(self, entry: BlockEntry, plain: memoryview) -> None:
        """A block was cut from contents; its bytes are valid during the call."""


def cut_run(
    files: Sequence[Found], known: Mapping[tuple[str, int], RunBlock], contents: Contents
) -> Iterator[RunBlock]:
    """The blocks of a run, in order. ``known`` are those of an earlier scan, by the (path, offset) where they begin."""
    run = [item for item in files if item.size]
    at = (0, 0)
    while at[0] < len(run):
        item, offset = run[at[0]], at[1]
        block = known.get((item.path, offset))
        if block is None or not _holds(block, run, at, contents):
            block = _cut_at(run, at, contents)
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
        if offset == run[index].size:
            index, offset = index + 1, 0
    return index == len(run) or not block.is_tail


def _cut_at(run: Sequence[Found], at: tuple[int, int], contents: Contents) -> RunBlock:
    """Read on from a place until a block is sure."""
    index, offset = at
    first = run[index]
    window = bytearray()
    spans: list[Span] = []
    sure = tried = 0
    while not sure and index < len(run):
        item = run[index]
        part = contents.content(item)[offset:]
        spans.append(Span(len(part), contents.digest(item)))
        window += part
        index, offset = index + 1, 0
        if len(window) >= tried + BLOCK_MIN_BYTES:
            tried = len(window)
            length = first_cut(memoryview(window)[:BLOCK_MAX_BYTES])
            sure = length if length + LOOKAHEAD_BYTES <= len(window) else 0
    length = sure or first_cut(memoryview(window)[:BLOCK_MAX_BYTES])
    plain = memoryview(window)[:length]
    entry = BlockEntry(signature_of(plain), length)
    contents.made(entry, plain)
    decided = _trimmed(spans, length + LOOKAHEAD_BYTES)
    return RunBlock(first.path, at[1], entry, decided, is_tail=length + LOOKAHEAD_BYTES > len(window))


def _forward(run: Sequence[Found], at: tuple[int, int], length: int, contents: Contents) -> tuple[int, int]:
    """The place so many bytes further on."""
    index, offset = at
    while length:
        step = min(length, run[index].size - offset)
        length, offset = length - step, offset + step
        if offset == run[index].size:
            contents.release(run[index])
            index, offset = index + 1, 0
    return index, offset


def _trimmed(spans: Sequence[Span], length: int) -> tuple[Span, ...]:
    """The spans that make up the first ``length`` bytes."""
    kept: list[Span] = []
    for span in spans:
        if length <= 0:
            break
        kept.append(Span(min(span.length, length), span.blake3))
        length -= span.length
    return tuple(kept)
