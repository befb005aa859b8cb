"""A version read part by part, without anybody to fetch from: its lists, its links, and what must not be unpacked."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from swarm import canonical
from swarm.errors import NotFoundError, RemoteProtocolError
from swarm.limits import BLOCK_MAX_BYTES, BLOCK_MIN_BYTES, BLOCK_TARGET_BYTES, LARGE_FILE_BYTES
from swarm.manifest import content_signature
from swarm.outline import FilePart, Outline
from swarm.peer.find import Resolved
from swarm.peer.snapshot import Snapshot
from swarm.segments import FileEntry, FileSegment, FileSegmentRef, Root, cut_files
from swarm.signature import signature_of
from tests.datasets import directory_entry, file_entry, link_entry

NAMES_AT_A_TIME = 7


class Parts:
    """The file table of a version, in memory; each segment that is read is noted."""

    def __init__(self, files: list[FileEntry]) -> None:
        self.data: dict[bytes, bytes] = {}
        self.read: list[str] = []
        self._parts: dict[FileSegmentRef, FilePart] = {}
        self.checked_versions: set[bytes] = set()
        refs = []
        for part in cut_files(files):
            data = canonical.encode(FileSegment(1, "files", part))
            self.data[signature_of(data)] = data
            size = sum(entry.size for entry in part)
            refs.append(FileSegmentRef(signature_of(data), len(data), len(part), size, part[0].path))
        sizes = (BLOCK_MIN_BYTES, BLOCK_TARGET_BYTES, BLOCK_MAX_BYTES, LARGE_FILE_BYTES)
        total = sum(entry.size for entry in files)
        self.root = Root(1, *sizes, len(files), 0, total, content_signature(files), tuple(refs), ())

    async def file_part(self, asker: object, ref: FileSegmentRef) -> FilePart:
        self.read.append(ref.first_path)
        if ref not in self._parts:
            self._parts[ref] = FilePart(ref, self.data[ref.signature])
        return self._parts[ref]

    def have_parts(self, asker: object, refs: object) -> None:
        """Nothing comes from anywhere."""

    def is_checked(self, version: bytes) -> bool:
        return version in self.checked_versions

    def checked(self, version: bytes) -> None:
        self.checked_versions.add(version)

    def snapshot(self) -> Snapshot:
        resolved = Resolved("maps/roads", "v1", bytes(32), b"", 1, is_stale=False)
        return Snapshot(cast(Any, self), resolved, Outline(self.root), cast(Any, None))


def entries(*paths: str) -> list[FileEntry]:
    return [file_entry(path, b"") for path in sorted(paths)]


MANY = [f"{top}/{n:05}" for top in ("a", "a.b", "b/deep", "c") for n in range(4000)] + ["a-", "a0", "b.txt", "d"]


def test_a_list_holds_each_name_once_page_by_page_and_skips_what_lies_below() -> None:
    parts = Parts(entries(*MANY))
    snapshot = parts.snapshot()
    assert len(parts.root.file_segments) > 8

    async def listed(directory: str) -> list[tuple[str, bool]]:
        found: list[tuple[str, bool]] = []
        after = ""
        while page := await snapshot.names(directory, after=after, limit=NAMES_AT_A_TIME):
            found += [(item.name, item.is_directory) for item in page]
            after = page[-1].cursor
        return found

    async def main() -> None:
        top = await listed("")
        assert top == [
            ("a-", False),
            ("a.b", True),
            ("a", True),
            ("a0", False),
            ("b.txt", False),
            ("b", True),
            ("c", True),
            ("d", False),
        ]
        parts.read.clear()
        await snapshot.names("", limit=100)
        assert len(set(parts.read)) <= 2 * len(top) < len(MANY) / 100
        assert await listed("b") == [("deep", True)]
        assert [name for name, _ in await listed("b/deep")] == [f"{n:05}" for n in range(4000)]
        assert await listed("nothing") == []
        walked = [file.entry.path async for file in snapshot.walk("a.b")]
        assert walked == [f"a.b/{n:05}" for n in range(4000)]
        assert [file.entry.path async for file in snapshot.walk("", after="c/03999")] == ["d"]

    asyncio.run(main())


LINKS = {"l": "d/up/x", "d/up": "..", "round": "round", "chain": "l"}


def test_links_are_followed_inside_and_lead_nowhere_else() -> None:
    files = [*entries("x", "d/f"), *(link_entry(path, target) for path, target in LINKS.items())]
    snapshot = Parts(sorted(files, key=lambda entry: entry.path)).snapshot()

    async def main() -> None:
        for path in ("l", "chain", "d/up/x", "d/up/d/up/x"):
            found = await snapshot.look(path)
            assert found is not None
            assert found.entry.path == "x"
        assert await snapshot.look("d/up") is None
        for path in ("round", "round/x", "x/y", "d/up/no"):
            with pytest.raises(NotFoundError):
                await snapshot.look(path)

    asyncio.run(main())


@pytest.mark.parametrize(
    "files",
    [
        [*entries("d/f"), link_entry("d/up", ".."), link_entry("l", "d/up/../x")],  # it leaves by way of another link
        [*entries("A", "a")],
        [file_entry("l/x", b""), link_entry("l", "d")],
        [directory_entry("e"), *entries("e/f")][::-1],
    ],
)
def test_what_only_the_whole_table_shows_is_refused_before_it_is_unpacked_and_harms_no_reader(
    files: list[FileEntry],
) -> None:
    parts = Parts(sorted(files, key=lambda entry: entry.path))
    snapshot = parts.snapshot()

    async def main() -> None:
        for path in ("l", "l/x"):
            try:
                found = await snapshot.look(path)
            except NotFoundError:
                continue
            assert found is not None
            assert found.entry.path == path, "it leads nowhere else"
        with pytest.raises(RemoteProtocolError):
            await snapshot.check()
        assert not parts.checked_versions

    asyncio.run(main())
