"""How blocks lie in the object store: packs of about 32 MiB, and index objects that say what lies where in them.

A pack is a head and then encoded blocks end to end; it is written once. The head says which blocks these are, so that
a publish that was interrupted goes on where it was without an object for that. An index says which blocks lie where in
which packs, and which versions of which datasets consist of which blocks. It is written last: until then the packs are
garbage, and after it the version is whole. A publish writes one; several are merged into a larger one later
(``merging``), and blocks that move to another pack come with an index of their own. Pure: no I/O.

An index is columns of packed values and not a list of structures, so that a million blocks are a few objects in memory.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Mapping
from operator import add, le
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import zstandard

from seed import table
from swarm import canonical
from swarm.encoding import RAW, Encoded
from swarm.errors import LocalProtocolError, RemoteProtocolError, UsageError
from swarm.limits import ENCODED_MAX_BYTES, KIB, MANIFEST_MAX_BLOCKS, MANIFEST_MAX_SEGMENTS, MIB
from swarm.log import DatasetName, WallTime
from swarm.names import check_dataset
from swarm.records import Key
from swarm.signature import SIGNATURE_BYTES, signature_of

PACK_TARGET_BYTES: Final = 32 * MIB
# Tails of files may be small: a pack of many is full before it has its bytes.
PACK_MAX_BLOCKS: Final = 1 << 15
PACK_HEAD_MAX_BYTES: Final = 40 * PACK_MAX_BLOCKS + KIB
PACK_MAX_BYTES: Final = PACK_TARGET_BYTES + ENCODED_MAX_BYTES + PACK_HEAD_MAX_BYTES
# The first bytes of a pack: how long its head is, and the BLAKE3 of that.
HEAD_START: Final = struct.Struct("<I32s")
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

    ``wall_time``: when it was written. ``packs``: ids with their bytes and a wall time, in order of ids. Of several
    places of a block that in the latest pack counts, so a pack is given a later time than all that its writer knew. The
    block ``signatures[n]`` lies in pack ``pack_of[n]`` at ``offsets[n]``, with ``lengths[n]`` bytes. ``versions`` are
    sorted by dataset and version.
    """

    format: Literal[2]
    wall_time: WallTime
    packs: Annotated[tuple[tuple[PackId, PackBytes, WallTime], ...], msgspec.Meta(max_length=INDEX_MAX_PACKS)]
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
    """An index of new ``packs`` (id to bytes), the places of blocks in them, and versions."""
    listed = sorted((pack, size, wall_time) for pack, size in packs.items())
    number_of = {pack: number for number, (pack, _, _) in enumerate(listed)}
    signatures = sorted(places)
    at = [places[signature] for signature in signatures]
    return Index(
        format=2,
        wall_time=wall_time,
        packs=tuple(listed),
        signatures=b"".join(signatures),
        pack_of=column(number_of[place.pack] for place in at),
        offsets=column(place.offset for place in at),
        lengths=column(place.length for place in at),
        versions=tuple(sorted(versions, key=lambda kept: (kept.dataset, kept.version))),
    )


def encode_index(index: Index) -> bytes:
    """The bytes of an index object: their BLAKE3, then the index, for a wrong list of blocks would cost blocks.

    LocalProtocolError for what ``decode_index`` would refuse.
    """
    why = _fault_of_structure(index) or _fault(index)
    if why:
        raise LocalProtocolError(f"an index that nobody could read is not written: {why}")
    body = canonical.encode(index)
    if len(body) > INDEX_MAX_BYTES:
        raise LocalProtocolError(f"an index of {len(body)} bytes is not written, the limit is {INDEX_MAX_BYTES}")
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


def _fault_of_structure(index: Index) -> str:
    """What a decoder would say of an index's structure. Columns and blocks are not copied for that."""
    astuple = msgspec.structs.astuple
    try:
        msgspec.convert((*astuple(index)[:-1], tuple(map(astuple, index.versions))), Index)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _fault(index: Index) -> str:
    """What is wrong with an index whose structure is right, or nothing."""
    ids = [pack for pack, _, _ in index.packs]
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
    sizes = [size for _, size, _ in index.packs]
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


def column(values: Iterable[int]) -> bytes:
    """Numbers as a column of an index."""
    made = array(_NUMBER, values)
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()


class PackHead(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Which blocks lie in a pack, in that order, their encoded bytes and their plain ones."""

    format: Literal[1]
    signatures: bytes
    lengths: bytes
    sizes: bytes


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
        return self.size_bytes >= PACK_TARGET_BYTES or len(self._parts) >= PACK_MAX_BLOCKS

    def finish(self, pack: str) -> tuple[bytes, dict[bytes, Location]]:
        """The bytes of the pack of that id, and where each block lies. The builder is empty again."""
        lengths, sizes = column(map(len, self._parts)), column(map(plain_size, self._parts))
        head = canonical.encode(PackHead(1, b"".join(self._signatures), lengths, sizes))
        start = HEAD_START.pack(len(head), signature_of(head))
        places = _laid(pack, len(start) + len(head), self._signatures, map(len, self._parts))
        data = b"".join((start, head, *self._parts))
        self._parts, self._signatures, self.size_bytes = [], [], 0
        return data, places


class Contents(NamedTuple):
    """What a pack holds: its bytes in all, and each block's place and plain bytes."""

    size_bytes: int
    places: dict[bytes, Location]
    sizes: dict[bytes, int]


def head_bytes(start: bytes) -> int:
    """How many bytes the head of a pack takes that begins so, start included. RemoteProtocolError for no pack."""
    if len(start) < HEAD_START.size:
        raise RemoteProtocolError("a pack ends within its head")
    length = HEAD_START.unpack_from(start)[0]
    if length > PACK_HEAD_MAX_BYTES:
        raise RemoteProtocolError(f"a pack's head has {length} bytes, the limit is {PACK_HEAD_MAX_BYTES}")
    return HEAD_START.size + int(length)


def read_head(pack: str, data: bytes) -> Contents:
    """What the pack of that id holds, by its first bytes, ``head_bytes`` of them. RemoteProtocolError for no pack's."""
    end = head_bytes(data)
    check, body = HEAD_START.unpack_from(data)[1], data[HEAD_START.size : end]
    if len(data) < end or signature_of(body) != check:
        raise RemoteProtocolError("a pack's head is damaged")
    head = canonical.decode(body, PackHead, limit_bytes=PACK_HEAD_MAX_BYTES)
    signatures = list(table.each(head.signatures))
    if any(len(column) != 4 * len(signatures) for column in (head.lengths, head.sizes)) or len(
        head.signatures
    ) != SIGNATURE_BYTES * len(signatures):
        raise RemoteProtocolError("a pack's head is malformed: its columns differ in length")
    lengths = numbers(head.lengths)
    if any(not 1 <= length <= ENCODED_MAX_BYTES for length in lengths):
        raise RemoteProtocolError("a pack's head is malformed: a block is empty or too long")
    start = HEAD_START.size + len(body)
    places = _laid(pack, start, signatures, lengths)
    return Contents(start + sum(lengths), places, dict(zip(signatures, numbers(head.sizes), strict=True)))


def _laid(pack: str, start: int, signatures: Iterable[bytes], lengths: Iterable[int]) -> dict[bytes, Location]:
    """Where blocks lie, end to end behind the head."""
    places: dict[bytes, Location] = {}
    for signature, length in zip(signatures, lengths, strict=True):
        places[signature] = Location(pack, start, length)
        start += length
    return places


def plain_size(encoded: Encoded) -> int:
    """The plain bytes of an encoded block that was verified."""
    return len(encoded) - 1 if encoded[0] == RAW else zstandard.frame_content_size(encoded[1:19])
