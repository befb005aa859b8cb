"""``store check``: whether everything that is kept can still be read from a bucket. Blocking; writes nothing.

Every log and index is read, every pack's size looked at, and every block of a live version hashed, at each of its
places; quickly, without the hashing. What is damaged is named, with the versions that suffer from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from seed import table
from seed.backfill import INDEXES, PACKS
from seed.histories import Histories
from seed.marking import Seen
from seed.packs import Index, Location, decode_index
from seed.seeing import read_extents
from swarm import claims
from swarm.claims import Version, keys_below
from swarm.encoding import open_block
from swarm.errors import AetherError, IntegrityError, NotFoundError, RemoteProtocolError
from swarm.objects import ObjectStore
from swarm.tracker.orders import purges
from swarm.trust import Trust

NAMED_MAX: Final = 1000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is not as it was written, why, and how many of its needed blocks that costs."""

    key: str
    why: str
    blocks: int = 0


@dataclass
class Findings:
    """What a check found. ``lacking``: by version the needed blocks without a good place, None if not even these are
    known. ``bad``: places where another block lies than was written. ``broken``: packs of another length, and
    ``movable`` what can still be read of them.
    """

    damage: list[Damage] = field(default_factory=list)
    bad: set[tuple[str, bytes]] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    movable: dict[bytes, Location] = field(default_factory=dict)
    lacking: dict[Version, list[bytes] | None] = field(default_factory=dict)
    indexes: int = 0
    packs: int = 0
    versions: int = 0
    blocks: int = 0
    bytes: int = 0

    @property
    def is_whole(self) -> bool:
        return not self.damage and not self.lacking

    def as_json(self) -> dict[str, Any]:
        """For programs; long lists are cut."""
        return {
            "ok": self.is_whole,
            "indexes": self.indexes,
            "packs": self.packs,
            "versions": self.versions,
            "blocks": self.blocks,
            "bytes": self.bytes,
            "damaged": [{"key": d.key, "why": d.why, "blocks": d.blocks} for d in self.damage[:NAMED_MAX]],
            "incomplete": [
                {"dataset": v[0], "version": v[1].hex(), "blocks": len(lacking) if lacking is not None else None}
                for v, lacking in sorted(self.lacking.items())[:NAMED_MAX]
            ],
        }


class Checker:
    """A check of one store. ``authority``: the CA's keys."""

    def __init__(self, objects: ObjectStore, authority: Trust) -> None:
        self._objects = objects
        self._authority = authority

    def run(self, wall_now: float, *, quick: bool = False, progress: Progress = lambda done, total: None) -> Findings:
        """Look at everything. Only a store that is away ends it early."""
        found = Findings()
        seen = self._see(wall_now, found)
        found.indexes, found.packs, found.versions = len(seen.indexes), len(seen.packs), len(seen.live)
        self._look_at_packs(seen, found)
        if not quick:
            self._hash(seen, found, progress)
        self._name_lacking(seen, found)
        return found

    def _see(self, wall_now: float, found: Findings) -> Seen:
        """The store, as far as it can be read."""
        condemned = _or_damage(found, "gc/", lambda: claims.condemned(self._objects), {})
        leases = claims.leases(self._objects)
        removed = _or_damage(found, "purges/", lambda: frozenset(purges(self._objects, self._authority)), frozenset())
        histories = Histories(self._objects, self._authority)
        kept = _or_damage(found, "log", lambda: histories.kept(wall_now), None)
        indexes = dict(self._read_indexes(found))
        packs = frozenset(key.removeprefix(PACKS) for key in keys_below(self._objects, PACKS))
        seen = Seen(condemned, leases, kept or frozenset(), removed, indexes, packs, wall_now)
        # With a log that cannot be read everything counts as kept.
        return seen if kept is not None else _with_all_kept(seen)

    def _read_indexes(self, found: Findings) -> Iterable[tuple[str, Index]]:
        for key in keys_below(self._objects, INDEXES):
            try:
                yield key.removeprefix(INDEXES), decode_index(self._objects.get(key))
            except NotFoundError:
                continue  # It was merged into another since it was listed, and that one is in the list or comes.
            except RemoteProtocolError as error:
                found.damage.append(Damage(key, str(error)))

    def _look_at_packs(self, seen: Seen, found: Findings) -> None:
        for pack, size in sorted(seen.sizes.items()):
            needed = [s for s in seen.places.get(pack, ()) if s in seen.needed]
            if needed and pack not in seen.condemned_packs:
                why = self._fault_of_size(pack, size)
                if why:
                    self._name_broken(pack, {s: seen.places[pack][s] for s in needed}, why, found)

    def _name_broken(self, pack: str, needed: dict[bytes, Location], why: str, found: Findings) -> None:
        short = {s for s, place in needed.items() if not self._reaches(pack, place)}
        found.damage.append(Damage(PACKS + pack, why, len(short)))
        found.bad |= {(pack, signature) for signature in short}
        found.broken.add(pack)
        found.movable |= {s: place for s, place in needed.items() if s not in short}

    def _fault_of_size(self, pack: str, size: int) -> str:
        """What is wrong with a pack's length, or nothing."""
        try:
            end = self._objects.get_range(PACKS + pack, size - 1, 2)
        except NotFoundError:
            return "it is not there"
        return "" if len(end) == 1 else f"it has {'fewer' if not end else 'more'} than its {size} bytes"

    def _reaches(self, pack: str, place: Location) -> bool:
        try:
            return len(self._objects.get_range(PACKS + pack, place.offset + place.length - 1, 1)) == 1
        except NotFoundError:
            return False

    def _hash(self, seen: Seen, found: Findings, progress: Progress) -> None:
        """Every needed block, at each of its places that are not known to be bad."""
        total = sum(seen.live_bytes(pack) for pack in seen.standing)
        for pack in sorted(seen.standing & frozenset(seen.places)):
            places = {s: place for s, place in seen.places[pack].items() if s in seen.needed}
            wrong = 0
            for signature, encoded in read_extents(
                self._objects, {s: p for s, p in places.items() if (pack, s) not in found.bad}
            ):
                found.blocks += 1
                found.bytes += len(encoded)
                if not _is_block(encoded, signature):
                    wrong += 1
                    found.movable.pop(signature, None)
                    found.bad.add((pack, signature))
            if wrong:
                found.damage.append(Damage(PACKS + pack, "blocks in it are not what they were", wrong))
            progress(found.bytes, total)

    def _name_lacking(self, seen: Seen, found: Findings) -> None:
        good = {s for pack in seen.packs for s in seen.places.get(pack, ()) if (pack, s) not in found.bad}
        for version in seen.live:
            lacking = [block for block in table.each(seen.versions[version].blocks) if block not in good]
            if lacking:
                found.lacking[version] = lacking
        for version in seen.kept - frozenset(seen.versions) - seen.removed:
            if not claims.is_gone(self._objects, version):
                found.lacking[version] = None


def _or_damage(found: Findings, key: str, read: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return read()
    except IntegrityError as error:
        found.damage.append(Damage(key, str(error)))
        return otherwise


def _with_all_kept(seen: Seen) -> Seen:
    kept = frozenset(seen.versions)
    return Seen(seen.condemned, seen.leases, kept, seen.removed, seen.indexes, seen.packs, seen.wall_now)


def _is_block(encoded: bytes, signature: bytes) -> bool:
    try:
        open_block(encoded, signature)
    except AetherError:
        return False
    return True


def damaged_indexes(found: Findings) -> list[str]:
    """The keys of the indexes that cannot be read."""
    return [damage.key for damage in found.damage if damage.key.startswith(INDEXES)]
