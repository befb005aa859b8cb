"""How two versions differ, file by file, and where in its files a version is new. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import Final, Literal

import msgspec

from swarm.manifest import Manifest
from swarm.segments import EMPTY_DIRECTORY, FILE, FileEntry

CELLS: Final = 48
# From "nothing of it is fetched" to "all of it is".
SHADES: Final = "·░▒▓█"

What = Literal["added", "removed", "changed", "renamed", "touched"]
KINDS: Final = {FILE: "file", EMPTY_DIRECTORY: "directory"}


class Change(msgspec.Struct, frozen=True):
    """One path that is not as it was. ``before``: the path that a renamed file had. ``fetch_bytes`` lie in blocks that
    are fetched. ``heat``: for each of its parts, which are of one length, the share of it that is fetched.

    ``touched``: only its mode or times differ.
    """

    path: str
    what: What
    kind: str
    size: int
    size_before: int
    fetch_bytes: int
    before: str = ""
    heat: tuple[float, ...] = ()

    @property
    def strip(self) -> str:
        """The heat in characters."""
        return "".join(SHADES[_shade(share)] for share in self.heat)


def changes_of(new: Manifest, old: Manifest, fetched: Collection[int], by_file: Sequence[int]) -> list[Change]:
    """All changes, by path. ``fetched``: indices of unique blocks; ``by_file``: bytes to fetch of each new file."""
    before = {entry.path: entry for entry in old.files}
    after = {entry.path for entry in new.files}
    gone: dict[bytes, list[FileEntry]] = {}
    for entry in old.files:
        if entry.path not in after and entry.kind == FILE and entry.size:
            gone.setdefault(entry.blake3, []).append(entry)
    wanted = frozenset(fetched)
    found: list[Change] = []
    renamed: set[str] = set()
    for index, entry in enumerate(new.files):
        was = before.get(entry.path)
        if was == entry:
            continue
        source = gone[entry.blake3].pop(0) if was is None and gone.get(entry.blake3) else None
        if source is not None:
            renamed.add(source.path)
        heat = heat_of(new, index, wanted) if by_file[index] else ()
        found.append(_change(entry, was, source, by_file[index], heat))
    found += [
        Change(entry.path, "removed", KINDS.get(entry.kind, "symlink"), 0, entry.size, 0)
        for entry in old.files
        if entry.path not in after and entry.path not in renamed
    ]
    return sorted(found, key=lambda change: change.path)


def _change(
    entry: FileEntry, was: FileEntry | None, source: FileEntry | None, fetch_bytes: int, heat: tuple[float, ...]
) -> Change:
    kind = KINDS.get(entry.kind, "symlink")
    if was is not None:
        is_same = (was.kind, was.blake3, was.target) == (entry.kind, entry.blake3, entry.target)
        what: What = "touched" if is_same else "changed"
        return Change(entry.path, what, kind, entry.size, was.size, fetch_bytes, heat=heat)
    if source is not None:
        return Change(entry.path, "renamed", kind, entry.size, source.size, fetch_bytes, source.path, heat)
    return Change(entry.path, "added", kind, entry.size, 0, fetch_bytes, heat=heat)


def heat_of(manifest: Manifest, file_index: int, wanted: Collection[int], cells: int = CELLS) -> tuple[float, ...]:
    """For each of up to ``cells`` parts of a file, the share of its bytes that lie in wanted blocks."""
    size = manifest.files[file_index].size
    cells = min(cells, size)
    if not cells:
        return ()
    sums = array("q", bytes(8 * cells))
    at = 0
    for index, _, length in manifest.blocks_of(file_index):
        if index in wanted:
            _add(sums, at, at + length, size)
        at += length
    return tuple(round(sums[n] / (_edge(n + 1, size, cells) - _edge(n, size, cells)), 3) for n in range(cells))


def _edge(cell: int, size: int, cells: int) -> int:
    return cell * size // cells


def _add(sums: array[int], begin: int, end: int, size: int) -> None:
    """Count the bytes of a range in the cells that they lie in."""
    cells = len(sums)
    cell = begin * cells // size
    while begin < end:
        edge = max(_edge(cell + 1, size, cells), begin)
        step = min(end, edge) - begin
        sums[cell] += step
        begin += step
        cell += 1


def _shade(share: float) -> int:
    """Nothing is nothing, and all is all; the rest in between."""
    if share <= 0:
        return 0
    return len(SHADES) - 1 if share >= 1 else 1 + int(share * (len(SHADES) - 2))
