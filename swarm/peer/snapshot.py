"""A version open for reading: any range of any file, on demand, through the tiers; and what its directories list.

Only what a read needs is fetched: the root, the segments with the file's entry and blocks, the blocks. Nothing holds a
file: a reader has a window of blocks ahead of it, which grows while it goes on. A snapshot never changes: whoever reads
a tag opens one and reads all of it there, wherever the tag moves meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from swarm.errors import NotFoundError, UsageError
from swarm.limits import LINK_HOPS_MAX, LINK_STEPS_MAX
from swarm.outline import FilePart, Outline, Span
from swarm.paths import shown
from swarm.peer.ahead import Share
from swarm.peer.asking import Bringer, Wanted
from swarm.peer.find import Resolved
from swarm.segments import EMPTY_DIRECTORY, FILE, SYMLINK, FileEntry
from swarm.tables import check_files

if TYPE_CHECKING:
    from swarm.outline import BlockPart
    from swarm.peer.snapshots import Snapshots

# Segments of blocks that are fetched with that of a file's entry, though only one may be needed: about 100 KB each.
AHEAD_SEGMENTS: Final = 2


@dataclass(frozen=True, slots=True)
class File:
    """An entry, and where its content begins in the version's bytes."""

    entry: FileEntry
    start: int


@dataclass(frozen=True, slots=True)
class Item:
    """What a directory lists: a directory has no entry unless it is empty."""

    name: str
    entry: FileEntry | None

    @property
    def is_directory(self) -> bool:
        return self.entry is None or self.entry.kind == EMPTY_DIRECTORY

    @property
    def cursor(self) -> str:
        """Where a listing goes on."""
        return f"{self.name}/" if self.entry is None else self.name


def _behind(prefix: str, cursor: str) -> tuple[str, str]:
    """The path from which on entries come behind a cursor, and the one that was passed."""
    if cursor.endswith("/"):
        # "0" is the character after "/": from there on nothing lies below that directory.
        return f"{prefix}{cursor[:-1]}0", ""
    return f"{prefix}{cursor}", f"{prefix}{cursor}"


class Snapshot:
    """One version, open. ``Snapshots.open`` makes it. ``resolved`` says by which reference it was opened."""

    def __init__(self, snapshots: Snapshots, resolved: Resolved, outline: Outline, bringer: Bringer) -> None:
        self.resolved = resolved
        self._snapshots = snapshots
        self._outline = outline
        self._bringer = bringer

    @property
    def dataset(self) -> str:
        return self.resolved.dataset

    @property
    def version(self) -> bytes:
        return self.resolved.version

    @property
    def outline(self) -> Outline:
        return self._outline

    # ---- entries ----------------------------------------------------------------------------------------------------

    async def find(self, path: str) -> File | None:
        """The entry of exactly this path, None for none: a directory with entries has none."""
        segment = self._outline.files_with(path)
        if segment is None:
            return None
        self._look_ahead(segment)
        part = await self._files(segment)
        at = part.first(path)
        if at < len(part.files) and part.files[at].path == path:
            return self._file(segment, part, at)
        return None

    async def follow(self, path: str) -> str:
        """The path with every link in it followed, as a kernel would: it stays in the version. NotFoundError for a
        link that leads nowhere.
        """
        at: list[str] = []
        ahead = deque(path.split("/")) if path else deque[str]()
        hops = steps = 0
        while ahead:
            part = ahead.popleft()
            steps += 1
            if part == "..":
                if not at:
                    raise NotFoundError(f"{shown(path)} leads outside the version: see `aetherfs ls`")
                at.pop()
            elif part not in ("", "."):
                at.append(part)
                entry = await self._link("/".join(at))
                if entry is not None:
                    hops += 1
                    at.pop()
                    ahead.extendleft(reversed(entry.target.split("/")))
            if hops > LINK_HOPS_MAX or steps > LINK_STEPS_MAX:
                raise NotFoundError(f"{shown(path)} leads round in links: see `aetherfs ls`")
        return "/".join(at)

    async def _link(self, path: str) -> FileEntry | None:
        found = await self.find(path)
        return found.entry if found is not None and found.entry.kind == SYMLINK else None

    async def look(self, path: str) -> File | None:
        """What a path leads to, by way of links: a file or an empty directory; None for a directory with entries.
        NotFoundError when there is no such thing.
        """
        found = await self.find(path) if path else None
        if found is None or found.entry.kind == SYMLINK:
            path = await self.follow(path)
            found = await self.find(path) if path else None
        if found is None and path and not await self.is_directory(path):
            raise NotFoundError(f"{shown(path)} is not in this version of {self.dataset}")
        return found

    async def is_directory(self, path: str) -> bool:
        """Whether anything lies below a path (which is no link)."""
        async for _ in self.walk(path, limit=1):
            return True
        found = await self.find(path) if path else None
        return not path or (found is not None and found.entry.kind == EMPTY_DIRECTORY)

    async def walk(self, directory: str = "", *, after: str = "", limit: int | None = None) -> AsyncIterator[File]:
        """The entries below a directory, in path order, those after a path, at most so many."""
        prefix = f"{directory}/" if directory else ""
        begin = max(prefix, after)
        segment = self._outline.files_with(begin)
        count = 0
        while segment is not None and segment < len(self._outline.root.file_segments):
            part = await self._files(segment)
            for index in range(part.first(begin), len(part.files)):
                path = part.files[index].path
                if not path.startswith(prefix) or count == limit:
                    return
                if path == after:
                    continue
                count += 1
                yield self._file(segment, part, index)
            segment += 1

    async def check(self) -> None:
        """Refuse a version that must not be put on a disk: whole, for what no part shows. RemoteProtocolError.

        For who lets others follow its links or unpack it; whoever reads here need not.
        """
        if not self._snapshots.is_checked(self.version):
            await asyncio.to_thread(check_files, [file.entry async for file in self.walk()])
            self._snapshots.checked(self.version)

    async def names(self, directory: str, *, after: str = "", limit: int) -> list[Item]:
        """What lies in a directory (whose path has no links), at most so many, directories once; in the order of paths,
        in which a directory comes where its slash does. ``after`` is an ``Item.cursor``.

        Of what lies below a directory in it at most the first and last segment are read.
        """
        prefix = f"{directory}/" if directory else ""
        begin, passed = _behind(prefix, after)
        items: list[Item] = []
        while len(items) < limit and (found := await self._first(begin, passed)) is not None:
            if not found.path.startswith(prefix):
                break
            name, slash, _ = found.path[len(prefix) :].partition("/")
            items.append(Item(name, None if slash else found))
            begin, passed = _behind(prefix, items[-1].cursor)
        return items

    async def _first(self, begin: str, passed: str) -> FileEntry | None:
        """The first entry from a path on, but for one that was passed."""
        segment = self._outline.files_with(begin)
        while segment is not None and segment < len(self._outline.root.file_segments):
            part = await self._files(segment)
            at = part.first(begin)
            at += at < len(part.files) and part.files[at].path == passed
            if at < len(part.files):
                return part.files[at]
            segment += 1
        return None

    async def _files(self, segment: int) -> FilePart:
        ref = self._outline.root.file_segments[segment]
        part = await self._snapshots.file_part(self._bringer, ref)
        return self._outline.check_part(segment, part)

    def _look_ahead(self, segment: int) -> None:
        """What is found is read next, as a rule: have the segments of its blocks come along, where these are few."""
        root = self._outline.root
        begin = self._outline.start_of_files(segment)
        blocks = self._outline.blocks_with(begin, begin + root.file_segments[segment].bytes)
        if len(blocks) <= AHEAD_SEGMENTS:
            found = [root.block_segments[index] for index in blocks]
            self._snapshots.have_parts(self._bringer, [root.file_segments[segment], *found])

    def _file(self, segment: int, part: FilePart, index: int) -> File:
        return File(part.files[index], self._outline.start_of_files(segment) + part.starts[index])

    # ---- bytes ------------------------------------------------------------------------------------------------------

    def reader(self) -> AbstractContextManager[Share]:
        """A place among those who read here, for who takes it before its first byte. BusyError when there is none."""
        return self._snapshots.allowance.reader()

    async def read(
        self, file: File, offset: int = 0, length: int | None = None, place: Share | None = None
    ) -> AsyncIterator[memoryview]:
        """The bytes of a range of a file, in order; the range ends with the file. IncompleteError when a block is not
        to be had, UsageError for what is no file, NotAllowedError when the version is purged meanwhile. Without a
        ``place`` of ``reader`` it takes one for itself.
        """
        if file.entry.kind != FILE:
            raise UsageError(f"{shown(file.entry.path)} is not a file")
        size = file.entry.size
        end = size if length is None else min(size, offset + length)
        if offset >= end:
            return
        taken = self.reader() if place is None else nullcontext(place)
        with taken as share, _Window(self._snapshots, self._bringer) as window:
            async for spans in self._batches(file.start + offset, file.start + end, share):
                window.want(spans)
                while window.size_bytes > share.ahead_bytes:
                    yield await window.next()
                    share.renew(window.size_bytes)
            while window.size_bytes:
                yield await window.next()

    def was_read(self, file: File, begin: int, end: int) -> None:
        """A reader was given these bytes of a file: it is counted."""
        self._snapshots.was_read(self, file, begin, end)

    async def read_all(self, file: File, limit_bytes: int) -> bytes:
        """The whole of a small file. UsageError for a longer one."""
        if file.entry.size > limit_bytes:
            raise UsageError(f"{shown(file.entry.path)} has more than {limit_bytes} bytes")
        return b"".join([bytes(part) async for part in self.read(file)])

    async def _batches(self, begin: int, end: int, share: Share) -> AsyncIterator[list[Span]]:
        """The spans of a range, as many together as are asked for together."""
        batch: list[Span] = []
        size = 0
        for segment in self._outline.blocks_with(begin, end):
            part = await self._blocks(segment)
            start = self._outline.start_of_blocks(segment)
            for span in part.spans(max(begin - start, 0), min(end - start, part.starts[-1])):
                if batch and size + span.size > share.batch_bytes:
                    yield batch
                    batch, size = [], 0
                batch.append(span)
                size += span.size
        if batch:
            yield batch

    async def _blocks(self, segment: int) -> BlockPart:
        ref = self._outline.root.block_segments[segment]
        return await self._snapshots.block_part(self._bringer, ref)

    def __repr__(self) -> str:
        return f"<Snapshot {self.dataset}@{self.version.hex()[:12]}>"


class _Window:
    """The blocks that a reader waits for, in order, and what they take: each is held whole. A context: what is left at
    its end is nobody's wish any more.
    """

    def __init__(self, snapshots: Snapshots, bringer: Bringer) -> None:
        self._snapshots = snapshots
        self._bringer = bringer
        self._awaited: deque[tuple[Span, asyncio.Future[memoryview]]] = deque()
        self.size_bytes = 0

    def want(self, spans: Sequence[Span]) -> None:
        wanted = [Wanted(span.signature, span.size) for span in spans]
        for span, future in zip(spans, self._snapshots.want(self._bringer, wanted), strict=True):
            self._awaited.append((span, future))
            self.size_bytes += span.size

    async def next(self) -> memoryview:
        """The next bytes, as soon as they are there."""
        span, future = self._awaited.popleft()
        self.size_bytes -= span.size
        plain = await self._snapshots.awaited(self._bringer, Wanted(span.signature, span.size), future)
        return plain[span.offset : span.offset + span.length]

    def __enter__(self) -> _Window:
        return self

    def __exit__(self, *_: object) -> None:
        self._awaited.clear()
