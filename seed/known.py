"""What the indexes say, together: where each block lies, which packs there are, which versions are kept.

Of several places of a block the one in the latest pack counts that is not known to be gone. Nothing here is an
object per block. Pure: no I/O, no clock. Written on the loop; ``find`` and what asks for versions may be called in any
thread.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import NamedTuple

from seed import table
from seed.merging import Size
from seed.packs import Index, Kept, Location, Table


class KnownVersion(NamedTuple):
    """A version that the index ``key`` keeps. Two indexes may keep the same one."""

    key: str
    dataset: str
    version: bytes
    wall_time: int


class KnownPack(NamedTuple):
    """A pack's bytes, its wall time, and the keys of the indexes that name it."""

    size_bytes: int
    wall_time: int
    keys: frozenset[str]


class _Entry(NamedTuple):
    """An index: compared by age, as none has another's key."""

    wall_time: int
    key: str
    table: Table
    kept: tuple[Kept, ...]
    size_bytes: int


class Known:
    """Indexes by key."""

    def __init__(self) -> None:
        # Latest first, replaced and never changed: whoever looks through it in a thread sees one state.
        self._entries: tuple[_Entry, ...] = ()
        self._kept: dict[str, dict[bytes, Kept]] = {}
        self._packs: dict[str, KnownPack] = {}
        self._gone: set[str] = set()
        self._latest = -1

    # ---- indexes ------------------------------------------------------------------------------------------------

    def add(self, key: str, index: Index, size_bytes: int = 0) -> None:
        """Take an index into account, of so many bytes in the store."""
        self.forget(key)
        entry = _Entry(index.wall_time, key, Table(index), index.versions, size_bytes)
        self._entries = tuple(sorted([*self._entries, entry], key=lambda one: one[:2], reverse=True))
        for pack, size, wall_time in index.packs:
            known = self._packs.get(pack, KnownPack(size, wall_time, frozenset()))
            self._packs[pack] = KnownPack(size, max(known.wall_time, wall_time), known.keys | {key})
            self._latest = max(self._latest, wall_time)
        for kept in index.versions:
            self._kept.setdefault(kept.dataset, {}).setdefault(kept.version, kept)

    def forget(self, key: str) -> None:
        """The index of that key is gone."""
        gone = [entry for entry in self._entries if entry.key == key]
        self._entries = tuple(entry for entry in self._entries if entry.key != key)
        for entry in gone:
            for pack, _, _ in entry.table.packs:
                self._unname(pack, key)
            for kept in entry.kept:
                self._unkeep(kept)

    def _unname(self, pack: str, key: str) -> None:
        known = self._packs.get(pack)
        if known is None:
            return
        keys = known.keys - {key}
        if keys:
            self._packs[pack] = known._replace(keys=keys)
        else:
            del self._packs[pack]
            self._gone.discard(pack)

    def _unkeep(self, kept: Kept) -> None:
        others = (
            other
            for entry in self._entries
            for other in entry.kept
            if (other.dataset, other.version) == (kept.dataset, kept.version)
        )
        other = next(others, None)
        versions = self._kept[kept.dataset]
        if other is not None:
            versions[kept.version] = other
        else:
            del versions[kept.version]
            if not versions:
                del self._kept[kept.dataset]

    def keys(self) -> list[str]:
        """The keys of all indexes, the latest first."""
        return [entry.key for entry in self._entries]

    def sizes(self) -> dict[str, Size]:
        """How large each index is, by key."""
        return {e.key: Size(e.size_bytes, len(e.table.packs), len(e.kept)) for e in self._entries}

    def next_wall_time(self, wall_now: int) -> int:
        """The wall time of packs that are written now, so that places in them count before all that are known."""
        return max(wall_now, self._latest + 1)

    # ---- blocks and packs ---------------------------------------------------------------------------------------

    def has(self, signature: bytes) -> bool:
        """Whether a block lies anywhere."""
        return any(True for _ in self._found(signature))

    def find(self, signature: bytes) -> Location | None:
        """The place of a block that counts."""
        return next(iter(self.places(signature)), None)

    def places(self, signature: bytes) -> list[Location]:
        """Every place of a block, the one that counts first, but for packs that are gone."""
        return sorted(self._found(signature), key=self._age, reverse=True)

    def lies_in(self, signature: bytes, packs: Container[str]) -> bool:
        """Whether a block lies in one of these packs (ids) that is not gone."""
        return any(place.pack in packs for place in self._found(signature))

    def _found(self, signature: bytes) -> Iterator[Location]:
        for entry in self._entries:
            place = entry.table.find(signature)
            if place is not None and place.pack not in self._gone:
                yield place

    def _age(self, place: Location) -> tuple[int, str]:
        known = self._packs.get(place.pack)
        return (known.wall_time if known is not None else -1), place.pack

    def packs(self) -> dict[str, KnownPack]:
        """The packs that indexes name, by id, but for those that are gone."""
        return {pack: known for pack, known in self._packs.items() if pack not in self._gone}

    def forget_pack(self, pack: str) -> None:
        """A pack is gone, or about to be: nothing lies there any more."""
        if pack in self._packs:
            self._gone.add(pack)

    # ---- versions -----------------------------------------------------------------------------------------------

    def versions(self) -> Iterator[KnownVersion]:
        """Every version in every index."""
        for entry in self._entries:
            for kept in entry.kept:
                yield KnownVersion(entry.key, kept.dataset, kept.version, kept.wall_time)

    def each_version(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Every version once: dataset, version, packed blocks."""
        for dataset, versions in list(self._kept.items()):
            for version, kept in list(versions.items()):
                yield dataset, version, kept.blocks

    def has_version(self, dataset: str, version: bytes) -> bool:
        return version in self._kept.get(dataset, {})

    def blocks_of(self, dataset: str, version: bytes) -> bytes:
        """The packed signatures of a version that is kept: root, segments and blocks. KeyError for another."""
        return self._kept[dataset][version].blocks

    def is_in(self, signature: bytes, dataset: str) -> bool:
        """Whether a block is part of a version of the dataset."""
        return any(table.find(kept.blocks, signature) >= 0 for kept in list(self._kept.get(dataset, {}).values()))

    def is_in_any(self, signature: bytes, may_read: Callable[[str], bool]) -> bool:
        """Whether a block is part of a dataset of which ``may_read`` is true."""
        return any(may_read(dataset) and self.is_in(signature, dataset) for dataset in list(self._kept))
