"""How blocks lie in the object store: packs of about 32 MiB, and index objects that say what lies where in them.

A pack is encoded blocks end to end, nothing else; it is written once. An index says which blocks lie where in which
packs, and which versions of which datasets consist of which blocks. It is written last: until then the packs are
garbage, and after it the version is whole. A publish writes one; several are merged into a larger one later
(``compaction``), and blocks that move to another pack come with an index of their own. Pure: no I/O.

An index is columns of packed values and not a list of structures, so that a million blocks are a few objects in memory.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from operator import add, le
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from seed import table
from swarm import canonical
from swarm.errors import RemoteProtocolError, UsageError
from swarm.limits import ENCODED_MAX_BYTES, MANIFEST_MAX_BLOCKS, MANIFEST_MAX_SEGMENTS, MIB
from swarm.log import DatasetName, WallTime
from swarm.names import check_dataset
from swarm.records import Key
from swarm.signature import SIGNATURE_BYTES, signature_of

PACK_TARGET_BYTES: Final = 32 * MIB
PACK_MAX_BYTES: Final = PACK_TARGET_BYTES + ENCODED_MAX_BYTES
INDEX_MAX_BYTES: Final = 1024 * MIB
INDEX_MAX_PACKS: Final = 1 << 20
INDEX_MAX_VERSIONS: Final = 1 << 16
VERSION_MAX_BLOCKS: Final = MANIFEST_MAX_BLOCKS + MANIFEST_MAX_SEGMENTS + 1
PACK_ID: Final = "^[0-9a-f]{32}$"

# Unsigned numbers of 4 bytes, the lowest first.
_NUMBER: Final = next(code for code in "IL" if array(code).itemsize == 4)

PackId = Annotated[str, msgspec.Meta(pattern=PACK_ID)]
PackBytes = Annotated[int, msgspec.Meta(ge=1, le=PACK_MAX_BYTES)]


class Location(NamedTuple):
    """Where an encoded block lies: its pack's id, offset and length in bytes."""

    pack: str
    offset: int
    length: int


class Kept(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A version of a dataset that was kept at ``wall_time`` (seconds), with all its blocks.

    ``blocks`` are root, segments and blocks, packed, also those that lie where other indexes say.
    """

    dataset: DatasetName
    version: Key
    wall_time: WallTime
    blocks: Annotated[bytes, msgspec.Meta(max_length=VERSION_MAX_BLOCKS * SIGNATURE_BYTES)]


class Index(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One index object.

    ``wall_time``: later than that of every index that its writer knew, for of several places of a block the latest
    counts. ``packs``: ids with their bytes, in order of ids. The block ``signatures[n]`` lies in pack ``pack_of[n]`` at
    ``offsets[n]``, with ``lengths[n]`` bytes. ``versions`` are sorted by dataset and version.
    """

    format: Literal[2]
    wall_time: WallTime
    packs: Annotated[tuple[tuple[PackId, PackBytes], ...], msgspec.Meta(max_length=INDEX_MAX_PACKS)]
    signatures: bytes
    pack_of: bytes
    offsets: bytes
    lengths: bytes
    versions: Annotated[tuple[Kept, ...], msgspec.Meta(max_length=INDEX_MAX_VERSIONS)]


class Table:
    """An index's places, to be searched."""

    def __init__(self, index: Index) -> None:
        self.packs = index.packs
        self.signatures = index.signatures
        self._pack_of = numbers(index.pack_of)
        self._offsets = numbers(index.offsets)
        self._lengths = numbers(index.lengths)

    def __len__(self) -> int:
        return len(self._offsets)

    def find(self, signature: bytes) -> Location | None:
        number = table.find(self.signatures, signature)
        return self.at(number) if number >= 0 else None

    def at(self, number: int) -> Location:
        """Where the block of that number lies."""
        return Location(self.packs[self._pack_of[number]][0], self._offsets[number], self._lengths[number])

    def places(self) -> Iterable[tuple[bytes, Location]]:
        """Every block, sorted by signature, with its place."""
        return zip(table.each(self.signatures), map(self.at, range(len(self))), strict=True)


def make_index(
    wall_time: int, packs: Mapping[str, int], places: Mapping[bytes, Location], versions: Iterable[Kept]
) -> Index:
    """An index of ``packs`` (id to bytes), the places of blocks in them, and versions."""
    listed = sorted(packs.items())
    number_of = {pack: number for number, (pack, _) in enumerate(listed)}
    signatures = sorted(places)
    at = [places[signature] for signature in signatures]
    return Index(
        format=2,
        wall_time=wall_time,
        packs=tuple(listed),
        signatures=b"".join(signatures),
        pack_of=_column(number_of[place.pack] for place in at),
        offsets=_column(place.offset for place in at),
        lengths=_column(place.length for place in at),
        versions=tuple(sorted(versions, key=lambda kept: (kept.dataset, kept.version))),
    )


def encode_index(index: Index) -> bytes:
    """The bytes of an index object: their BLAKE3, then the index, for a wrong list of blocks would cost blocks."""
    body = canonical.encode(index)
    return signature_of(body) + body


def decode_index(data: bytes) -> Index:
    """RemoteProtocolError for anything but an index."""
    check, body = data[:SIGNATURE_BYTES], memoryview(data)[SIGNATURE_BYTES:]
    if signature_of(body) != check:
        raise RemoteProtocolError("Index is damaged: its bytes are not those that were written")
    index = canonical.decode(body, Index, limit_bytes=INDEX_MAX_BYTES)
    why = _fault(index)
    if why:
        raise RemoteProtocolError(f"Index is malformed: {why}")
    return index


def _fault(index: Index) -> str:
    """What is wrong with an index whose structure is right, or nothing."""
    ids = [pack for pack, _ in index.packs]
    columns = [index.pack_of, index.offsets, index.lengths]
    if ids != sorted(set(ids)):
        return "its packs are not in order"
    if not table.is_packed(index.signatures):
        return "its signatures are not in order"
    if any(len(column) != 4 * table.count(index.signatures) for column in columns):
        return "its columns differ in length"
    versions = [(kept.dataset, kept.version) for kept in index.versions]
    if versions != sorted(set(versions)):
        return "its versions are not in order"
    return _fault_of_places(index) or next(filter(None, map(_fault_of_version, index.versions)), "")


def _fault_of_places(index: Index) -> str:
    pack_of, offsets, lengths = map(numbers, (index.pack_of, index.offsets, index.lengths))
    sizes = [size for _, size in index.packs]
    if not len(pack_of):
        return ""
    if max(pack_of) >= len(sizes):
        return "a block lies in no pack of it"
    if not 1 <= min(lengths) <= max(lengths) <= ENCODED_MAX_BYTES:
        return "a block is empty or too long"
    if not all(map(le, map(add, offsets, lengths), map(sizes.__getitem__, pack_of))):
        return "a block lies beyond its pack"
    return ""


def _fault_of_version(kept: Kept) -> str:
    try:
        check_dataset(kept.dataset)
    except UsageError as error:
        return str(error)
    if not table.is_packed(kept.blocks):
        return "a version's blocks are not in order"
    return "" if table.find(kept.blocks, kept.version) >= 0 else "a version lacks its own root"


def numbers(column: bytes) -> array[int]:
    """A column's numbers."""
    found = array(_NUMBER)
    found.frombytes(column)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _column(values: Iterable[int]) -> bytes:
    made = array(_NUMBER, values)
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()


class PackBuilder:
    """Lays blocks out into a pack. Takes blocks until ``is_full``, then gives the pack's bytes."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._parts: list[bytes] = []
        self._signatures: list[bytes] = []

    def add(self, signature: bytes, encoded: bytes) -> None:
        self._signatures.append(signature)
        self._parts.append(encoded)
        self.size_bytes += len(encoded)

    @property
    def is_full(self) -> bool:
        return self.size_bytes >= PACK_TARGET_BYTES

    def finish(self, pack: str) -> tuple[bytes, dict[bytes, Location]]:
        """The bytes of the pack of that id, and where each block lies. The builder is empty again."""
        places: dict[bytes, Location] = {}
        offset = 0
        for signature, part in zip(self._signatures, self._parts, strict=True):
            places[signature] = Location(pack, offset, len(part))
            offset += len(part)
        data = b"".join(self._parts)
        self._parts, self._signatures, self.size_bytes = [], [], 0
        return data, places
