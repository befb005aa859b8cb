"""Which stretches of packs are read to get blocks: each as one ranged read. Pure.

What is asked for together, a group of neighbouring blocks of a version, mostly lies together in a pack. It is read in
stretches of at least EXTENT_BYTES, or as one if there is less, and exactly: peers ask one seed for all of a group
(``swarm.peer.shares``), so what one seed reads no other does, and the edges cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from seed.packs import Location
from swarm.limits import KIB, MIB

EXTENT_BYTES: Final = 10 * MIB
# What is not asked for and lies between is read along up to so much: a request costs more.
GAP_BYTES: Final = 256 * KIB

Placed = tuple[bytes, Location]


class Extent(NamedTuple):
    """A stretch of a pack and the blocks in it."""

    pack: str
    start: int
    length: int
    blocks: tuple[Placed, ...]

    def cut(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Each block and its encoded bytes, of the bytes of the stretch."""
        for signature, place in self.blocks:
            at = place.offset - self.start
            yield signature, data[at : at + place.length]


def extent_with(signature: bytes, places: Mapping[bytes, Location]) -> Extent:
    """The stretch that has a block of those that are to be read. The same for all of its blocks."""
    pack = places[signature].pack
    there = sorted(((one, at) for one, at in places.items() if at.pack == pack), key=lambda placed: placed[1].offset)
    stretch = next(part for part in _stretches(there) if any(one == signature for one, _ in part))
    return next(part for part in _parts(pack, stretch) if any(one == signature for one, _ in part.blocks))


def _stretches(there: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Blocks of a pack between which nothing large lies."""
    stretch: list[Placed] = []
    for placed in there:
        if stretch and placed[1].offset > _end(stretch) + GAP_BYTES:
            yield stretch
            stretch = []
        stretch.append(placed)
    yield stretch


def _parts(pack: str, stretch: Sequence[Placed]) -> Iterator[Extent]:
    """Parts of a stretch, each of EXTENT_BYTES or more if the whole is."""
    end = _end(stretch)
    part: list[Placed] = []
    for placed in stretch:
        part.append(placed)
        if _end(part) - part[0][1].offset >= EXTENT_BYTES and end - _end(part) >= EXTENT_BYTES:
            yield _extent(pack, part)
            part = []
    yield _extent(pack, part)


def _extent(pack: str, part: Sequence[Placed]) -> Extent:
    start = part[0][1].offset
    return Extent(pack, start, _end(part) - start, tuple(part))


def _end(part: Sequence[Placed]) -> int:
    place = part[-1][1]
    return place.offset + place.length
