"""An object store as ``gc`` sees it, and the blocks that it moves in it. Blocking.

The order of reading matters: what is condemned first, so that a pack that another ``gc`` has just removed is not taken
for one that stands; leases before logs, since a claim moves from a lease to the log; indexes before packs, since a pack
is written before the index that names it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from seed.backfill import INDEXES, PACKS
from seed.extents import EXTENT_BYTES
from seed.marking import Seen
from seed.packs import Index, Kept, Location, PackBuilder, decode_index, encode_index, make_index
from swarm import claims
from swarm.claims import Version, keys_below
from swarm.encoding import open_block
from swarm.errors import IncompleteError, IntegrityError, NotFoundError, RemoteProtocolError
from swarm.objects import ObjectStore

# Lists of indexes that differ: somebody merges them meanwhile.
LIST_ROUNDS: Final = 16

KeptAt = Callable[[float], frozenset[Version]]


class Sight:
    """Reads a store again and again; an index, which does not change, once.

    ``kept`` tells what the logs keep, ``removed`` what has to go.
    """

    def __init__(self, objects: ObjectStore, kept: KeptAt, removed: Callable[[], frozenset[Version]]) -> None:
        self.objects = objects
        self._kept = kept
        self._removed = removed
        self._indexes: dict[str, Index] = {}

    def see(self, wall_now: float) -> Seen:
        """The store as it is."""
        condemned = claims.condemned(self.objects)
        leases = claims.leases(self.objects)
        kept = self._kept(wall_now)
        removed = self._removed()
        indexes = self._read_indexes()
        packs = frozenset(key.removeprefix(PACKS) for key in keys_below(self.objects, PACKS))
        return Seen(condemned, leases, kept, removed, indexes, packs, wall_now)

    def _read_indexes(self) -> Mapping[str, Index]:
        """All indexes by id. The list is the same before and after: none was merged into another meanwhile."""
        before = self._listed()
        for _ in range(LIST_ROUNDS):
            self._indexes = {key: self._indexes[key] for key in before if key in self._indexes}
            for key in before - self._indexes.keys():
                self._read_index(key)
            after = self._listed()
            if after == before:
                return dict(self._indexes)
            before = after
        raise IncompleteError("the indexes in the object store change all the time: repeat `aetherfs gc` later")

    def _listed(self) -> set[str]:
        return {key.removeprefix(INDEXES) for key in keys_below(self.objects, INDEXES)}

    def _read_index(self, key: str) -> None:
        try:
            self._indexes[key] = decode_index(self.objects.get(INDEXES + key))
        except NotFoundError:
            return  # The next list is without it.
        except RemoteProtocolError as error:
            raise IntegrityError(
                f"{INDEXES}{key} in the object store is damaged ({error}): run `aetherfs store check --repair`; "
                "nothing was removed"
            ) from error


def write_index(objects: ObjectStore, index: Index) -> str:
    """Write a new index object: its id."""
    key = secrets.token_hex(16)
    objects.put(INDEXES + key, encode_index(index))
    return key


def copy_blocks(objects: ObjectStore, places: Mapping[bytes, Location], wall_time: int) -> int:
    """Lay blocks into new packs and write the index that says so: the bytes copied. Packs that went are passed over.

    IntegrityError for a block that is damaged where it lies.
    """
    return lay_blocks(objects, read_blocks(objects, places), wall_time)


def lay_blocks(
    objects: ObjectStore, blocks: Iterable[tuple[bytes, bytes]], wall_time: int, versions: Iterable[Kept] = ()
) -> int:
    """Lay encoded blocks into new packs and write an index of them and of versions: the bytes laid."""
    builder, packs, laid, kept = PackBuilder(), dict[str, int](), dict[bytes, Location](), list(versions)

    def write() -> None:
        pack = secrets.token_hex(16)
        data, found = builder.finish(pack)
        objects.put(PACKS + pack, data)
        packs[pack] = len(data)
        laid.update(found)

    for signature, encoded in blocks:
        builder.add(signature, encoded)
        if builder.is_full:
            write()
    if builder.size_bytes:
        write()
    if laid or kept:
        write_index(objects, make_index(wall_time, packs, laid, kept))
    return sum(packs.values())


def read_blocks(objects: ObjectStore, places: Mapping[bytes, Location]) -> Iterator[tuple[bytes, bytes]]:
    """Each block, verified. Those whose pack is gone are passed over."""
    for signature, encoded in read_extents(objects, places):
        try:
            open_block(encoded, signature)
        except RemoteProtocolError as error:
            raise IntegrityError(
                f"block {signature.hex()[:16]} in {PACKS}{places[signature].pack} is damaged ({error}): "
                "run `aetherfs store check --repair`"
            ) from error
        yield signature, encoded


def read_extents(objects: ObjectStore, places: Mapping[bytes, Location]) -> Iterator[tuple[bytes, bytes]]:
    """What lies at each place, an extent at a time. Packs that are gone are passed over."""
    in_order = sorted(places.items(), key=lambda item: item[1])
    start = 0
    while start < len(in_order):
        pack, offset, _ = in_order[start][1]
        end = start + 1
        while end < len(in_order) and in_order[end][1].pack == pack and _end(in_order[end][1]) <= offset + EXTENT_BYTES:
            end += 1
        try:
            data = objects.get_range(PACKS + pack, offset, _end(in_order[end - 1][1]) - offset)
        except NotFoundError:
            data = b""
        if data:
            for signature, place in in_order[start:end]:
                yield signature, data[place.offset - offset : _end(place) - offset]
        start = end


def _end(place: Location) -> int:
    return place.offset + place.length
