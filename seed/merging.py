"""Which index objects are merged, and what comes of it. Pure.

By size, as in a log-structured merge tree: indexes of about one size are merged once there are enough of them, into one
of the next size. So a bucket has a few indexes of each size, each entry is written again a few times in its life, and a
fresh seed reads little. The largest are left alone, in bytes, packs or versions: they are read side by side.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from seed import table
from seed.packs import INDEX_MAX_PACKS, INDEX_MAX_VERSIONS, Index, Kept, column, numbers
from swarm.limits import KIB, MIB

# So many of about one size are merged, and at most so many or so much at a time.
FANOUT: Final = 8
MERGED_MAX: Final = 64
MERGED_MAX_BYTES: Final = 64 * MIB
SMALL_BYTES: Final = 64 * KIB

# Of one block: its signature, how many packs are later than its own, and offset and length.
_ROW: Final = struct.Struct(">32s3I")

IsWanted = Callable[[Kept], bool]


class Size(NamedTuple):
    """How large an index is: the bytes of its object, how many packs and versions it names."""

    bytes: int
    packs: int = 0
    versions: int = 0

    def plus(self, other: Size) -> Size:
        return Size(self.bytes + other.bytes, self.packs + other.packs, self.versions + other.versions)

    @property
    def is_mergeable(self) -> bool:
        """Whether as many as are merged at least, of such packs and versions, are within what an index holds."""
        return (
            self.bytes < MERGED_MAX_BYTES // 2
            and self.packs <= INDEX_MAX_PACKS // FANOUT
            and self.versions <= INDEX_MAX_VERSIONS // FANOUT
        )

    @property
    def is_too_large(self) -> bool:
        """For one index that a merging writes."""
        return self.bytes > MERGED_MAX_BYTES or self.packs > INDEX_MAX_PACKS or self.versions > INDEX_MAX_VERSIONS


def chosen(sizes: Mapping[str, Size]) -> list[str]:
    """The keys of the indexes, with their sizes, that are to be merged now; none if that would gain little."""
    tiers: dict[int, list[str]] = {}
    for key in sorted(sizes, key=lambda key: (sizes[key], key)):
        if sizes[key].is_mergeable:
            tiers.setdefault(_tier(sizes[key].bytes), []).append(key)
    for _, keys in sorted(tiers.items()):
        taken = _within(keys, sizes)
        if len(taken) >= FANOUT:
            return taken
    return []


def _tier(size_bytes: int) -> int:
    tier = 0
    while size_bytes > SMALL_BYTES:
        size_bytes //= FANOUT
        tier += 1
    return tier


def _within(keys: Sequence[str], sizes: Mapping[str, Size]) -> list[str]:
    """As many of the first as may be merged at a time."""
    taken: list[str] = []
    total = Size(0)
    for key in keys[:MERGED_MAX]:
        total = total.plus(sizes[key])
        if total.is_too_large:
            break
        taken.append(key)
    return taken


def merged(indexes: Sequence[Index], is_wanted: IsWanted = lambda kept: True) -> Index:
    """One index that says what these say: of several places of a block, that in the latest pack; of versions, those
    that ``is_wanted``. Packs in which nothing lies any more are not named.
    """
    packs = _packs(indexes)
    latest_first = sorted(packs, key=lambda pack: (packs[pack][1], pack), reverse=True)
    ages = {pack: age for age, pack in enumerate(latest_first)}
    rows = [row for index in indexes for row in _rows(index, ages)]
    rows.sort()
    signatures, found, offsets, lengths = _columns(rows)
    used = sorted(latest_first[age] for age in set(found))
    number_of = {pack: number for number, pack in enumerate(used)}
    return Index(
        format=2,
        wall_time=max(index.wall_time for index in indexes),
        packs=tuple((pack, *packs[pack]) for pack in used),
        signatures=b"".join(signatures),
        pack_of=column(number_of[latest_first[age]] for age in found),
        offsets=column(offsets),
        lengths=column(lengths),
        versions=_versions(indexes, is_wanted),
    )


def _packs(indexes: Sequence[Index]) -> dict[str, tuple[int, int]]:
    """Each pack's bytes and its latest wall time."""
    found: dict[str, tuple[int, int]] = {}
    for pack, size, wall_time in (pack for index in indexes for pack in index.packs):
        found[pack] = (size, max(wall_time, found.get(pack, (size, wall_time))[1]))
    return found


def _rows(index: Index, ages: Mapping[str, int]) -> list[bytes]:
    """One for each block, to be sorted: the latest pack first where a block is in several."""
    age_of = [ages[pack] for pack, _, _ in index.packs]
    found = map(age_of.__getitem__, numbers(index.pack_of))
    return list(map(_ROW.pack, table.each(index.signatures), found, numbers(index.offsets), numbers(index.lengths)))


def _columns(rows: Sequence[bytes]) -> tuple[list[bytes], list[int], list[int], list[int]]:
    """The columns of sorted rows, each block once."""
    signatures: list[bytes] = []
    ages: list[int] = []
    offsets: list[int] = []
    lengths: list[int] = []
    before = b""
    for row in rows:
        signature, age, offset, length = _ROW.unpack(row)
        if signature != before:
            signatures.append(signature)
            ages.append(age)
            offsets.append(offset)
            lengths.append(length)
            before = signature
    return signatures, ages, offsets, lengths


def _versions(indexes: Sequence[Index], is_wanted: IsWanted) -> tuple[Kept, ...]:
    """Every version once, as it was kept last."""
    found: dict[tuple[str, bytes], Kept] = {}
    for kept in (kept for index in indexes for kept in index.versions):
        key = (kept.dataset, kept.version)
        if is_wanted(kept):
            known = found.get(key)
            last = kept.wall_time if known is None else max(kept.wall_time, known.wall_time)
            found[key] = msgspec.structs.replace(kept, wall_time=last)
    return tuple(found[key] for key in sorted(found))
