"""What a pull spends its time on: which phases it had, who was known when, and how long each run waited, received,
hashed and wrote.

Recorded by the shells around the scheduler, which is told nothing of it: a few readings of the clock a block. Bounded:
of many runs and blocks the first and the last are kept, and sums of all by source. Times are seconds since the pull
began; the clock is the caller's. What the figures mean is worked out by ``waterfall``. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Annotated, Final, Literal

import msgspec

# Phases, in the order in which a pull goes through them.
FIND: Final = "find"
MANIFEST: Final = "manifest"
PREPARE: Final = "prepare"
FETCH: Final = "fetch"
FINISH: Final = "finish"

# Of runs and of blocks so many of the first and so many of the last are kept: 200 kB in all.
RUNS_KEPT: Final = 512
BLOCKS_KEPT: Final = 1024
SOURCES_MAX: Final = 256
LOOKS_MAX: Final = 256
WORDS_MAX: Final = 300
# The index of what is no block of files.
MANIFEST_BLOCK: Final = -1

Seconds = float
Count = Annotated[int, msgspec.Meta(ge=0)]
# How a run ended: all of it was answered, it broke off, or it was cancelled.
Ending = Literal["whole", "broken", "cancelled"]


class Phase(msgspec.Struct, array_like=True, frozen=True):
    name: str
    start: Seconds
    end: Seconds


class Look(msgspec.Struct, array_like=True, frozen=True):
    """A tracker was asked, from ``start`` to ``end``. ``problem`` is empty if it answered."""

    start: Seconds
    end: Seconds
    problem: str


class RunSpan(msgspec.Struct, array_like=True, frozen=True):
    """A run asked of ``sources[source]``. The four shares add up to its length: it is read by one thread. ``last`` is
    when its last block was stored, or when it was asked for if none came.
    """

    source: int
    asked: Seconds
    last: Seconds
    ended: Seconds
    wait_s: Seconds
    transfer_s: Seconds
    hash_s: Seconds
    disk_s: Seconds
    blocks: Count
    size_bytes: Count
    refused: Count
    ending: Ending


class BlockSpan(msgspec.Struct, array_like=True, frozen=True):
    """A block, ``index`` in the manifest's order of unique blocks, or MANIFEST_BLOCK."""

    index: int
    source: int
    asked: Seconds
    first_byte: Seconds
    last_byte: Seconds
    verified: Seconds
    stored: Seconds


class Source(msgspec.Struct, array_like=True):
    """A neighbour that has, or fetches, the version. ``origin`` as on the wire: 0 none, 1 a seed, 2 the producer.

    ``left`` is None while it is there. The sums are over all of its runs.
    """

    peer: str
    origin: int
    near: bool
    joined: Seconds
    left: Seconds | None = None
    wait_s: Seconds = 0.0
    transfer_s: Seconds = 0.0
    hash_s: Seconds = 0.0
    disk_s: Seconds = 0.0
    blocks: int = 0
    size_bytes: int = 0
    refused: int = 0
    broken: int = 0


class PullTrace(msgspec.Struct, array_like=True, frozen=True):
    """One pull. ``problem`` is empty if it succeeded. ``limit_bytes_per_s`` is its own download limit, 0 for none;
    ``runs_left_out`` have been counted in the sources' sums alone.
    """

    format: Literal[1]
    ref: str
    dataset: str
    version: bytes
    directory: str
    began_wall: float
    seconds: Seconds
    problem: str
    size_bytes: int
    reused_bytes: int
    limit_bytes_per_s: float
    phases: tuple[Phase, ...]
    looks: tuple[Look, ...]
    sources: tuple[Source, ...]
    runs: tuple[RunSpan, ...]
    blocks: tuple[BlockSpan, ...]
    runs_left_out: int


class RunTrace:
    """One run under way. ``received`` is called in the thread of the run, the rest on the loop."""

    __slots__ = ("_came", "_first", "asked", "refused", "source")

    def __init__(self, source: int, asked: float) -> None:
        self.source = source
        self.asked = asked
        self.refused = 0
        self._first: dict[int, float] = {}
        self._came: list[tuple[int, int, float, float, float]] = []

    def begun(self, index: int, now: float) -> None:
        """The first byte of a block came, or (nothing new) more of it."""
        self._first.setdefault(index, now)

    def received(self, index: int, size: int, last_byte: float, verified: float, stored: float) -> None:
        """A block came, was hashed, and was stored."""
        self._came.append((index, size, last_byte, verified, stored))

    def spans(self, ended: float, ending: Ending) -> tuple[RunSpan, list[BlockSpan]]:
        """The run and its blocks, on the clock that was used."""
        wait_s = transfer_s = hash_s = disk_s = 0.0
        size_bytes, last = 0, self.asked
        blocks: list[BlockSpan] = []
        for index, size, last_byte, verified, stored in self._came:
            first_byte = min(max(last, self._first.get(index, last)), last_byte)
            wait_s += first_byte - last
            transfer_s += last_byte - first_byte
            hash_s += verified - last_byte
            disk_s += stored - verified
            size_bytes += size
            blocks.append(BlockSpan(index, self.source, self.asked, first_byte, last_byte, verified, stored))
            last = stored
        ended = max(ended, last)
        begun = [at for index, at in self._first.items() if at > last]
        if begun:  # a block that did not come to its end
            transfer_s += ended - min(begun)
            wait_s += min(begun) - last
        else:
            wait_s += ended - last
        shares = (wait_s, transfer_s, hash_s, disk_s)
        counts = (len(blocks), size_bytes, self.refused)
        return RunSpan(self.source, self.asked, last, ended, *shares, *counts, ending), blocks


class Recorder:
    """A pull under way. ``began`` is the clock's reading at its start, ``began_wall`` the wall's."""

    def __init__(self, began: float, began_wall: float) -> None:
        self._began = began
        self._began_wall = began_wall
        self._phases: list[Phase] = []
        self._phase: tuple[str, float] | None = None
        self._looks: list[Look] = []
        self._sources: list[Source] = []
        self._number: dict[str, int] = {}
        self._first_runs: list[RunSpan] = []
        self._last_runs: deque[RunSpan] = deque(maxlen=RUNS_KEPT)
        self._first_blocks: list[BlockSpan] = []
        self._last_blocks: deque[BlockSpan] = deque(maxlen=BLOCKS_KEPT)
        self._runs = 0

    def phase(self, name: str, now: float) -> None:
        """Another phase begins, and the one before ends."""
        if self._phase is not None:
            before, start = self._phase
            self._phases.append(Phase(before, start, now))
        self._phase = (name, now)

    def looked(self, start: float, end: float, problem: str = "") -> None:
        """A tracker was asked who holds the version, or what it is."""
        if len(self._looks) < LOOKS_MAX:
            self._looks.append(Look(start, end, problem[:WORDS_MAX]))

    def joined(self, peer: str, origin: int, near: bool, now: float) -> None:
        """A neighbour says that it has something of the version."""
        source = self._sources[self._source(peer, now)]
        source.origin, source.near, source.left = origin, near, None

    def left(self, peer: str, now: float) -> None:
        number = self._number.get(peer)
        if number is not None:
            self._sources[number].left = now

    def run(self, peer: str, now: float) -> RunTrace:
        """A run is asked for."""
        return RunTrace(self._source(peer, now), now)

    def ended(self, run: RunTrace, now: float, ending: Ending) -> None:
        """A run is over."""
        span, blocks = run.spans(now, ending)
        source = self._sources[run.source]
        source.wait_s += span.wait_s
        source.transfer_s += span.transfer_s
        source.hash_s += span.hash_s
        source.disk_s += span.disk_s
        source.blocks += span.blocks
        source.size_bytes += span.size_bytes
        source.refused += span.refused
        source.broken += ending == "broken"
        self._runs += 1
        if len(self._first_runs) < RUNS_KEPT:
            self._first_runs.append(span)
        else:
            self._last_runs.append(span)
        for block in blocks:
            if len(self._first_blocks) < BLOCKS_KEPT:
                self._first_blocks.append(block)
            else:
                self._last_blocks.append(block)

    def _source(self, peer: str, now: float) -> int:
        number = self._number.get(peer)
        if number is None:
            # Those beyond the limit are counted with the last of it.
            number = self._number[peer] = min(len(self._sources), SOURCES_MAX - 1)
            if number == len(self._sources):
                self._sources.append(Source(peer, 0, False, now))
        return number

    def end(
        self,
        now: float,
        *,
        ref: str,
        dataset: str,
        version: bytes,
        directory: str,
        problem: str = "",
        size_bytes: int = 0,
        reused_bytes: int = 0,
        limit_bytes_per_s: float = 0.0,
    ) -> PullTrace:
        """The trace, its times counted from the start of the pull."""
        self.phase("", now)
        self._phase = None
        runs = [*self._first_runs, *self._last_runs]
        return PullTrace(
            format=1,
            ref=ref,
            dataset=dataset,
            version=version,
            directory=directory,
            began_wall=self._began_wall,
            seconds=now - self._began,
            problem=problem[:WORDS_MAX],
            size_bytes=size_bytes,
            reused_bytes=reused_bytes,
            limit_bytes_per_s=limit_bytes_per_s,
            phases=tuple(Phase(p.name, self._at(p.start), self._at(p.end)) for p in self._phases),
            looks=tuple(Look(self._at(look.start), self._at(look.end), look.problem) for look in self._looks),
            sources=tuple(self._told(source) for source in self._sources),
            runs=tuple(self._moved(span) for span in runs),
            blocks=tuple(self._placed(block) for block in [*self._first_blocks, *self._last_blocks]),
            runs_left_out=self._runs - len(runs),
        )

    def _at(self, moment: float) -> float:
        return round(moment - self._began, 6)

    def _told(self, source: Source) -> Source:
        left = None if source.left is None else self._at(source.left)
        return msgspec.structs.replace(source, joined=self._at(source.joined), left=left)

    def _moved(self, span: RunSpan) -> RunSpan:
        at = self._at
        return msgspec.structs.replace(span, asked=at(span.asked), last=at(span.last), ended=at(span.ended))

    def _placed(self, block: BlockSpan) -> BlockSpan:
        at = self._at
        times = (block.asked, block.first_byte, block.last_byte, block.verified, block.stored)
        return BlockSpan(block.index, block.source, *map(at, times))
