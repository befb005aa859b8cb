"""How blocks lie in the object store: packs of about 32 MiB and one index object per publish.

A pack is encoded blocks end to end, nothing else; it is written once. An index says which blocks lie where in which
packs and which version of which dataset they were written for. It is written last: until then the packs are garbage,
and after it the version is whole. Pure: no I/O.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from swarm import canonical
from swarm.limits import ENCODED_MAX_BYTES, MANIFEST_MAX_BLOCKS, MIB
from swarm.log import DatasetName
from swarm.records import Key

PACK_TARGET_BYTES: Final = 32 * MIB
PACK_MAX_BYTES: Final = PACK_TARGET_BYTES + ENCODED_MAX_BYTES
INDEX_MAX_BYTES: Final = 1024 * MIB


class Location(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Where an encoded block lies: the number of its pack in the index, offset and length in bytes."""

    signature: Key
    pack: Annotated[int, msgspec.Meta(ge=0, lt=1 << 20)]
    offset: Annotated[int, msgspec.Meta(ge=0, le=PACK_MAX_BYTES)]
    length: Annotated[int, msgspec.Meta(ge=1, le=ENCODED_MAX_BYTES)]


class Index(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The index of one publish: its packs' ids and the blocks in them, and all blocks that the version consists of.

    ``version_blocks`` holds root, segments and blocks, also those that lie in packs of earlier indexes.
    """

    format: Literal[1]
    dataset: DatasetName
    version: Key
    packs: tuple[str, ...]
    locations: Annotated[tuple[Location, ...], msgspec.Meta(max_length=MANIFEST_MAX_BLOCKS)]
    version_blocks: Annotated[tuple[Key, ...], msgspec.Meta(max_length=2 * MANIFEST_MAX_BLOCKS)]


class PackBuilder:
    """Lays blocks out into packs. Takes blocks until ``is_full``, then gives the pack's bytes."""

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

    def finish(self, pack: int) -> tuple[bytes, list[Location]]:
        """The pack's bytes and where each block lies, as pack number ``pack`` of its index. The builder is empty
        again.
        """
        locations: list[Location] = []
        offset = 0
        for signature, part in zip(self._signatures, self._parts, strict=True):
            locations.append(Location(signature, pack, offset, len(part)))
            offset += len(part)
        data = b"".join(self._parts)
        self._parts, self._signatures, self.size_bytes = [], [], 0
        return data, locations


def encode_index(index: Index) -> bytes:
    return canonical.encode(index)


def decode_index(data: bytes) -> Index:
    """RemoteProtocolError for anything but an index."""
    return canonical.decode(data, Index, limit_bytes=INDEX_MAX_BYTES)
