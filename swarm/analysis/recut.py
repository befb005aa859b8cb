"""A version's content cut at several block parameters in one pass, to see what its history would cost at each. Pure.

Files are taken in the order of the version. Everything but the parameter stays as publishing has it: minimum and
maximum are a quarter and four times the parameter, a large file is cut alone, a run of smaller ones together. At the
parameter that is in use the cuts are those of the version itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec
import pyfastcdc

from swarm.analysis.fetch import Fetch, fetch_of
from swarm.errors import IntegrityError
from swarm.limits import BLOCK_TARGET_BYTES, KIB, LARGE_FILE_BYTES
from swarm.manifest import Manifest, laid_out
from swarm.segments import FILE, BlockEntry, FileEntry
from swarm.signature import signature_of

PARAMETERS: Final = tuple(kib * KIB for kib in (64, 128, 256, 512, 1024))
# Minimum and maximum, as the format has them (64 KiB and 1 MiB for 256 KiB).
SPREAD: Final = 4
# What travels with a block besides its bytes: its codec, what seals it, and its share of a request and of the news of
# it to neighbours (``swarm.peer.wire``; 53 bytes are the frame of AES-GCM with its head).
BLOCK_EXTRA_BYTES: Final = 1 + 53 + 8


class Cutter:
    """Blocks of one parameter, of content that is fed in order."""

    def __init__(self, parameter: int) -> None:
        self.parameter = parameter
        self.blocks: list[BlockEntry] = []
        self._min, self._max = parameter // SPREAD, parameter * SPREAD
        self._cutter = pyfastcdc.FastCDC(avg_size=parameter, min_size=self._min, max_size=self._max)
        self._window = bytearray()

    def feed(self, data: bytes | memoryview) -> None:
        """More of a run, or of a large file."""
        self._window += data
        # Two windows at least, so that what is left is moved once for several blocks.
        if len(self._window) >= 2 * self._max:
            self._cut(self._max)

    def end(self) -> None:
        """The run or the file is over: the next begins a block."""
        self._cut(0)

    def _cut(self, least: int) -> None:
        """Cut until no more than ``least`` bytes are left."""
        begin, length = 0, len(self._window)
        with memoryview(self._window) as view:
            while length - begin > least:
                with view[begin : begin + self._max] as window:
                    size = self._first(window)
                    with window[:size] as block:
                        self.blocks.append(BlockEntry(signature_of(block), size))
                begin += size
        del self._window[:begin]

    def _first(self, window: memoryview) -> int:
        if len(window) <= self._min:
            return len(window)
        return int(next(iter(self._cutter.cut_buf(window))).length)


class Recut:
    """One version's content, at all parameters. ``file`` before the content of each file, ``finish`` at the end."""

    def __init__(self, parameters: Sequence[int] = PARAMETERS) -> None:
        self._cutters = [Cutter(parameter) for parameter in parameters]
        self._is_run = False
        self.bytes = 0

    def file(self, size: int) -> None:
        """A file of so many bytes begins."""
        is_large = size >= LARGE_FILE_BYTES
        if is_large or not self._is_run:
            self._end()
        self._is_run = not is_large

    def feed(self, data: bytes | memoryview) -> None:
        """Content of the file, in order."""
        self.bytes += len(data)
        for cutter in self._cutters:
            cutter.feed(data)

    def _end(self) -> None:
        for cutter in self._cutters:
            cutter.end()

    def finish(self, files: Sequence[FileEntry]) -> dict[int, Manifest]:
        """What the manifest would be at each parameter. IntegrityError if other content came than ``files`` say."""
        self._end()
        expected = sum(entry.size for entry in files if entry.kind == FILE)
        if self.bytes != expected:
            raise IntegrityError(f"{self.bytes} bytes came where the version has {expected}: repeat the command")
        return {cutter.parameter: laid_out(files, cutter.blocks) for cutter in self._cutters}


class Move(msgspec.Struct, frozen=True):
    """What who has one version fetches of the next: plain bytes of blocks, how many, and of the manifest."""

    bytes: int
    blocks: int
    manifest_bytes: int

    @property
    def wire_bytes(self) -> int:
        """All that travels to one consumer."""
        return self.bytes + self.manifest_bytes + BLOCK_EXTRA_BYTES * self.blocks


class Step(msgspec.Struct, frozen=True):
    """One parameter: the newest version's blocks, and each move of the history, oldest first.

    ``sizes``: of the blocks that the last move fetches. ``overhead_bytes`` is what travels in a move besides blocks'
    bytes, on average.
    """

    parameter: int
    blocks: int
    moves: tuple[Move, ...]
    sizes: tuple[int, ...]

    @property
    def fetch_bytes(self) -> float:
        return sum(move.bytes for move in self.moves) / len(self.moves)

    @property
    def fetch_blocks(self) -> float:
        return sum(move.blocks for move in self.moves) / len(self.moves)

    @property
    def wire_bytes(self) -> float:
        return sum(move.wire_bytes for move in self.moves) / len(self.moves)

    @property
    def overhead_bytes(self) -> float:
        return self.wire_bytes - self.fetch_bytes


def sweep(history: Sequence[dict[int, Manifest]]) -> list[Step]:
    """The steps for a history of two versions or more, oldest first, each as ``Recut.finish`` gives it."""
    return [_step(parameter, [version[parameter] for version in history]) for parameter in history[-1]]


def _step(parameter: int, versions: Sequence[Manifest]) -> Step:
    fetches = [fetch_of(new, old) for old, new in pairwise(versions)]
    moves = tuple(Move(fetch.bytes, len(fetch.blocks), fetch.manifest_bytes()) for fetch in fetches)
    return Step(parameter, len(versions[-1].unique), moves, sizes_of(fetches[-1]))


def sizes_of(fetch: Fetch) -> tuple[int, ...]:
    """The sizes of the blocks that are fetched, in order."""
    return tuple(fetch.manifest.unique[index].size for index in fetch.blocks)


def is_cut_alike(manifest: Manifest, recut: dict[int, Manifest]) -> bool:
    """Whether the cuts at the parameter in use are the version's own: else it says nothing of others."""
    ours = recut.get(BLOCK_TARGET_BYTES)
    return ours is None or _signatures(ours.unique) == _signatures(manifest.unique)


def _signatures(blocks: Iterable[BlockEntry]) -> list[bytes]:
    return [block.signature for block in blocks]
