"""How two versions differ, file by file, and where in its files a version is new. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
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
    gone: dict[bytes, list[FileEntry]] = {}
    for at, was in _beside(new.files, old.files):
        if at is None and was is not None and was.kind == FILE and was.size:
            gone.setdefault(was.blake3, []).append(was)
    wanted = frozenset(fetched)
    found: list[Change] = []
    renamed: set[str] = set()
    for at, was in _beside(new.files, old.files):
        if at is None or was == (entry := new.files[at]):
            continue
        source = gone[entry.blake3].pop(0) if was is None and gone.get(entry.blake3) else None
        if source is not None:
            renamed.add(source.path)
        heat = heat_of(new, at, wanted) if by_file[at] else ()
        found.append(_change(entry, was, source, by_file[at], heat))
    found += [
        Change(was.path, "removed", KINDS.get(was.kind, "symlink"), 0, was.size, 0)
        for at, was in _beside(new.files, old.files)
        if at is None and was is not None and was.path not in renamed
    ]
    return sorted(found, key=lambda change: change.path)


def _beside(new: Sequence[FileEntry], old: Sequence[FileEntry]) -> Iterator[tuple[int | None, FileEntry | None]]:
    """Every path of both, in order: its index in the new, and the entry that the old has of it. Both are in the order
    of paths, so that no table of a million paths is needed.
    """
    n = o = 0
    while n < len(new) or o < len(old):
        if o == len(old) or (n < len(new) and new[n].path < old[o].path):
            yield n, None
            n += 1
        elif n == len(new) or old[o].path < new[n].path:
            yield None, old[o]
            o += 1
        else:
            yield n, old[o]
            n, o = n + 1, o + 1


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
